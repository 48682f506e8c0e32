"""What a definition needs in S3: written once, under the hash of its content, and completed if it was broken off."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import ContractError
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


def write_folder(folder: Path, names: list[str]) -> Path:
    """A folder of Parquet files, and a note that is none."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"number": [number]}), folder / name)
    (folder / "_SUCCESS").write_text("not a table")
    return folder


def test_folder_of_parquet_files_keeps_its_names_and_leaves_others_behind(
    accounts: TwoAccounts, tmp_path: Path
) -> None:
    names = ["a.parquet", "day=1/b.parquet", "day=2/b"]
    folder = write_folder(tmp_path / "events", names)
    uri = put_table(accounts.s3(), "code-bucket", "111111111111", "tables/folder", folder)
    prefix = uri.removeprefix("s3://code-bucket/")
    assert {key.removeprefix(prefix) for key in accounts.keys("code-bucket", prefix)} == set(names)
    assert accounts.read("code-bucket", f"{prefix}day=1/b.parquet") == (folder / "day=1/b.parquet").read_bytes()
    (folder / "_SUCCESS").unlink()
    assert put_table(accounts.s3(), "code-bucket", "111111111111", "tables/folder", folder) == uri


@pytest.mark.parametrize("change", ["content", "name", "one more", "one less"])
def test_changed_folder_lies_under_another_hash(accounts: TwoAccounts, tmp_path: Path, change: str) -> None:
    folder = write_folder(tmp_path / "events", ["a.parquet", "b.parquet"])
    before = put_table(accounts.s3(), "code-bucket", "111111111111", "tables/changed", folder)
    if change == "content":
        pq.write_table(pa.table({"number": [7]}), folder / "a.parquet")
    elif change == "name":
        (folder / "b.parquet").rename(folder / "c.parquet")
    elif change == "one more":
        pq.write_table(pa.table({"number": [7]}), folder / "c.parquet")
    else:
        (folder / "b.parquet").unlink()
    assert put_table(accounts.s3(), "code-bucket", "111111111111", "tables/changed", folder) != before


def test_folder_whose_upload_broke_off_is_completed(accounts: TwoAccounts, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "events", ["a.parquet", "b.parquet"])
    uri = put_table(accounts.s3(), "code-bucket", "111111111111", "tables/half", folder)
    prefix = uri.removeprefix("s3://code-bucket/")
    accounts.s3().delete_object(Bucket="code-bucket", Key=f"{prefix}b.parquet")
    put_table(accounts.s3(), "code-bucket", "111111111111", "tables/half", folder)
    assert accounts.keys("code-bucket", prefix) == [f"{prefix}a.parquet", f"{prefix}b.parquet"]


def test_folder_without_parquet_is_refused(accounts: TwoAccounts, tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "a.csv").write_text("a,b")
    with pytest.raises(ContractError, match="no Parquet file for events"):
        put_table(accounts.s3(), "code-bucket", "111111111111", "tables/none", tmp_path / "events")
