"""The front door: it runs commands for its owner, so nobody else may get a word in."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from pseg.local_aws.session import (
    BRAND_ACCOUNT,
    PARTNER_ACCOUNT,
    REGION,
    Credential,
    Keyring,
    SessionFile,
    new_credential,
    session_path,
)
from pseg.local_aws.wire import EmbeddedAws

from .two_parties import Clients, make_role, refused


@pytest.fixture
def bucket(brand: Clients) -> str:
    """A bucket of the brand with one object."""
    brand("s3").create_bucket(Bucket="brand-bucket")
    brand("s3").put_object(Bucket="brand-bucket", Key="key", Body=b"content")
    return "brand-bucket"


def get(
    aws: EmbeddedAws, path: str, key: Credential | None = None, sent: dict[str, str] | None = None, **signed: str
) -> tuple[int, str]:
    """Send GET with a good signature (of ``key``, over the headers ``signed``), then ``sent`` on top."""
    key = key or aws.keys[BRAND_ACCOUNT]
    request = AWSRequest("GET", aws.endpoint + path, headers=signed)
    credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token or None)
    S3SigV4Auth(credentials, "s3", REGION).add_auth(request)
    headers = dict(request.headers.items()) | (sent or {})
    answer = urllib3.PoolManager().request("GET", aws.endpoint + path, headers=headers, retries=False)
    return answer.status, answer.data.decode()


def test_signed_request_of_the_session_is_answered(aws: EmbeddedAws, bucket: str) -> None:
    assert get(aws, f"/{bucket}/key") == (200, "content")


def test_request_without_signature_is_refused(aws: EmbeddedAws, bucket: str) -> None:
    answer = urllib3.PoolManager().request("GET", f"{aws.endpoint}/{bucket}/key", retries=False)
    assert (answer.status, b"MissingAuthenticationToken" in answer.data) == (403, True)
    unsigned = aws.boto3_session.client("s3", endpoint_url=aws.endpoint, config=Config(signature_version=UNSIGNED))
    with refused("MissingAuthenticationToken", "not signed"):
        unsigned.get_object(Bucket=bucket, Key="key")


@pytest.mark.parametrize("header", ["", "Basic abc", "AWS4-HMAC-SHA256 nonsense", "AWS AKIA:signature"])
def test_request_with_another_authorization_is_refused(aws: EmbeddedAws, bucket: str, header: str) -> None:
    status, body = get(aws, f"/{bucket}/key", sent={"Authorization": header})
    assert (status, "MissingAuthenticationToken" in body) == (403, True)


def test_presigned_address_is_refused(aws: EmbeddedAws, brand: Clients, bucket: str) -> None:
    address = brand("s3").generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key"})
    assert urllib3.PoolManager().request("GET", address, retries=False).status == 403


def test_key_of_another_session_is_refused(aws: EmbeddedAws) -> None:
    with refused("InvalidClientTokenId", "not one of this session"):
        aws.client("s3", new_credential(BRAND_ACCOUNT)).list_buckets()


@pytest.mark.parametrize("service", ["s3", "glue", "iam", "sts", "cleanrooms"])
def test_wrong_secret_is_refused(aws: EmbeddedAws, service: str) -> None:
    wrong = replace(aws.keys[BRAND_ACCOUNT], secret_access_key="wrong")
    calls = {"s3": "list_buckets", "glue": "get_databases", "iam": "list_roles", "sts": "get_caller_identity"}
    with refused("SignatureDoesNotMatch"):
        getattr(aws.client(service, wrong), calls.get(service, "list_collaborations"))()


@pytest.mark.parametrize("token", ["", "another"], ids=["none", "another"])
def test_temporary_key_with_the_wrong_session_token_is_refused(aws: EmbeddedAws, token: str) -> None:
    key = aws.keyring.issue(BRAND_ACCOUNT, f"arn:aws:iam::{BRAND_ACCOUNT}:role/any")
    assert aws.client("s3", key).list_buckets()["Buckets"] is not None
    with refused("SignatureDoesNotMatch"):
        aws.client("s3", replace(key, session_token=token)).list_buckets()


def test_session_token_beside_a_root_key_is_refused(aws: EmbeddedAws) -> None:
    with refused("SignatureDoesNotMatch"):
        aws.client("s3", replace(aws.keys[BRAND_ACCOUNT], session_token="made-up")).list_buckets()


def test_changed_path_header_or_body_breaks_the_signature(aws: EmbeddedAws, bucket: str, brand: Clients) -> None:
    status, body = get(aws, f"/{bucket}/key", sent={"X-Amz-Date": "20200101T000000Z"})
    assert (status, "SignatureDoesNotMatch" in body) == (403, True)
    rooms = brand("cleanrooms")
    rooms.meta.events.register("request-created", lambda request, **_: setattr(request, "data", b'{"name": "other"}'))
    with refused("SignatureDoesNotMatch"):
        rooms.create_collaboration(
            name="x", members=[], creatorMemberAbilities=[], creatorDisplayName="x", queryLogStatus="DISABLED"
        )


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "brand-bucket.s3.amazonaws.com", ""]
)
def test_foreign_host_is_refused_even_when_signed(aws: EmbeddedAws, bucket: str, host: str) -> None:
    status, body = get(aws, f"/{bucket}/key", host=host)
    assert (status, "Host" in body) == (403, True)


def test_localhost_with_the_port_is_the_same_place(aws: EmbeddedAws, bucket: str) -> None:
    port = aws.endpoint.rsplit(":", 1)[-1]
    assert get(aws, f"/{bucket}/key", host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1", "null", ""])
def test_any_origin_is_refused_even_when_signed(aws: EmbeddedAws, bucket: str, origin: str) -> None:
    for signed, sent in (({"Origin": origin}, {}), ({}, {"Origin": origin})):
        status, body = get(aws, f"/{bucket}/key", sent=sent, **signed)
        assert (status, "Origin" in body) == (403, True)


def test_preflight_of_a_browser_is_refused(aws: EmbeddedAws, bucket: str) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    answer = urllib3.PoolManager().request("OPTIONS", f"{aws.endpoint}/{bucket}/key", headers=headers, retries=False)
    assert answer.status == 403
    assert not {name for name in answer.headers if name.lower().startswith("access-control")}


@pytest.mark.parametrize(
    ("service", "operation", "given"),
    [
        ("s3", "PutBucketAcl", {"Bucket": "brand-bucket", "ACL": "public-read"}),
        ("s3", "PutBucketLifecycle", {"Bucket": "brand-bucket"}),
        ("glue", "StartJobRun", {"JobName": "x"}),
        ("iam", "CreateUser", {"UserName": "eve"}),
        ("sts", "GetSessionToken", {}),
        ("cleanrooms", "ListProtectedJobs", {"membershipIdentifier": "00000000-0000-4000-8000-000000000000"}),
    ],
)
def test_operation_that_is_not_listed_is_refused_by_name(
    brand: Clients, bucket: str, service: str, operation: str, given: dict[str, Any]
) -> None:
    client = brand(service)
    name = next(method for method, api in client.meta.method_to_api_mapping.items() if api == operation)
    with refused("UnsupportedOperation", f"{service}:{operation}"):
        getattr(client, name)(**given)


@pytest.mark.parametrize("service", ["dynamodb", "ec2", "lambda", "secretsmanager"])
def test_service_that_is_not_provided_is_refused_by_name(brand: Clients, service: str) -> None:
    calls = {"dynamodb": "list_tables", "ec2": "describe_instances", "lambda": "list_functions"}
    with pytest.raises(Exception, match=f"UnsupportedOperation|does not provide the service {service}"):
        getattr(brand(service), calls.get(service, "list_secrets"))()


@pytest.mark.parametrize(("service", "call"), [("s3", "put_bucket_acl"), ("iam", "create_user")])
def test_target_header_cannot_stand_for_another_operation(brand: Clients, bucket: str, service: str, call: str) -> None:
    client = brand(service)
    target = {"s3": "any.GetObject", "iam": "any.GetRole"}[service]
    given = {"s3": {"Bucket": bucket, "ACL": "public-read"}, "iam": {"UserName": "eve"}}[service]
    client.meta.events.register("before-sign", lambda request, **_: request.headers.add_header("X-Amz-Target", target))
    with refused("UnsupportedOperation"):
        getattr(client, call)(**given)


@pytest.mark.parametrize("path", ["/moto-api/data.json", "/moto-api/", "/moto-api/reset", "/%6doto-api/data.json"])
def test_motos_own_console_is_closed(aws: EmbeddedAws, path: str) -> None:
    assert get(aws, path)[0] == 403


@pytest.mark.parametrize("name", ["x-moto-account-id", "X-Moto-Account-Id", "x_moto_account_id"])
def test_account_header_of_the_client_has_no_effect(aws: EmbeddedAws, bucket: str, name: str) -> None:
    brand, partner = aws.keys[BRAND_ACCOUNT], aws.keys[PARTNER_ACCOUNT]
    for signed, sent in (({name: BRAND_ACCOUNT}, {}), ({}, {name: BRAND_ACCOUNT})):
        assert get(aws, f"/{bucket}/key", partner, sent=sent, **signed)[0] == 403
    assert get(aws, f"/{bucket}/key", brand, sent={name: PARTNER_ACCOUNT})[0] == 200


def test_body_of_a_refused_request_is_not_taken_for_the_next_request(aws: EmbeddedAws, bucket: str) -> None:
    pool = urllib3.HTTPConnectionPool("127.0.0.1", int(aws.endpoint.rsplit(":", 1)[-1]), maxsize=1)
    smuggled = f"GET /{bucket}/key HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for _ in range(3):
        answer = pool.request("PUT", f"/{bucket}/key", body=smuggled, retries=False)
        assert (answer.status, b"MissingAuthenticationToken" in answer.data) == (403, True)


def test_role_can_be_assumed_only_by_whom_it_trusts(aws: EmbeddedAws, brand: Clients, partner: Clients) -> None:
    def trust(principal: str) -> dict[str, Any]:
        return {"Statement": [{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}]}

    arn = make_role(brand, "for-partner", trust(f"arn:aws:iam::{PARTNER_ACCOUNT}:root"))
    with refused("AccessDenied", arn):
        brand("sts").assume_role(RoleArn=arn, RoleSessionName="test")
    given = partner("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    key = Credential(given["AccessKeyId"], given["SecretAccessKey"], BRAND_ACCOUNT, arn, given["SessionToken"])
    assert aws.client("sts", key).get_caller_identity()["Account"] == BRAND_ACCOUNT
    with refused("AccessDenied"):
        partner("sts").assume_role(RoleArn=f"arn:aws:iam::{BRAND_ACCOUNT}:role/none", RoleSessionName="test")


def test_session_file_is_readable_by_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PSEG_STATE_DIR", str(tmp_path / "state"))
    session = SessionFile("http://127.0.0.1:1", 1, new_credential(BRAND_ACCOUNT), new_credential(PARTNER_ACCOUNT))
    session_path().parent.mkdir()
    session_path().write_text("{}")
    session_path().chmod(0o644)
    session.write(session_path())
    assert stat.S_IMODE(session_path().stat().st_mode) == 0o600
    assert [entry.name for entry in session_path().parent.iterdir()] == ["session.json"]
    assert json.loads(session_path().read_text())["pid"] == 1


def test_two_sessions_never_share_a_key() -> None:
    one, two = Keyring(), Keyring()
    key = one.issue(BRAND_ACCOUNT)
    assert (one.find(key.access_key_id), two.find(key.access_key_id)) == (key, None)


def post(aws: EmbeddedAws, body: bytes, date: str = "", **headers: str) -> tuple[int, str]:
    """Send a signed SageMaker request with any body."""
    key = aws.keys[BRAND_ACCOUNT]
    target = {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", f"{aws.endpoint}/", headers=target, data=body)
    signer = SigV4Auth(Credentials(key.access_key_id, key.secret_access_key), "sagemaker", REGION)
    signer.add_auth(request)
    if date:
        request.context["timestamp"] = date
        request.headers.replace_header("X-Amz-Date", date)
        del request.headers["Authorization"]
        text = signer.string_to_sign(request, signer.canonical_request(request))
        signer._inject_signature_to_request(request, signer.signature(text, request))
    sent = dict(request.headers.items()) | headers
    answer = urllib3.PoolManager().request("POST", f"{aws.endpoint}/", headers=sent, body=body, retries=False)
    return answer.status, answer.data.decode()


@pytest.mark.parametrize("body", [b"[1, 2]", b"\xff\xfe", b'"text"'], ids=["list", "no text", "text"])
def test_body_that_is_no_request_is_refused_in_the_protocol(aws: EmbeddedAws, body: bytes) -> None:
    status, text = post(aws, body)
    assert status == 403 and "SerializationException" in text


def test_signature_of_yesterday_is_refused(aws: EmbeddedAws) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    status, text = post(aws, b"{}", date=f"{yesterday:%Y%m%dT%H%M%SZ}")
    assert status == 403 and "RequestTimeTooSkewed" in text


def test_negative_length_is_refused_at_once(aws: EmbeddedAws) -> None:
    status, text = post(aws, b"", **{"Content-Length": "-1"})
    assert status == 403 and "negative length" in text
