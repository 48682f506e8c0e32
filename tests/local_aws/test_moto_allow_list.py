"""What moto answers for us really works: each operation on the allow-list changes state that can be read back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore import xform_name
from moto.moto_api._internal import moto_api_backend

from pseg.local_aws.moto_services import ALLOWED

from .two_parties import Clients, refused

Contract = Callable[[Any], None]
CONTRACTS: dict[tuple[str, str], Contract] = {}

TRUST = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
)
OTHER_TRUST = TRUST.replace("Allow", "Deny")


def contract(service: str, *operations: str) -> Callable[[Contract], Contract]:
    """Mark a function as the contract test of operations; it gets a client that records what was called."""

    def register(function: Contract) -> Contract:
        CONTRACTS.update({(service, operation): function for operation in operations})
        return function

    return register


# -- S3


def put(s3: Any, key: str = "key", body: bytes = b"content") -> None:
    """Put an object into the bucket of the contract tests."""
    s3.put_object(Bucket="contract", Key=key, Body=body)


def body_of(s3: Any, key: str = "key", **options: Any) -> bytes:
    """Read it back."""
    content: bytes = s3.get_object(Bucket="contract", Key=key, **options)["Body"].read()
    return content


@contract("s3", "CreateBucket", "HeadBucket", "ListBuckets", "DeleteBucket", "GetBucketLocation")
def buckets(s3: Any) -> None:
    s3.create_bucket(Bucket="contract-other")
    s3.head_bucket(Bucket="contract-other")
    assert s3.get_bucket_location(Bucket="contract-other")["LocationConstraint"] is None  # us-east-1
    assert "contract-other" in {one["Name"] for one in s3.list_buckets()["Buckets"]}
    put(s3)
    with refused("BucketNotEmpty"):
        s3.delete_bucket(Bucket="contract")
    s3.delete_bucket(Bucket="contract-other")
    with refused("404"):
        s3.head_bucket(Bucket="contract-other")


@contract("s3", "PutBucketPolicy", "GetBucketPolicy")
def bucket_policy(s3: Any) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}],
    }
    s3.put_bucket_policy(Bucket="contract", Policy=json.dumps(policy))
    assert json.loads(s3.get_bucket_policy(Bucket="contract")["Policy"]) == policy


@contract("s3", "PutPublicAccessBlock", "GetPublicAccessBlock")
def public_access(s3: Any) -> None:
    block = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": False,
    }
    s3.put_public_access_block(Bucket="contract", PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(Bucket="contract")["PublicAccessBlockConfiguration"] == block


@contract("s3", "PutBucketEncryption", "GetBucketEncryption")
def encryption(s3: Any) -> None:
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}]
    s3.put_bucket_encryption(Bucket="contract", ServerSideEncryptionConfiguration={"Rules": rules})
    found = s3.get_bucket_encryption(Bucket="contract")["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert found["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"


@contract("s3", "PutBucketVersioning", "GetBucketVersioning")
def versioning(s3: Any) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket="contract")
    s3.put_bucket_versioning(Bucket="contract", VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket="contract")["Status"] == "Enabled"
    first = s3.put_object(Bucket="contract", Key="key", Body=b"first")["VersionId"]
    put(s3, body=b"second")
    assert (body_of(s3), body_of(s3, VersionId=first)) == (b"second", b"first")


@contract("s3", "PutBucketTagging", "GetBucketTagging")
def bucket_tags(s3: Any) -> None:
    tags = [{"Key": "team", "Value": "growth"}]
    s3.put_bucket_tagging(Bucket="contract", Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket="contract")["TagSet"] == tags


@contract("s3", "PutObject", "GetObject", "HeadObject", "DeleteObject")
def objects(s3: Any) -> None:
    s3.put_object(
        Bucket="contract", Key="a b/ü+%.csv", Body=b"0123456789", ContentType="text/csv", Metadata={"made": "here"}
    )
    assert body_of(s3, "a b/ü+%.csv") == b"0123456789"
    assert body_of(s3, "a b/ü+%.csv", Range="bytes=2-4") == b"234"
    head = s3.head_object(Bucket="contract", Key="a b/ü+%.csv")
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (10, "text/csv", {"made": "here"})
    s3.delete_object(Bucket="contract", Key="a b/ü+%.csv")
    with refused("404"):
        s3.head_object(Bucket="contract", Key="a b/ü+%.csv")
    with refused("NoSuchKey"):
        body_of(s3, "a b/ü+%.csv")


@contract("s3", "CopyObject", "DeleteObjects", "ListObjects", "ListObjectsV2")
def many_objects(s3: Any) -> None:
    for index in range(5):
        put(s3, f"folder/{index}", b"x" * index)
    s3.copy_object(Bucket="contract", Key="copies/4", CopySource="contract/folder/4")
    assert body_of(s3, "copies/4") == b"xxxx"
    pages = list(
        s3.get_paginator("list_objects_v2").paginate(
            Bucket="contract", Prefix="folder/", PaginationConfig={"PageSize": 2}
        )
    )
    assert [[one["Size"] for one in page["Contents"]] for page in pages] == [[0, 1], [2, 3], [4]]
    answer = s3.list_objects_v2(Bucket="contract", Delimiter="/")
    assert [one["Prefix"] for one in answer["CommonPrefixes"]] == ["copies/", "folder/"]
    first = s3.list_objects(Bucket="contract", MaxKeys=1)
    assert (first["Contents"][0]["Key"], first["IsTruncated"]) == ("copies/4", True)
    deleted = s3.delete_objects(Bucket="contract", Delete={"Objects": [{"Key": "folder/1"}, {"Key": "copies/4"}]})
    assert {one["Key"] for one in deleted["Deleted"]} == {"folder/1", "copies/4"}
    left = s3.list_objects_v2(Bucket="contract")["Contents"]
    assert [one["Key"] for one in left] == ["folder/0", "folder/2", "folder/3", "folder/4"]


@contract("s3", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload")
def parts(s3: Any) -> None:
    key = {"Bucket": "contract", "Key": "large"}
    upload = s3.create_multipart_upload(**key)["UploadId"]
    tags = [
        {"PartNumber": number, "ETag": s3.upload_part(**key, UploadId=upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in ((1, b"a" * 5 * 2**20), (2, b"b"))
    ]
    s3.complete_multipart_upload(**key, UploadId=upload, MultipartUpload={"Parts": tags})
    assert body_of(s3, "large") == b"a" * 5 * 2**20 + b"b"
    upload = s3.create_multipart_upload(Bucket="contract", Key="never")["UploadId"]
    s3.abort_multipart_upload(Bucket="contract", Key="never", UploadId=upload)
    with refused("NoSuchUpload"):
        s3.abort_multipart_upload(Bucket="contract", Key="never", UploadId=upload)
    assert [one["Key"] for one in s3.list_objects_v2(Bucket="contract")["Contents"]] == ["large"]
    s3.upload_fileobj(io.BytesIO(b"z" * 9 * 2**20), "contract", "by-transfer")
    assert s3.head_object(Bucket="contract", Key="by-transfer")["ContentLength"] == 9 * 2**20


# -- Glue


def table(name: str = "table", **changes: Any) -> dict[str, Any]:
    """A table of Glue."""
    storage = {"Columns": [{"Name": "a", "Type": "string"}], "Location": "s3://contract/table/"}
    return {"Name": name, "StorageDescriptor": storage, "PartitionKeys": [{"Name": "day", "Type": "date"}], **changes}


def partition(day: str) -> dict[str, Any]:
    """A partition of it."""
    return {"Values": [day], "StorageDescriptor": {"Location": f"s3://contract/table/day={day}/"}}


@contract("glue", "CreateDatabase", "GetDatabase", "GetDatabases", "DeleteDatabase")
def databases(glue: Any) -> None:
    with refused("AlreadyExistsException"):
        glue.create_database(DatabaseInput={"Name": "contract"})
    glue.create_database(DatabaseInput={"Name": "other", "Description": "more"})
    assert glue.get_database(Name="other")["Database"]["Description"] == "more"
    assert {one["Name"] for one in glue.get_databases()["DatabaseList"]} == {"contract", "other"}
    glue.delete_database(Name="other")
    with refused("EntityNotFoundException"):
        glue.get_database(Name="other")


@contract(
    "glue", "CreateTable", "UpdateTable", "GetTable", "GetTables", "DeleteTable", "BatchDeleteTable", "GetTableVersions"
)
def tables(glue: Any) -> None:
    for name in ("table", "second", "third"):
        glue.create_table(DatabaseName="contract", TableInput=table(name))
    with refused("AlreadyExistsException"):
        glue.create_table(DatabaseName="contract", TableInput=table())
    found = glue.get_table(DatabaseName="contract", Name="table")["Table"]
    assert found["StorageDescriptor"]["Location"] == "s3://contract/table/"
    assert found["PartitionKeys"] == [{"Name": "day", "Type": "date"}]
    glue.update_table(DatabaseName="contract", TableInput=table(Parameters={"classification": "parquet"}))
    assert glue.get_table(DatabaseName="contract", Name="table")["Table"]["Parameters"] == {"classification": "parquet"}
    assert len(glue.get_table_versions(DatabaseName="contract", TableName="table")["TableVersions"]) == 2
    glue.delete_table(DatabaseName="contract", Name="third")
    assert [one["Name"] for one in glue.get_tables(DatabaseName="contract")["TableList"]] == ["table", "second"]
    glue.batch_delete_table(DatabaseName="contract", TablesToDelete=["table", "second"])
    with refused("EntityNotFoundException"):
        glue.get_table(DatabaseName="contract", Name="table")


@contract("glue", "CreatePartition", "BatchCreatePartition", "GetPartition", "GetPartitions", "BatchDeletePartition")
def partitions(glue: Any) -> None:
    key = {"DatabaseName": "contract", "TableName": "table"}
    glue.create_table(DatabaseName="contract", TableInput=table())
    glue.create_partition(**key, PartitionInput=partition("2026-01-01"))
    glue.batch_create_partition(**key, PartitionInputList=[partition("2026-01-02"), partition("2026-01-03")])
    found = glue.get_partition(**key, PartitionValues=["2026-01-02"])["Partition"]
    assert found["StorageDescriptor"]["Location"] == "s3://contract/table/day=2026-01-02/"
    later = glue.get_partitions(**key, Expression="day > '2026-01-01'")["Partitions"]
    assert [one["Values"] for one in later] == [["2026-01-02"], ["2026-01-03"]]
    glue.batch_delete_partition(**key, PartitionsToDelete=[{"Values": ["2026-01-01"]}])
    assert len(glue.get_partitions(**key)["Partitions"]) == 2
    with refused("EntityNotFoundException"):
        glue.get_partition(**key, PartitionValues=["2026-01-01"])


# -- IAM


@contract("iam", "CreateRole", "GetRole", "ListRoles", "UpdateAssumeRolePolicy", "DeleteRole")
def roles(iam: Any) -> None:
    with refused("EntityAlreadyExists"):
        iam.create_role(RoleName="contract", AssumeRolePolicyDocument=TRUST)
    assert iam.get_role(RoleName="contract")["Role"]["AssumeRolePolicyDocument"] == json.loads(TRUST)
    iam.update_assume_role_policy(RoleName="contract", PolicyDocument=OTHER_TRUST)
    assert iam.get_role(RoleName="contract")["Role"]["AssumeRolePolicyDocument"] == json.loads(OTHER_TRUST)
    assert [one["RoleName"] for one in iam.list_roles()["Roles"]] == ["contract"]
    iam.delete_role(RoleName="contract")
    with refused("NoSuchEntity"):
        iam.get_role(RoleName="contract")
    iam.create_role(RoleName="contract", AssumeRolePolicyDocument=TRUST)


@contract("iam", "TagRole", "ListRoleTags")
def role_tags(iam: Any) -> None:
    tags = [{"Key": "team", "Value": "growth"}]
    iam.tag_role(RoleName="contract", Tags=tags)
    assert iam.list_role_tags(RoleName="contract")["Tags"] == tags


@contract("iam", "PutRolePolicy", "GetRolePolicy", "ListRolePolicies", "DeleteRolePolicy")
def role_policies(iam: Any) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    iam.put_role_policy(RoleName="contract", PolicyName="read", PolicyDocument=json.dumps(policy))
    assert iam.get_role_policy(RoleName="contract", PolicyName="read")["PolicyDocument"] == policy
    assert iam.list_role_policies(RoleName="contract")["PolicyNames"] == ["read"]
    with refused("DeleteConflict"):
        iam.delete_role(RoleName="contract")
    iam.delete_role_policy(RoleName="contract", PolicyName="read")
    assert iam.list_role_policies(RoleName="contract")["PolicyNames"] == []


# -- the tests


def empty(client: Any, service: str) -> None:
    """Make what every contract starts from, and nothing else."""
    if service == "s3":
        client.create_bucket(Bucket="contract")
    elif service == "glue":
        client.create_database(DatabaseInput={"Name": "contract"})
    else:
        client.create_role(RoleName="contract", AssumeRolePolicyDocument=TRUST)


def called(client: Any) -> set[str]:
    """Names of the operations that a client calls from now on."""
    names: set[str] = set()
    client.meta.events.register("before-call", lambda model, **_: names.add(model.name))
    return names


@pytest.mark.parametrize(
    ("service", "function"), sorted({(service, function) for (service, _), function in CONTRACTS.items()}, key=str)
)
def test_operations_that_moto_answers_change_state(
    clean_brand: Callable[[str], Any], service: str, function: Contract
) -> None:
    client = clean_brand(service)
    empty(client, service)
    names = called(client)
    function(client)
    promised = {operation for (owner, operation), one in CONTRACTS.items() if (owner, one) == (service, function)}
    assert promised <= names


def test_every_operation_on_the_allow_list_has_a_contract() -> None:
    allowed = {(service, operation) for service, operations in ALLOWED.items() for operation in operations}
    assert set(CONTRACTS) == allowed


BUCKET_CALLS: dict[str, dict[str, Any]] = {
    "HeadBucket": {},
    "CreateBucket": {},
    "DeleteBucket": {},
    "GetBucketLocation": {},
    "PutBucketPolicy": {"Policy": "{}"},
    "GetBucketPolicy": {},
    "PutPublicAccessBlock": {"PublicAccessBlockConfiguration": {"BlockPublicAcls": False}},
    "GetPublicAccessBlock": {},
    "PutBucketEncryption": {
        "ServerSideEncryptionConfiguration": {
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        }
    },
    "GetBucketEncryption": {},
    "PutBucketVersioning": {"VersioningConfiguration": {"Status": "Enabled"}},
    "GetBucketVersioning": {},
    "PutBucketTagging": {"Tagging": {"TagSet": []}},
    "GetBucketTagging": {},
    "PutObject": {"Key": "key", "Body": b"theirs"},
    "GetObject": {"Key": "key"},
    "HeadObject": {"Key": "key"},
    "CopyObject": {"Key": "copy", "CopySource": "contract-ours/key"},
    "DeleteObject": {"Key": "key"},
    "DeleteObjects": {"Delete": {"Objects": [{"Key": "key"}]}},
    "ListObjects": {},
    "ListObjectsV2": {},
    "CreateMultipartUpload": {"Key": "key"},
    "UploadPart": {"Key": "key", "UploadId": "any", "PartNumber": 1},
    "CompleteMultipartUpload": {"Key": "key", "UploadId": "any"},
    "AbortMultipartUpload": {"Key": "key", "UploadId": "any"},
}


@pytest.fixture
def clean_brand(brand: Clients) -> Clients:
    """The brand's account with nothing in it."""
    moto_api_backend.reset()  # type: ignore[no-untyped-call]
    return brand


