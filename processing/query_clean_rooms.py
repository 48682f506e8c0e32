"""Step QueryCleanRooms: refresh the match keys, run the protected query, read its result.

Comes in: contacts, a ready table with hashed identifiers, or both. Goes out: the checked query result as Parquet, and
``query.json`` (query id, rule, seconds, billed units, rows). Refused: nobody who may be matched, a query that breaks a
rule (before it starts), an empty result, a result that breaks its contract. The result is read in chunks; an earlier
query's can be read instead of a new one.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, cast

import awswrangler as wr
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from botocore.exceptions import BotoCoreError, ClientError

from clean_rooms.identity import hash_email
from clean_rooms.list_query import build_list_query
from clean_rooms.protected_query import QueryResult, TemplateRun, find_membership, make_client, run_query
from clean_rooms.query_check import check_query
from clean_rooms.templates import find_template
from contracts.contacts import CONTACTS
from contracts.customers import customers_contract, read_customers
from contracts.errors import ContractError, ServiceError
from contracts.job import run_job
from contracts.match_keys import MATCH_KEYS, SCHEMA
from contracts.naming import NEW_QUERY
from contracts.query_result import query_result_contract
from contracts.run_settings import Query, RunSettings, read_run_settings
from contracts.table import read_batches

if TYPE_CHECKING:
    from mypy_boto3_cleanrooms.literals import WorkerComputeTypeType

CHUNK_ROWS = 500_000
S3_ERRORS = (BotoCoreError, ClientError, wr.exceptions.ServiceApiError)
HASH = r"^[0-9a-f]{64}$"


def build_match_keys(settings: RunSettings, inputs: Path) -> tuple[pd.DataFrame, int]:
    """Collect the hashed identifiers of customers who allow matching.

    One refusal, on any row of contacts or of a ready table, counts for all: it takes out the customer, and whoever else
    has an identifier of that customer.

    Returns
    -------
    DataFrame of shape (n_keys, 2)
        ``hashed_id`` and ``customer_key``, unique and sorted, so that equal input gives equal bytes.
    int
        How many identifiers were left out because they can't be one.

    Raises
    ------
    ContractError
        If a table breaks its contract, or nobody may be matched.
    """
    ready = settings.customers
    source = "customers" if ready and ready.hashed_id else "contacts"
    tables: dict[str, pd.DataFrame] = {}
    if ready and (ready.hashed_id or ready.may_match):
        tables["customers"] = in_one(identify_customers(settings, inputs))
    if settings.has_contacts:
        tables["contacts"] = in_one(identify_contacts(inputs / "contacts"))
    known = pd.concat(tables.values(), ignore_index=True)
    is_refused = known["customer_key"].isin(known.loc[~known["may_match"], "customer_key"])
    refused = known.loc[is_refused, ["hashed_id", "customer_key"]]
    offered = tables[source]
    unusable = int((offered["is_unusable"] & offered["may_match"]).sum())
    keys = offered.loc[offered["hashed_id"].notna(), ["hashed_id", "customer_key"]]
    for name in ("hashed_id", "customer_key"):
        keys = keys[~keys[name].isin(refused[name].dropna())]
    if keys.empty:
        raise ContractError(
            "no customer may be matched",
            where=" and ".join(tables),
            why=f"nobody has a usable identifier ({unusable:,} unusable) and no refusal of matching",
            fix="check may_match, and the e-mail addresses (contacts) or their SHA-256 (columns.hashed_id)",
        )
    keys = keys.drop_duplicates().sort_values(["hashed_id", "customer_key"], ignore_index=True)
    MATCH_KEYS.check_rows(pa.Table.from_pandas(keys, schema=SCHEMA), where="match keys")
    return keys, unusable


def in_one(batches: Iterator[pd.DataFrame]) -> pd.DataFrame:
    """Put the rows of a table together; of a table without rows, the columns."""
    empty = pd.DataFrame({"customer_key": [], "may_match": [], "hashed_id": [], "is_unusable": []}, dtype=object)
    return pd.concat([empty, *batches], ignore_index=True).astype({"may_match": bool, "is_unusable": bool})


def identify_contacts(contacts_dir: Path) -> Iterator[pd.DataFrame]:
    """Yield customer_key, may_match, hashed_id (None where there is none) and is_unusable of each address."""
    for batch in read_batches(contacts_dir, CONTACTS):
        contacts = batch.to_pandas()
        is_email = contacts["channel_type"] == "EMAIL"
        hashed = contacts["address"].where(is_email).map(hash_email, na_action="ignore")
        yield contacts[["customer_key", "may_match"]].assign(hashed_id=hashed, is_unusable=is_email & hashed.isna())


def identify_customers(settings: RunSettings, inputs: Path) -> Iterator[pd.DataFrame]:
    """Yield the same of a ready table, with its own hashed identifiers or none; no value is no identifier."""
    ready = settings.customers
    if ready is None:
        raise ContractError("this project has no ready table", where="run settings", fix="pseg pipeline upsert")
    contract = customers_contract(ready, tuple(goal.label for goal in settings.goals), is_training=False)
    for batch in read_customers(inputs / "customers", contract):
        rows = batch.num_rows
        hashed = batch.column(ready.hashed_id).cast(pa.string()) if ready.hashed_id else pa.nulls(rows, pa.string())
        is_hash = pc.match_substring_regex(hashed, HASH)
        table = {
            "customer_key": batch.column(ready.customer_key).cast(pa.string()),
            "may_match": batch.column(ready.may_match) if ready.may_match else pa.array([True] * rows),
            "hashed_id": pc.if_else(is_hash, hashed, pa.scalar(None, pa.string())),
            "is_unusable": pc.fill_null(pc.invert(is_hash), False),
        }
        yield pa.table(table).to_pandas()


def read_result(location: str, settings: RunSettings, output: Path) -> int:
    """Read the result in chunks, check each against the contract, and write it to ``output``; return its rows.

    Raises
    ------
    ContractError
        If there is no result, or it is empty or breaks the contract. ``output`` is then not left behind.
    ServiceError
        If S3 does not give it out.
    """
    contract = query_result_contract(settings.partner_columns)
    writer: pq.ParquetWriter | None = None
    rows = 0
    partial = output.with_suffix(".partial")
    try:
        for table in read_chunks(location):
            contract.check_schema(table.schema, where=location)
            contract.check_rows(table, where=location)
            writer = writer or pq.ParquetWriter(partial, table.schema)
            writer.write_table(in_form(table, writer.schema, location))
            rows += table.num_rows
    finally:
        if writer:
            writer.close()
    if not rows:
        partial.unlink(missing_ok=True)
        raise ContractError(
            "the query result is empty",
            where=location,
            why="no customer of ours has an identifier that the partner knows, or Clean Rooms left every row out",
            fix="compare how both parties normalise and hash their identifiers before you pay for another query",
        )
    partial.replace(output)
    return rows


def read_chunks(location: str) -> Iterator[pa.Table]:
    """Yield the rows below an address; a chunk without rows has no types either, and is left out."""
    try:
        for chunk in wr.s3.read_parquet(path=location, path_ignore_suffix=".json", chunked=CHUNK_ROWS):
            if not chunk.empty:
                yield with_plain_numbers(pa.Table.from_pandas(chunk, preserve_index=False))
    except wr.exceptions.NoFilesFound as error:
        raise ContractError(
            "there is no query result",
            where=location,
            why="no Parquet file lies there (a new query may write none where it leaves every row out)",
            fix="give the address that an earlier run noted in query.json (location), or run a new query",
        ) from error
    except S3_ERRORS as error:
        raise ServiceError(
            "the query result can't be read",
            where=location,
            why=str(error),
            fix="check the address (QueryResultUri), and that the pipeline's role may read there",
        ) from error
    except (pa.ArrowInvalid, wr.exceptions.InvalidArgumentValue, wr.exceptions.InvalidFile) as error:
        raise ContractError(
            "the query result is not Parquet in S3",
            where=location,
            why=str(error),
            fix="give the address that an earlier run noted in query.json (location), or run a new query",
        ) from error


def with_plain_numbers(table: pa.Table) -> pa.Table:
    """Turn decimals into doubles.

    pandas has each decimal as an object: the digits would be those of one chunk's values, and a chunk without a value
    would have no type at all. Nothing else of the contract does so, but a date, which has a value in each row.
    """
    is_decimal = [pa.types.is_decimal(field.type) or pa.types.is_null(field.type) for field in table.schema]
    fields = zip(table.schema, is_decimal, strict=True)
    return table.cast(
        pa.schema([field.with_type(pa.float64()) if decimal else field for field, decimal in fields])
    ).replace_schema_metadata(None)


def in_form(table: pa.Table, schema: pa.Schema, location: str) -> pa.Table:
    """Give a chunk the types of the first one."""
    try:
        return table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise ContractError(
            "the files of the query result differ",
            where=location,
            why=str(error),
            fix="does another query's result lie there too? give the address of one, or run a new query",
        ) from error


def refresh_match_keys(settings: RunSettings, keys: pd.DataFrame) -> None:
    """Put the match keys where the collaboration's table points, then remove others.

    The file is named after its content: a second run of the same customers finds its own there, and takes none away
    from the query of the first, which may be reading it.
    """
    content = sha256(pd.util.hash_pandas_object(keys, index=False).to_numpy().tobytes()).hexdigest()
    path = f"{settings.match_keys_uri.rstrip('/')}/match-keys-{content[:16]}.parquet"
    wr.s3.to_parquet(keys, path=path, index=False, dtype={"hashed_id": "string", "customer_key": "string"})
    others = [found for found in wr.s3.list_objects(settings.match_keys_uri) if found != path]
    if others:  # only now, so that there are always keys; a key in two files counts once
        wr.s3.delete_objects(others)


def ask_partner(settings: RunSettings, query: Query, execution_id: str) -> QueryResult:
    """Check and run the project's protected query: one of ours under a LIST rule, a CUSTOM rule's analysis template.

    Raises
    ------
    ContractError
        If it breaks a rule of a table; it is not started then.
    ServiceError
        If the rules can't be read, or the query fails.
    """
    client = make_client()
    membership_id = find_membership(client, query.collaboration)
    sql_or_template = (
        TemplateRun(find_template(client, membership_id, query.template))
        if query.rule == "CUSTOM"
        else build_list_query(query)
    )
    check_query(client, membership_id, sql_or_template)
    return run_query(
        client,
        make_client(attempts=1),
        membership_id,
        sql_or_template,
        bucket=settings.results_bucket,
        key_prefix=f"{settings.project}/query-results/{execution_id}",
        deadline_seconds=query.deadline_seconds,
        worker_type=cast("WorkerComputeTypeType", query.worker_type),
        workers=query.workers,
    )


def query_clean_rooms(settings: RunSettings, inputs: Path, output_dir: Path, execution_id: str, result_uri: str) -> str:
    """Do the step's work and return its summary."""
    query = settings.query
    if query is None:
        raise ContractError("this project has no partner", where="run settings", fix="pseg pipeline upsert")
    output_dir.mkdir(parents=True, exist_ok=True)
    if result_uri != NEW_QUERY:
        result = QueryResult("reused", result_uri, 0.0, 0.0)
        said = f"result of an earlier query reused ({result_uri})"
    else:
        keys, unusable = build_match_keys(settings, inputs)
        refresh_match_keys(settings, keys)
        result = ask_partner(settings, query, execution_id)
        left_out = f", {unusable:,} unusable identifiers left out" if unusable else ""
        said = f"{len(keys):,} match keys{left_out}"
    rows = read_result(result.location, settings, output_dir / "query_result.parquet")
    note = {**asdict(result), "rule": query.rule, "rows": rows}
    (output_dir / "query.json").write_text(json.dumps(note, indent=1, sort_keys=True))
    billed = f", {result.billed_units:.2f} CRPU-hours" if result.billed_units else ""
    return f"{said}, {rows:,} rows from the partner{billed}"


def interrupt(signum: int, frame: FrameType | None) -> None:
    """Turn a stop request into an interrupt, so that a running query is cancelled."""
    raise KeyboardInterrupt


def main(argv: list[str]) -> int:
    """Run the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ml-dir", type=Path, required=True)
    parser.add_argument("--execution-id", required=True)
    parser.add_argument("--query-result-uri", default=NEW_QUERY)
    arguments = parser.parse_args(argv)
    inputs = arguments.ml_dir / "processing" / "input"
    signal.signal(signal.SIGTERM, interrupt)
    return run_job(
        lambda: query_clean_rooms(
            read_run_settings(inputs / "settings"),
            inputs,
            arguments.ml_dir / "processing" / "query_result",
            arguments.execution_id,
            arguments.query_result_uri,
        ),
        note=arguments.ml_dir / "output" / "message",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
