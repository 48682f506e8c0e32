"""Tables of the Glue Data Catalog: read where they lie, refused where they are not Parquet in S3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from contracts.errors import SettingsError
from pipelines.glue import find_table
from tests.definitions import define, make_project, steps_of
from tests.embedded_aws import TwoAccounts

ACCOUNT = "111111111111"
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
TEXT = "org.apache.hadoop.mapred.TextInputFormat"


@pytest.fixture(scope="module")
def catalog(accounts: TwoAccounts) -> TwoAccounts:
    """A database with tables of several kinds."""
    glue = accounts.brand.client("glue")
    glue.create_database(DatabaseInput={"Name": "lake"})
    tables: dict[str, dict[str, Any]] = {
        "events": {"Location": "s3://lake/events", "InputFormat": PARQUET},
        "contacts-1": {"Location": "s3://lake/contacts/", "InputFormat": PARQUET},
        "as_text": {"Location": "s3://lake/text/", "InputFormat": TEXT},
        "stream": {"Location": "kinesis://stream", "InputFormat": PARQUET},
        "bare": {},
    }
    for name, storage in tables.items():
        columns = [{"Name": "customer_key", "Type": "string"}]
        glue.create_table(
            DatabaseName="lake", TableInput={"Name": name, "StorageDescriptor": {"Columns": columns, **storage}}
        )
    return accounts


@pytest.mark.parametrize(
    ("address", "uri"),
    [("glue://lake/events", "s3://lake/events/"), ("glue://lake/contacts-1", "s3://lake/contacts/")],
)
def test_table_is_read_where_it_lies(catalog: TwoAccounts, address: str, uri: str) -> None:
    assert find_table(catalog.brand, ACCOUNT, address) == uri


@pytest.mark.parametrize("address", ["glue://lake/nothing", "glue://nowhere/events"])
def test_table_that_there_is_not_is_refused_by_name(catalog: TwoAccounts, address: str) -> None:
    with pytest.raises(SettingsError, match="there is no table") as caught:
        find_table(catalog.brand, ACCOUNT, address)
    assert address in caught.value.where
    assert caught.value.why


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("as_text", f"it lies at s3://lake/text/ as {TEXT}"),
        ("stream", "it lies at kinesis://stream"),
        ("bare", "it lies at no place as no format"),
    ],
)
def test_table_that_is_not_parquet_in_s3_is_refused(catalog: TwoAccounts, name: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"the Glue table lake.{name} is not Parquet in S3") as caught:
        find_table(catalog.brand, ACCOUNT, f"glue://lake/{name}")
    assert why in caught.value.why


def test_refusal_of_the_service_is_not_taken_for_a_missing_table(catalog: TwoAccounts) -> None:
    stranger = boto3.Session("AKIAIOSFODNN7EXAMPLE", "wrong", region_name="us-east-1")
    with pytest.raises(ClientError):
        find_table(stranger, ACCOUNT, "glue://lake/nothing")


def test_pipeline_reads_a_glue_table_from_its_place(catalog: TwoAccounts, tmp_path: Path) -> None:
    tables = '[tables]\nevents = "glue://lake/events"\ncontacts = "glue://lake/contacts-1"'
    definition = define(make_project(tmp_path / "spring", tables=tables), "score")
    (features,) = (step for step in steps_of(definition) if step["Name"] == "BuildFeatures")
    uris = {one["InputName"]: one["S3Input"]["S3Uri"] for one in features["Arguments"]["ProcessingInputs"]}
    assert (uris["events"], uris["contacts"]) == ("s3://lake/events/", "s3://lake/contacts/")