@pytest.mark.parametrize("operation", sorted(BUCKET_CALLS))
def test_bucket_of_one_account_is_closed_to_the_other(clean_brand: Clients, partner: Clients, operation: str) -> None:
    ours = clean_brand("s3")
    ours.create_bucket(Bucket="contract-ours")
    ours.put_object(Bucket="contract-ours", Key="key", Body=b"ours")
    with pytest.raises(Exception, match=r"AccessDenied|Forbidden|BucketAlreadyExists"):
        getattr(partner("s3"), xform_name(operation))(Bucket="contract-ours", **BUCKET_CALLS[operation])
    assert ours.get_object(Bucket="contract-ours", Key="key")["Body"].read() == b"ours"
    assert ours.list_objects_v2(Bucket="contract-ours")["KeyCount"] == 1


def test_every_bucket_operation_is_tried_from_the_other_account() -> None:
    assert set(BUCKET_CALLS) == ALLOWED["s3"] - {"ListBuckets"}


def test_object_cannot_be_copied_out_of_the_other_accounts_bucket(clean_brand: Clients, partner: Clients) -> None:
    clean_brand("s3").create_bucket(Bucket="contract-ours")
    clean_brand("s3").put_object(Bucket="contract-ours", Key="key", Body=b"ours")
    partner("s3").create_bucket(Bucket="contract-theirs")
    with refused("AccessDenied"):
        partner("s3").copy_object(Bucket="contract-theirs", Key="key", CopySource="contract-ours/key")


def test_catalogs_roles_and_bucket_lists_are_each_accounts_own(clean_brand: Clients, partner: Clients) -> None:
    clean_brand("s3").create_bucket(Bucket="contract-ours")
    clean_brand("glue").create_database(DatabaseInput={"Name": "contract"})
    clean_brand("iam").create_role(RoleName="contract", AssumeRolePolicyDocument=TRUST)
    assert partner("s3").list_buckets()["Buckets"] == []
    assert partner("glue").get_databases()["DatabaseList"] == []
    assert partner("iam").list_roles()["Roles"] == []
