"""The query step: match keys of those who allow it, from contacts or a ready table; and results of earlier queries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import awswrangler as wr
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clean_rooms.identity import hash_email
from contracts.errors import ContractError, ServiceError
from contracts.run_settings import RunSettings
from processing.query_clean_rooms import build_match_keys, main, query_clean_rooms, refresh_match_keys
from tests.embedded_aws import TwoAccounts
from tests.embedded_aws import accounts as accounts
from tests.ready_worlds import make_customers, with_roles, write_customers, write_settings
from tests.worlds import SETTINGS, make_contacts, write_table

READY = replace(with_roles(hashed_id="hash", may_match="ok"), query=SETTINGS.query)
RESULT = pd.DataFrame({"customer_key": ["a", "b"], "affinity": [0.5, 1.5], "band": ["low", None]}).assign(
    attribute_date=pd.Timestamp("2026-03-01").date()
)
URI = "s3://spring-results/earlier/q-1/"


def hashed(text: str) -> str:
    """SHA-256 as hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def ready(size: int = 8) -> pd.DataFrame:
    """A ready table with hashed identifiers and consent to matching."""
    customers = make_customers(size)
    return customers.assign(hash=[hashed(key) for key in customers["customer_id"]], ok=True)


def keys_of(folder: Path, customers: pd.DataFrame, settings: RunSettings = READY) -> tuple[set[tuple[str, str]], int]:
    """Match keys as pairs, and how many identifiers were unusable."""
    keys, unusable = build_match_keys(settings, write_customers(folder, customers))
    assert keys.columns.tolist() == ["hashed_id", "customer_key"]
    assert keys.equals(keys.sort_values(["hashed_id", "customer_key"], ignore_index=True).drop_duplicates())
    return set(keys.itertuples(index=False, name=None)), unusable


def test_ready_table_gives_its_own_hashes(tmp_path: Path) -> None:
    customers = ready()
    assert keys_of(tmp_path, customers) == (set(zip(customers["hash"], customers["customer_id"], strict=True)), 0)


def test_integer_keys_are_text_in_the_collaboration(tmp_path: Path) -> None:
    keys, _ = keys_of(tmp_path, ready().assign(customer_id=range(8)))
    assert {key for _, key in keys} == {str(number) for number in range(8)}


def test_customer_without_identifier_is_not_matched_and_junk_is_counted(tmp_path: Path) -> None:
    customers = ready()
    customers.loc[0, "hash"] = None
    customers.loc[1:4, "hash"] = ["a@example.com", hashed("x").upper(), hashed("x")[:-1], hashed("x") + "0"]
    keys, unusable = keys_of(tmp_path, customers)
    assert {key for _, key in keys} == {"c00005", "c00006", "c00007"}
    assert unusable == 4


def test_one_refusal_of_an_identifier_counts_for_all(tmp_path: Path) -> None:
    customers = ready()
    customers.loc[1, "hash"] = customers.loc[0, "hash"]
    customers.loc[1, "ok"] = False
    customers.loc[2, "ok"] = False
    keys, _ = keys_of(tmp_path, customers)
    assert {key for _, key in keys} == {f"c0000{number}" for number in range(3, 8)}


def both(
    folder: Path, customers: pd.DataFrame, contacts: pd.DataFrame, settings: RunSettings = READY
) -> set[tuple[str, str]]:
    """Match keys of a project that has a ready table and contacts."""
    write_table(folder, "contacts", contacts)
    return keys_of(folder, customers, replace(settings, has_contacts=True))[0]


def test_refusal_in_a_ready_table_counts_where_contacts_are_hashed(tmp_path: Path) -> None:
    customers = ready().drop(columns="hash")
    contacts = make_contacts(customers["customer_id"].tolist()).assign(may_match=True)
    contacts.loc[2, "address"] = "c00001@example.com"
    customers.loc[:1, "ok"] = False
    settings = replace(with_roles(may_match="ok"), query=SETTINGS.query)
    assert {key for _, key in both(tmp_path, customers, contacts, settings)} == {f"c0000{n}" for n in range(3, 8)}


def test_refusal_in_contacts_counts_where_a_ready_table_has_the_hashes(tmp_path: Path) -> None:
    customers = ready()
    contacts = make_contacts(customers["customer_id"].tolist()).assign(may_match=True)
    contacts.loc[0, "may_match"] = False  # the customer, whose hash is of another address
    customers.loc[1, "hash"] = hashed("c00000")  # the customer's identifier, of somebody else
    customers.loc[2, "hash"] = hash_email("two@example.com")
    customers.loc[5, "ok"] = False
    more = make_contacts(["elsewhere", "c00003", "c00004"]).assign(
        channel_type=["EMAIL", "SMS", "EMAIL"], address=["two@example.com", "+4930123456", "junk"], may_match=False
    )
    assert {key for _, key in both(tmp_path, customers, pd.concat([contacts, more]))} == {"c00006", "c00007"}


