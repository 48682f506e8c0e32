"""A made-up world of any size, drawn by DuckDB: purchases, contacts, and a partner who knows two thirds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb

from contracts.run_settings import FILE_NAME
from tests.worlds import AS_OF, SETTINGS, TRAINING_DATE

OWN_FEATURES = 23  # of features.sql
FEATURES = 50
PARTNER_COLUMNS = tuple(f"p{number:02d}" for number in range(FEATURES - OWN_FEATURES))


def make_inputs(inputs: Path, customers: int) -> None:
    """Write the inputs of BuildFeatures: about five purchases per customer, more of them by some."""
    for name in ("events", "contacts", "query_result", "settings"):
        (inputs / name).mkdir(parents=True)
    query = replace(SETTINGS.query, partner_columns=(*PARTNER_COLUMNS, "attribute_date"))
    (inputs / "settings" / FILE_NAME).write_bytes(replace(SETTINGS, query=query).to_json())
    con = duckdb.connect(config={"threads": 1})  # on one thread the same seed draws the same world
    con.execute("SELECT setseed(0.5)")
    key = "'k' || lpad(n::VARCHAR, 8, '0')"
    con.execute(
        f"""COPY (SELECT {key} AS customer_key, 'purchase' AS event_type,
            (TIMESTAMPTZ '{AS_OF} 09:00:00+00' - to_days((730 * random())::INTEGER)) AS event_time,
            round(60 * random(), 2) AS amount, (1 + 4 * random())::INTEGER::DOUBLE AS quantity
            FROM range({customers}) t(n), range((1 + 9 * random())::INTEGER)) TO '{inputs}/events/events.parquet'"""
    )
    con.execute(
        f"""COPY (SELECT {key} AS customer_key, 'EMAIL' AS channel_type, {key} || '@example.com' AS address,
            true AS may_match, true AS may_contact FROM range({customers}) t(n))
            TO '{inputs}/contacts/contacts.parquet'"""
    )
    values = ", ".join(f"random() AS {name}" for name in PARTNER_COLUMNS)
    con.execute(
        f"""COPY (SELECT {key} AS customer_key, {values}, DATE '{TRAINING_DATE}' AS attribute_date
            FROM range({customers}) t(n) WHERE n % 3 > 0) TO '{inputs}/query_result/result.parquet'"""
    )
