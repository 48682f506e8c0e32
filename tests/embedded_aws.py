"""The embedded AWS inside the test's own process, for code of ours that makes its own AWS clients."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from pseg.local_aws.app import build
from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT, SessionFile
from pseg.local_aws.wire import EmbeddedAws, serve_in_thread


@dataclass(frozen=True)
class TwoAccounts:
    """The embedded AWS, and a boto3 session of each account."""

    aws: EmbeddedAws
    brand: boto3.Session
    partner: boto3.Session

    def s3(self) -> Any:
        """The brand's S3 client."""
        return self.brand.client("s3")

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Keys of the brand's objects below a prefix, sorted."""
        listed = self.s3().list_objects_v2(Bucket=bucket, Prefix=prefix)
        return sorted(item["Key"] for item in listed.get("Contents", []))

    def read(self, bucket: str, key: str) -> bytes:
        """One object of the brand's."""
        return bytes(self.s3().get_object(Bucket=bucket, Key=key)["Body"].read())


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoAccounts]:
    """An embedded AWS for one test module; while it is up, the environment points the brand's clients at it."""
    aws = build(tmp_path_factory.mktemp("embedded"))
    server = serve_in_thread(aws)
    keys = SessionFile(aws.endpoint, os.getpid(), aws.keys[BRAND_ACCOUNT], aws.keys[PARTNER_ACCOUNT])
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        for name, value in keys.exports("brand").items():
            environment.setenv(name, value)
        environment.setattr(boto3, "DEFAULT_SESSION", None)  # one that was made before holds other keys
        partner = aws.keys[PARTNER_ACCOUNT]
        yield TwoAccounts(
            aws,
            boto3.Session(),
            boto3.Session(partner.access_key_id, partner.secret_access_key, region_name="us-east-1"),
        )
    aws.close()
    server.shutdown()
    server.server_close()