def test_refusal_of_who_has_no_identifier_in_the_ready_table_counts_for_the_customer(tmp_path: Path) -> None:
    customers = ready()
    customers.loc[0, ["hash", "ok"]] = [None, False]
    contacts = make_contacts(["c00000", "other"]).assign(may_match=True, address="same@example.com")
    customers.loc[1, "hash"] = hash_email("same@example.com")
    assert {key for _, key in both(tmp_path, customers, contacts)} == {f"c0000{n}" for n in range(2, 8)}


def test_one_refusal_of_a_customer_counts_for_all_its_addresses(tmp_path: Path) -> None:
    contacts = make_contacts(["a", "b", "b"]).assign(
        may_match=[True, True, False], address=["a@x.de", "b@x.de", "c@x.de"]
    )
    write_table(tmp_path, "contacts", contacts)
    keys, _ = build_match_keys(SETTINGS, tmp_path)
    assert keys["customer_key"].tolist() == ["a"]


def test_ready_table_without_a_column_of_consent_offers_everybody(tmp_path: Path) -> None:
    settings = replace(with_roles(hashed_id="hash", ignore=("duration", "ok")), query=SETTINGS.query)
    keys, _ = keys_of(tmp_path, ready().assign(ok=False), settings)
    assert len(keys) == 8


def test_labels_and_split_are_not_needed_to_match(tmp_path: Path) -> None:
    assert len(keys_of(tmp_path, ready().drop(columns="y"))[0]) == 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.assign(ok=False), "no customer may be matched"),
        (lambda t: t.assign(hash=None).astype({"hash": "string"}), "no customer may be matched"),
        (lambda t: t.assign(hash="x"), "no customer may be matched"),
        (lambda t: t.head(0), "no customer may be matched"),
        (lambda t: t.drop(columns="hash"), "column hash is missing from customers"),
        (lambda t: t.assign(hash=5), "column hash of customers must be text"),
        (lambda t: t.drop(columns="ok"), "column ok is missing from customers"),
    ],
    ids=["all refuse", "no identifiers", "all junk", "no rows", "column missing", "numbers", "no consent column"],
)
def test_nobody_to_match_and_bad_tables_are_refused(tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(ContractError, match=words) as caught:
        build_match_keys(READY, write_customers(tmp_path, change(ready())))
    assert caught.value.fix


def test_contacts_are_hashed_where_there_are_no_hashes(tmp_path: Path) -> None:
    contacts = make_contacts(["a", "b", "c"]).assign(may_match=True)
    contacts.loc[1, "address"] = "junk"
    contacts = pd.concat([contacts, contacts[2:].assign(channel_type="SMS", address="+4930123456")])
    write_table(tmp_path, "contacts", contacts)
    keys, unusable = build_match_keys(SETTINGS, tmp_path)
    assert set(keys.itertuples(index=False, name=None)) == {
        (hash_email("a@example.com"), "a"),
        (hash_email("c@example.com"), "c"),
    }
    assert unusable == 1


def test_contacts_without_rows_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path, "contacts", make_contacts(["a"]).head(0).astype({"may_match": bool, "may_contact": bool}))
    with pytest.raises(ContractError, match="no customer may be matched"):
        build_match_keys(SETTINGS, tmp_path)


def test_second_run_takes_no_file_from_a_query_of_the_same_customers_and_leaves_none_of_others(
    accounts: TwoAccounts,
) -> None:
    settings = replace(SETTINGS, data_bucket="spring-keys")
    accounts.s3().create_bucket(Bucket="spring-keys")
    first = pd.DataFrame({"hashed_id": ["h1", "h2"], "customer_key": ["a", "b"]})
    refresh_match_keys(settings, first)
    (kept,) = accounts.keys("spring-keys")
    refresh_match_keys(settings, first)
    assert accounts.keys("spring-keys") == [kept]
    refresh_match_keys(settings, first[:1])
    (other,) = accounts.keys("spring-keys")
    assert other != kept
    found = wr.s3.read_parquet(f"s3://spring-keys/{other}", boto3_session=accounts.brand)
    assert found.astype(str).values.tolist() == [["h1", "a"]]


@pytest.fixture
def bucket(accounts: TwoAccounts) -> Iterator[TwoAccounts]:
    """The bucket of query results, with the result of an earlier query."""
    accounts.s3().create_bucket(Bucket="spring-results")
    wr.s3.to_parquet(RESULT, path=f"{URI}part-0.parquet", boto3_session=accounts.brand)
    yield accounts
    for key in accounts.keys("spring-results"):
        accounts.s3().delete_object(Bucket="spring-results", Key=key)


