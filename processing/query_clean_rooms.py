"""Step QueryCleanRooms: refresh the match keys, run the protected query, read its result.

Comes in: contacts. Goes out: the checked query result as Parquet, and ``query.json`` (query id, seconds, billed units).
Refused: nobody who may be matched, an empty result, a result that breaks its contract. The result is read in chunks.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import awswrangler as wr
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clean_rooms.identity import hash_email
from clean_rooms.list_query import build_list_query
from clean_rooms.protected_query import QueryResult, find_membership, make_client, run_query
from contracts.contacts import CONTACTS
from contracts.errors import ContractError
from contracts.job import run_job
from contracts.match_keys import MATCH_KEYS, SCHEMA
from contracts.query_result import query_result_contract
from contracts.run_settings import RunSettings, read_run_settings
from contracts.table import read_batches

CHUNK_ROWS = 500_000


def build_match_keys(contacts_dir: Path) -> tuple[pd.DataFrame, int]:
    """Hash the addresses of customers who allow matching. One refusal of an address, on any row, counts for all.

    Returns
    -------
    DataFrame of shape (n_keys, 2)
        ``hashed_id`` and ``customer_key``, unique and sorted, so that equal input gives equal bytes.
    int
        How many addresses were left out because they are not e-mail addresses.
    """
    frames, unusable = [], 0
    for batch in read_batches(contacts_dir, CONTACTS):
        contacts = batch.to_pandas()
        contacts = contacts[contacts["channel_type"] == "EMAIL"]
        hashed = contacts["address"].map(hash_email)
        unusable += int((hashed.isna() & contacts["may_match"]).sum())
        frames.append(contacts[["customer_key", "may_match"]].assign(hashed_id=hashed).dropna())
    known = pd.concat(frames, ignore_index=True)
    refused = known.loc[~known["may_match"], "hashed_id"]
    keys = known.loc[~known["hashed_id"].isin(refused), ["hashed_id", "customer_key"]]
    keys = keys.drop_duplicates().sort_values(["hashed_id", "customer_key"])
    if keys.empty:
        raise ContractError(
            "no customer may be matched",
            where="contacts",
            why=f"no row has may_match with a usable e-mail address ({unusable:,} unusable)",
            fix="check may_match, channel_type and address in contacts",
        )
    keys = keys.reset_index(drop=True)
    MATCH_KEYS.check_rows(pa.Table.from_pandas(keys, schema=SCHEMA), where="match keys")
    return keys, unusable


def read_result(result: QueryResult, settings: RunSettings, output: Path) -> int:
    """Read the result in chunks, check each against the contract, and write it to ``output``; return its rows.

    Raises
    ------
    ContractError
        If the result is empty or breaks the contract. ``output`` is then not left behind.
    """
    contract = query_result_contract(settings.query.partner_columns)
    writer: pq.ParquetWriter | None = None
    rows = 0
    partial = output.with_suffix(".partial")
    try:
        for chunk in wr.s3.read_parquet(path=result.location, chunked=CHUNK_ROWS):
            if chunk.empty:  # a result without rows has no types either
                continue
            table = pa.Table.from_pandas(chunk, preserve_index=False).replace_schema_metadata(None)
            contract.check_schema(table.schema, where=result.location)
            contract.check_rows(table, where=result.location)
            writer = writer or pq.ParquetWriter(partial, table.schema)
            writer.write_table(table.cast(writer.schema))
            rows += table.num_rows
    except wr.exceptions.NoFilesFound:
        rows = 0
    finally:
        if writer:
            writer.close()
    if not rows:
        partial.unlink(missing_ok=True)
        raise ContractError(
            "the query result is empty",
            where=result.location,
            why="no customer of ours has an identifier that the partner knows, or Clean Rooms left every row out",
            fix="compare how both parties normalise and hash their identifiers before you pay for another query",
        )
    partial.replace(output)
    return rows


def query_clean_rooms(settings: RunSettings, contacts_dir: Path, output_dir: Path, execution_id: str) -> str:
    """Do the step's work and return its summary."""
    keys, unusable = build_match_keys(contacts_dir)
    older = wr.s3.list_objects(settings.match_keys_uri)
    wr.s3.to_parquet(
        keys,
        path=settings.match_keys_uri,
        dataset=True,
        mode="append",
        dtype={"hashed_id": "string", "customer_key": "string"},
        filename_prefix="match-keys-",
    )
    if older:  # only now, so that a query that runs meanwhile finds whole files; a key in two of them counts once
        wr.s3.delete_objects(older)
    client = make_client()
    membership_id = find_membership(client, settings.query.collaboration)
    result = run_query(
        client,
        make_client(attempts=1),
        membership_id,
        build_list_query(settings.query),
        bucket=settings.results_bucket,
        key_prefix=f"{settings.project}/query-results/{execution_id}",
        deadline_seconds=settings.query.deadline_seconds,
    )
    output_dir.mkdir(parents=True, exist_ok=True)
    rows = read_result(result, settings, output_dir / "query_result.parquet")
    (output_dir / "query.json").write_text(json.dumps(asdict(result), indent=1, sort_keys=True))
    left_out = f", {unusable:,} unusable addresses left out" if unusable else ""
    billed = "" if result.billed_units is None else f", {result.billed_units:.2f} CRPU-hours"
    return f"{len(keys):,} match keys{left_out}, {rows:,} rows from the partner{billed}"


def interrupt(signum: int, frame: FrameType | None) -> None:
    """Turn a stop request into an interrupt, so that a running query is cancelled."""
    raise KeyboardInterrupt


def main(argv: list[str]) -> int:
    """Run the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ml-dir", type=Path, required=True)
    parser.add_argument("--execution-id", required=True)
    arguments = parser.parse_args(argv)
    inputs = arguments.ml_dir / "processing" / "input"
    signal.signal(signal.SIGTERM, interrupt)
    return run_job(
        lambda: query_clean_rooms(
            read_run_settings(inputs / "settings"),
            inputs / "contacts",
            arguments.ml_dir / "processing" / "query_result",
            arguments.execution_id,
        ),
        note=arguments.ml_dir / "output" / "message",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
