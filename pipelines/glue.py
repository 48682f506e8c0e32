"""Where a table of the Glue Data Catalog lies: its files are read as they are, so it must be Parquet in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from contracts.errors import SettingsError

if TYPE_CHECKING:
    import boto3


def find_table(session: boto3.Session, account: str, address: str) -> str:
    """Return the S3 prefix of ``glue://database/table``.

    Raises
    ------
    SettingsError
        If there is no such table, or it is not Parquet in S3.
    """
    database, _, name = address.removeprefix("glue://").partition("/")
    try:
        table = session.client("glue").get_table(CatalogId=account, DatabaseName=database, Name=name)["Table"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            raise
        raise SettingsError(
            f"there is no table {name} in the Glue database {database}",
            where=f"project.toml, {address}",
            why=error.response["Error"]["Message"],
            fix="check both names in the Glue Data Catalog of the brand's account",
        ) from error
    storage = table["StorageDescriptor"]
    location, form = storage.get("Location", ""), storage.get("InputFormat", "")
    if not location.startswith("s3://") or "parquet" not in form.lower():
        raise SettingsError(
            f"the Glue table {database}.{name} is not Parquet in S3",
            where=f"project.toml, {address}",
            why=f"it lies at {location or 'no place'} as {form or 'no format'}",
            fix="name a Parquet table",
        )
    return location.rstrip("/") + "/"
