"""A job's data on its way between S3 and the job's folder, with the keys of the job's own role.

Refused: names that would leave the folder, in S3 keys and in archives alike.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

KEPT_BYTES = 100_000


class JobFailed(Exception):
    """A job that ends as Failed; the text is its FailureReason."""


@dataclass(frozen=True)
class Source:
    """One object that a job reads; ``relative`` is its path below the input, ``etag`` is its version's."""

    bucket: str
    key: str
    relative: str
    size: int
    etag: str = ""

    @property
    def uri(self) -> str:
        """The object's address."""
        return f"s3://{self.bucket}/{self.key}"


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an ``s3://`` address."""
    if not uri.startswith("s3://"):
        raise JobFailed(f"ClientError: not an s3:// address: {uri}")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def sources(s3: Any, uri: str, data_type: str = "S3Prefix", *, required: bool = True) -> list[Source]:
    """List the objects of an input, sorted by key.

    ``S3Prefix`` is a prefix of the key as S3 understands it: ``s3://b/in`` also takes ``s3://b/in-old/x``. A path
    below the input starts after the prefix when it names a folder, else after the prefix's last ``/``.
    ``ManifestFile`` is ``[{"prefix": "s3://..."}, "relative/key", ...]``.

    Raises
    ------
    JobFailed
        If there is none (and it is ``required``), or bucket or manifest cannot be read; it names the address.
    """
    try:
        found = manifest_sources(s3, uri) if data_type == "ManifestFile" else prefix_sources(s3, uri)
    except (ClientError, BotoCoreError, ValueError) as error:
        raise JobFailed(f"ClientError: Data download failed: {uri}: {error}") from error
    if required and not found:
        raise JobFailed(
            f'ClientError: Data download failed: No S3 objects found under S3 URL "{uri}" given in input data source. '
            "Please ensure that the bucket exists, that it holds objects under that prefix, and the role may read them."
        )
    return found


def prefix_sources(s3: Any, uri: str) -> list[Source]:
    """Objects whose key starts with the prefix; folder markers are left out."""
    bucket, prefix = split_uri(uri)
    found = []
    for listed in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in listed.get("Contents", ()):
            key = entry["Key"]
            if not key.endswith("/"):
                folder = prefix.rstrip("/") + "/" if prefix and key.startswith(prefix.rstrip("/") + "/") else ""
                start = len(folder) if folder else prefix.rfind("/") + 1
                found.append(Source(bucket, key, key[start:], entry["Size"], entry["ETag"]))
    return found


def manifest_sources(s3: Any, uri: str) -> list[Source]:
    """Objects that a manifest names."""
    bucket, key = split_uri(uri)
    first, *names = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    base_bucket, base = split_uri(first["prefix"])
    found = []
    for name in sorted(names):
        head = s3.head_object(Bucket=base_bucket, Key=base + name)
        found.append(Source(base_bucket, base + name, name, head["ContentLength"], head["ETag"]))
    return found


def shard(found: list[Source], distribution: str | None, index: int, count: int) -> list[Source]:
    """Return the objects of one of ``count`` instances: all of them, or every n-th by key."""
    return found[index::count] if distribution == "ShardedByS3Key" else found


def download(s3: Any, found: list[Source], folder: Path, kept: dict[Source, bytes]) -> None:
    """Bring objects into a folder, each at its relative path; small ones, as code is, are ``kept`` for the next job."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in found:
        target = (folder / source.relative).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise JobFailed(f"ClientError: Data download failed: the key of {source.uri} leaves its input folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if source not in kept:
                body = s3.get_object(Bucket=source.bucket, Key=source.key)["Body"]
                if not source.etag or source.size > KEPT_BYTES:
                    with target.open("wb") as file:
                        shutil.copyfileobj(body, file)
                    continue
                kept[source] = body.read()
            target.write_bytes(kept[source])
        except (ClientError, BotoCoreError, OSError) as error:
            raise JobFailed(f"ClientError: Data download failed: {source.uri}: {error}") from error


def upload(s3: Any, path: Path, uri: str) -> None:
    """Write one file to an address."""
    bucket, key = split_uri(uri)
    try:
        s3.upload_file(str(path), bucket, key)
    except (ClientError, BotoCoreError, OSError) as error:
        raise JobFailed(f"ClientError: Data upload failed: {uri}: {error}") from error


def upload_folder(s3: Any, folder: Path, uri: str) -> None:
    """Write every file of a folder below an address, in the order of their names."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        upload(s3, path, f"{uri.rstrip('/')}/{path.relative_to(folder).as_posix()}")


def pack(folders: list[Path], target: Path) -> bool:
    """Write folders into one .tar.gz whose bytes depend on names and contents alone; False if there is nothing to pack.

    Names are sorted, times and owners zero. Of a name that several hosts wrote the first host's file is taken.
    """
    entries = {path.relative_to(folder).as_posix(): path for folder in reversed(folders) for path in folder.rglob("*")}
    if not entries:
        return False
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", dereference=True) as archive,
    ):
        for name, path in sorted(entries.items()):
            entry = archive.gettarinfo(path, name)
            entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            with path.open("rb") if entry.isfile() else nullcontext() as handle:
                archive.addfile(entry, handle)
    return True


def unpack(archive: Path, folder: Path, uri: str) -> None:
    """Extract a .tar.gz; an entry that would leave the folder (or a device, or an absolute link) fails the job."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, mode="r:gz") as opened:
            opened.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise JobFailed(f"ClientError: Failed to extract model data archive {uri}: {error}") from error
