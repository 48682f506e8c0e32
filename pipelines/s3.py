"""What a definition needs in S3, each under the hash of its content: code bundle, run settings, local tables."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.table import parquet_files
from pipelines.code_bundle import sha256_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def put_folder(s3: S3Client, bucket: str, owner: str, prefix: str, content: dict[str, bytes]) -> str:
    """Put files under ``prefix/<sha256>/`` unless they lie there already; return that prefix as a URI.

    The last name is written last: when it is there, all are. A bucket of another account than ``owner`` is refused.
    """
    key = f"{prefix}/{sha256_of(content)}"
    last = sorted(content)[-1]
    if not exists(s3, bucket, owner, f"{key}/{last}"):
        for name, data in sorted(content.items()):
            s3.put_object(Bucket=bucket, Key=f"{key}/{name}", Body=data, ExpectedBucketOwner=owner)
    return f"s3://{bucket}/{key}/"


def put_table(s3: S3Client, bucket: str, owner: str, prefix: str, path: Path) -> str:
    """Put a local file, or a folder's Parquet files, under the hash of the content unless they lie there already.

    Returns the prefix as a URI. The last file is written last: when it is there, all are.

    Raises
    ------
    ContractError
        If a folder holds no Parquet file.
    """
    base_dir = path if path.is_dir() else path.parent
    files = {
        file.relative_to(base_dir).as_posix(): file
        for file in (parquet_files(path, path.name) if path.is_dir() else [path])
    }
    digest = hashlib.sha256()
    for name, file in files.items():
        with file.open("rb") as handle:
            digest.update(f"{len(name)}:{name}{hashlib.file_digest(handle, 'sha256').hexdigest()}".encode())
    key = f"{prefix}/{digest.hexdigest()}"
    if not exists(s3, bucket, owner, f"{key}/{list(files)[-1]}"):
        for name, file in files.items():
            s3.upload_file(str(file), bucket, f"{key}/{name}", ExtraArgs={"ExpectedBucketOwner": owner})
    return f"s3://{bucket}/{key}/"


def exists(s3: S3Client, bucket: str, owner: str, key: str) -> bool:
    """Tell if an object is there."""
    return s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1, ExpectedBucketOwner=owner).get("KeyCount", 0) > 0
