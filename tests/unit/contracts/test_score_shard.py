"""Score shards: within their limits, nobody lost or reordered, and refused where they are not the model's."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts import score_shard
from contracts.errors import ContractError
from contracts.feature_table import FINGERPRINT_KEY, FeatureTable
from contracts.score_shard import read_shard, write_shards
from contracts.segment_file import ENDPOINT_COLUMNS
from tests.strategies import random_rows

ROWS, TABLE = random_rows(1000, seed=3)
OTHER = FeatureTable(TABLE.features[:2], TABLE.definition_sha256)
EXPECTED = ROWS.select([*ENDPOINT_COLUMNS, *TABLE.names])


def shard_of(rows: pa.Table, table: FeatureTable = TABLE) -> pa.BufferReader:
    """Rows as a request's body, with a contract's fingerprint."""
    sink = io.BytesIO()
    pq.write_table(rows.replace_schema_metadata({FINGERPRINT_KEY: table.fingerprint.encode()}), sink)
    return pa.BufferReader(sink.getvalue())


def test_small_population_is_one_shard(tmp_path: Path) -> None:
    assert [path.name for path in write_shards([ROWS], TABLE, tmp_path)] == ["shard-00000.parquet"]
    assert read_shard(tmp_path / "shard-00000.parquet", TABLE).equals(EXPECTED)


def pieces(rows: pa.Table, size: int) -> list[pa.Table]:
    """Rows as they come from a database: in pieces."""
    return [rows.slice(start, size) for start in range(0, rows.num_rows, size)]


@pytest.mark.parametrize("size", [7, 300, 1000], ids=lambda size: f"pieces of {size}")
def test_row_limit_is_honoured_and_nobody_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(score_shard, "MAX_ROWS", 300)
    paths = write_shards(pieces(ROWS, size), TABLE, tmp_path)
    shards = [read_shard(path, TABLE) for path in paths]
    assert [shard.num_rows for shard in shards] == [300, 300, 300, 100]
    assert [path.name for path in paths] == [f"shard-{number:05d}.parquet" for number in range(4)]
    assert pa.concat_tables(shards).equals(EXPECTED)


def test_population_that_fills_its_shards_leaves_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_shard, "MAX_ROWS", 250)
    paths = write_shards([ROWS, ROWS.slice(0, 0)], TABLE, tmp_path)
    assert [read_shard(path, TABLE).num_rows for path in paths] == [250] * 4


@pytest.mark.parametrize("limit", [20_000, 12_000])
def test_byte_limit_is_honoured_and_nobody_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(score_shard, "MAX_ROWS", 700)
    monkeypatch.setattr(score_shard, "MAX_BYTES", limit)
    paths = write_shards([ROWS], TABLE, tmp_path)
    assert len(paths) > 2
    assert max(path.stat().st_size for path in paths) <= limit
    assert sorted(tmp_path.iterdir()) == paths
    assert pa.concat_tables([read_shard(path, TABLE) for path in paths]).equals(EXPECTED)


@pytest.mark.parametrize("missing", [["Address"], ["recency"], ["User.UserId", "band"]], ids=" and ".join)
def test_rows_that_lack_a_column_are_refused_by_name(tmp_path: Path, missing: list[str]) -> None:
    with pytest.raises(ContractError) as caught:
        write_shards([ROWS.drop_columns(missing)], TABLE, tmp_path / "shards")
    assert str(missing) in caught.value.what
    assert caught.value.where == "score shards, 1,000 rows"
    assert not (tmp_path / "shards").exists()


def test_nobody_to_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="there is nobody to score"):
        write_shards([ROWS.slice(0, 0)], TABLE, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


def test_shard_of_other_features_is_refused_with_both_fingerprints() -> None:
    with pytest.raises(ContractError, match="the shard's features are not the model's") as caught:
        read_shard(shard_of(EXPECTED, OTHER), TABLE)
    assert OTHER.fingerprint[:12] in caught.value.where
    assert TABLE.fingerprint[:12] in caught.value.where
    assert "1,000 rows" in caught.value.where


@pytest.mark.parametrize("metadata", [None, {FINGERPRINT_KEY: b"\xff\xfe"}], ids=["none", "junk"])
def test_shard_without_a_fingerprint_is_refused(metadata: dict[bytes, bytes] | None) -> None:
    sink = io.BytesIO()
    pq.write_table(EXPECTED.replace_schema_metadata(metadata), sink)
    with pytest.raises(ContractError, match="the shard's features are not the model's"):
        read_shard(pa.BufferReader(sink.getvalue()), TABLE)


@pytest.mark.parametrize(
    "body",
    [b"", b"customer_key,recency\nk,1\n", b"PAR1PAR1", b"PAR1" + bytes(40) + b"PAR1"],
    ids=["nothing", "csv", "no footer", "zeros"],
)
def test_body_that_is_not_parquet_is_refused(body: bytes) -> None:
    with pytest.raises(ContractError, match="the shard is not a Parquet file"):
        read_shard(pa.BufferReader(body), TABLE)


def test_cut_off_shard_is_refused() -> None:
    body = shard_of(EXPECTED).read()
    with pytest.raises(ContractError, match="the shard is not a Parquet file"):
        read_shard(pa.BufferReader(body[: len(body) // 2]), TABLE)


@pytest.mark.parametrize("name", ENDPOINT_COLUMNS)
def test_shard_without_an_endpoint_column_is_refused_by_name(name: str) -> None:
    with pytest.raises(ContractError, match=f"endpoint columns are missing from the shard: .'{name}'"):
        read_shard(shard_of(EXPECTED.drop_columns([name])), TABLE)


@pytest.mark.parametrize("name", ENDPOINT_COLUMNS)
def test_endpoint_column_that_is_not_text_is_refused_by_name(name: str) -> None:
    numbers = pa.array(range(EXPECTED.num_rows))
    spoiled = EXPECTED.set_column(EXPECTED.column_names.index(name), name, numbers)
    with pytest.raises(ContractError, match=f"endpoint column {name} of the shard must be text, got int64"):
        read_shard(shard_of(spoiled), TABLE)
