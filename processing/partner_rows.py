"""The partner's answer meets the customers of a snapshot: one row for each, no value from after the date.

Comes in: the checked query result as the view ``query_result``. Goes out: a view with one row per matched customer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import duckdb

from contracts.errors import ContractError
from contracts.query_result import DATE, KEY
from contracts.run_settings import RunSettings
from processing.sql import one_row, quoted


@dataclass(frozen=True)
class PartnerJoin:
    """How the partner's rows met a snapshot's customers.

    ``age_days`` is how much older than the snapshot the newest value is, negative if it is younger; None if undated.
    """

    matched: int
    duplicates: int
    age_days: int | None = None


def choose_partner_rows(
    connection: duckdb.DuckDBPyConnection, settings: RunSettings, base: str, as_of: date | None
) -> tuple[str, PartnerJoin]:
    """Choose one partner row for each customer of ``base``.

    The newest dated on or before ``as_of`` (of an undated table, the newest), then the lowest row hash.

    Raises
    ------
    ContractError
        If a customer has partner values that are all dated after ``as_of`` (by name, unless the project says that the
        partner's columns are static), or too many customers have several rows that nothing tells apart.
    """
    values = [quoted(name) for name in settings.partner_columns if name != DATE]
    known = f"SELECT * FROM query_result WHERE {KEY} IN (SELECT {KEY} FROM {base})"
    newest = ""
    if DATE in settings.partner_columns:
        if as_of and not settings.partner_columns_are_static:
            refuse_later_values(connection, base, as_of, settings.partner_columns)
            known += f" AND {DATE}::DATE <= DATE '{as_of}'"
        newest = f"WHERE {DATE} = (SELECT max(n.{DATE}) FROM known n WHERE n.{KEY} = known.{KEY})"
    row_hash = f"sha256(concat_ws('|', {', '.join(f'coalesce({name}::VARCHAR, chr(0))' for name in values)}))"
    chosen, repeated, partner = f"chosen_{base}", f"repeated_{base}", f"partner_{base}"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {chosen} AS WITH known AS ({known}) SELECT * FROM known {newest}")
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE {repeated} AS
        SELECT {KEY} FROM {chosen} GROUP BY {KEY} HAVING count(*) > 1"""
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW {partner} AS
        SELECT {KEY}, {", ".join(values)} FROM {chosen} ANTI JOIN {repeated} USING ({KEY})
        UNION ALL
        SELECT {KEY}, {", ".join(values)} FROM {chosen} SEMI JOIN {repeated} USING ({KEY})
        QUALIFY row_number() OVER (PARTITION BY {KEY} ORDER BY {row_hash}) = 1"""
    )
    (matched,) = one_row(connection, f"SELECT count(DISTINCT {KEY}) FROM {chosen}")
    (duplicates,) = one_row(connection, f"SELECT count(*) FROM {repeated}")
    if matched and 100 * duplicates / matched > settings.max_duplicate_percent:
        raise ContractError(
            f"{duplicates:,} of {matched:,} matched customers have several partner rows of one date",
            where="query result",
            why=f"over {settings.max_duplicate_percent:g} percent: the partner's table has no single row per person",
            fix="ask the partner for one row per identifier and date, or raise [query].max_duplicate_percent",
        )
    age_days = None
    if as_of and DATE in settings.partner_columns:
        (age_days,) = one_row(connection, f"SELECT DATE '{as_of}' - max({DATE}::DATE) FROM {chosen}")
    return partner, PartnerJoin(matched, duplicates, age_days)


def refuse_later_values(
    connection: duckdb.DuckDBPyConnection, base: str, as_of: date, columns: tuple[str, ...]
) -> None:
    """Stop if a customer's partner values all come from after the snapshot: the model would learn from the future."""
    later, newest = one_row(
        connection,
        f"""SELECT count(*), max(oldest) FROM (
            SELECT min({DATE}::DATE) AS oldest FROM query_result
            WHERE {KEY} IN (SELECT {KEY} FROM {base}) GROUP BY {KEY})
        WHERE oldest > $as_of""",
        {"as_of": as_of},
    )
    if later:
        named = ", ".join(name for name in columns if name != DATE)
        raise ContractError(
            f"partner columns {named} of {later:,} customers are dated after the snapshot",
            where=f"query result, {DATE} up to {newest}, snapshot {as_of}",
            why="a model must not learn from what was not known yet",
            fix=f"ask the partner for values as of {as_of}, or set partner_columns_are_static if they never change",
        )
