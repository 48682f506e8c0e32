"""What a definition needs in S3: written once, under the hash of its content, and completed if it was broken off."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.code_bundle import sha256_of
from pipelines.s3 import put_folder, put_table
from tests.embedded_aws import TwoAccounts

CONTENT = {"b/two.py": b"2", "a/one.py": b"1", "c.sql": b"3"}


@pytest.fixture(scope="module", autouse=True)
def bucket(accounts: TwoAccounts) -> None:
    """The bucket that everything is put into."""
    accounts.s3().create_bucket(Bucket="code-bucket")


def test_folder_lies_under_the_hash_of_its_content(accounts: TwoAccounts) -> None:
    uri = put_folder(accounts.s3(), "code-bucket", "111111111111", "first", CONTENT)
    assert uri == f"s3://code-bucket/first/{sha256_of(CONTENT)}/"
    prefix = uri.removeprefix("s3://code-bucket/")
    assert {
        key.removeprefix(prefix): accounts.read("code-bucket", key) for key in accounts.keys("code-bucket", prefix)
    } == CONTENT


def test_folder_that_lies_there_is_not_written_again(accounts: TwoAccounts) -> None:
    uri = put_folder(accounts.s3(), "code-bucket", "111111111111", "second", CONTENT)
    key = uri.removeprefix("s3://code-bucket/") + "a/one.py"
    accounts.s3().put_object(Bucket="code-bucket", Key=key, Body=b"marked")
    assert put_folder(accounts.s3(), "code-bucket", "111111111111", "second", CONTENT) == uri
    assert accounts.read("code-bucket", key) == b"marked"


def test_folder_whose_writing_broke_off_is_completed(accounts: TwoAccounts) -> None:
    prefix = f"third/{sha256_of(CONTENT)}/"
    for name in ("a/one.py", "b/two.py"):
        accounts.s3().put_object(Bucket="code-bucket", Key=prefix + name, Body=b"half")
    put_folder(accounts.s3(), "code-bucket", "111111111111", "third", CONTENT)
    found = {
        key.removeprefix(prefix): accounts.read("code-bucket", key) for key in accounts.keys("code-bucket", prefix)
    }
    assert found == CONTENT


def test_table_lies_under_the_hash_of_its_content_and_keeps_its_name(accounts: TwoAccounts, tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    path.write_bytes(b"one")
    first = put_table(accounts.s3(), "code-bucket", "111111111111", "tables/events", path)
    assert put_table(accounts.s3(), "code-bucket", "111111111111", "tables/events", path) == first
    path.write_bytes(b"two")
    second = put_table(accounts.s3(), "code-bucket", "111111111111", "tables/events", path)
    assert second != first
    for uri, content in ((first, b"one"), (second, b"two")):
        assert accounts.read("code-bucket", uri.removeprefix("s3://code-bucket/") + "events.parquet") == content