def test_result_of_an_earlier_query_is_read_instead_of_a_new_one(bucket: TwoAccounts, tmp_path: Path) -> None:
    write_settings(tmp_path / "processing" / "input", SETTINGS)
    arguments = ["--ml-dir", str(tmp_path), "--execution-id", "exec1", "--query-result-uri", URI]
    assert main(arguments) == 0
    answer = tmp_path / "processing" / "query_result"
    assert pq.read_table(answer / "query_result.parquet").to_pandas()["customer_key"].tolist() == ["a", "b"]
    note = json.loads((answer / "query.json").read_text())
    assert (note["query_id"], note["location"], note["rows"], note["rule"]) == ("reused", URI, 2, "LIST")
    message = (tmp_path / "output" / "message").read_text()
    assert message == f"result of an earlier query reused ({URI}), 2 rows from the partner"


@pytest.mark.parametrize(
    ("result", "uri", "words"),
    [
        (RESULT.drop(columns="band"), URI, "column band is missing from query result"),
        (RESULT.head(0), URI, "the query result is empty"),
        (RESULT, "s3://spring-results/nowhere/", "there is no query result · s3://spring-results/nowhere/"),
        (RESULT, "spring-results/earlier/", "the query result is not Parquet in S3"),
        (RESULT.assign(affinity=float("inf")), URI, "column affinity of query result has NaN or an infinite value"),
    ],
    ids=["column missing", "no rows", "nothing there", "no address of S3", "infinite"],
)
def test_result_that_can_not_be_used_is_refused_and_not_left_behind(
    bucket: TwoAccounts, tmp_path: Path, result: pd.DataFrame, uri: str, words: str
) -> None:
    wr.s3.to_parquet(result, path=f"{URI}part-0.parquet", boto3_session=bucket.brand)
    with pytest.raises(ContractError, match=words):
        query_clean_rooms(SETTINGS, tmp_path, tmp_path / "out", "exec1", uri)
    assert not (tmp_path / "out" / "query_result.parquet").exists()
    assert not (tmp_path / "out" / "query.json").exists()


def test_bucket_that_does_not_exist_is_named(bucket: TwoAccounts, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"can't be read · s3://spring-nowhere/q/ · .*NoSuchBucket"):
        query_clean_rooms(SETTINGS, tmp_path, tmp_path / "out", "exec1", "s3://spring-nowhere/q/")


def test_object_that_is_no_parquet_is_refused(bucket: TwoAccounts, tmp_path: Path) -> None:
    bucket.s3().put_object(Bucket="spring-results", Key="earlier/q-1/notes.txt", Body=b"not what you look for")
    with pytest.raises(ContractError, match="the query result is not Parquet in S3"):
        query_clean_rooms(SETTINGS, tmp_path, tmp_path / "out", "exec1", URI)


@pytest.mark.parametrize(
    "values",
    [["1.10", "2.20", "1000.10", None, "0.05", "7"], [None, None, "1000.10", "-3.2", None, None], [None] * 6],
    ids=["longer later", "missing at first", "missing"],
)
def test_decimals_are_read_whatever_their_digits_in_each_chunk(
    bucket: TwoAccounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: list[str | None]
) -> None:
    monkeypatch.setattr("processing.query_clean_rooms.CHUNK_ROWS", 2)
    affinity = pa.array([Decimal(value) if value else None for value in values], pa.decimal128(12, 2))
    band, day = pa.array([None, None, "low", None, "x", None], pa.string()), RESULT["attribute_date"][0]
    result = {"customer_key": list("abcdef"), "affinity": affinity, "band": band, "attribute_date": [day] * 6}
    pq.write_table(pa.table(result), tmp_path / "part.parquet")
    bucket.s3().upload_file(str(tmp_path / "part.parquet"), "spring-results", "earlier/q-1/part-0.parquet")
    query_clean_rooms(SETTINGS, tmp_path, tmp_path / "out", "exec1", URI)
    found = pq.read_table(tmp_path / "out" / "query_result.parquet")
    assert found["affinity"].to_pylist() == [float(value) if value else None for value in values]
    assert found["affinity"].type == pa.float64()
    assert found["band"].to_pylist() == band.to_pylist()
    assert found["attribute_date"].to_pylist() == [day] * 6


def test_results_of_two_queries_at_one_address_are_refused(bucket: TwoAccounts, tmp_path: Path) -> None:
    other = RESULT.assign(affinity=["many", "few"])
    wr.s3.to_parquet(other, path=f"{URI}part-1.parquet", boto3_session=bucket.brand)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("processing.query_clean_rooms.CHUNK_ROWS", 2)
        with pytest.raises(ContractError, match="the files of the query result differ"):
            query_clean_rooms(SETTINGS, tmp_path, tmp_path / "out", "exec1", URI)
    assert not (tmp_path / "out" / "query_result.parquet").exists()


def test_project_without_a_partner_has_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="this project has no partner"):
        query_clean_rooms(replace(SETTINGS, query=None), tmp_path, tmp_path / "out", "exec1", "none")
