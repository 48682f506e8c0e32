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
    values = ", ".join(quoted(name) for name in settings.partner_columns if name != DATE)
    is_dated = DATE in settings.partner_columns
    known = f"query_result SEMI JOIN {base} USING ({KEY})"
    if is_dated and as_of and not settings.partner_columns_are_static:
        refuse_later_values(connection, base, as_of, settings.partner_columns)
        known += f" WHERE {DATE}::DATE <= DATE '{as_of}'"
    newest, chosen, partner = f"newest_{base}", f"chosen_{base}", f"partner_{base}"
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE {newest} AS
        SELECT {KEY}, {f"max({DATE})" if is_dated else "NULL"} AS newest FROM {known}
        GROUP BY {KEY} {f"HAVING max({DATE}) IS NOT NULL" if is_dated else ""}"""
    )
    of_date = f"WHERE q.{DATE} = n.newest" if is_dated else ""
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW {chosen} AS
        SELECT q.* FROM query_result q JOIN {newest} n USING ({KEY}) {of_date}"""
    )
    (matched,) = one_row(connection, f"SELECT count(*) FROM {newest}")
    (rows,) = one_row(connection, f"SELECT count(*) FROM {chosen}")
    duplicates, view = 0, f"SELECT {KEY}, {values} FROM {chosen}"
    if rows > matched:
        repeated = f"repeated_{base}"
        connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE {repeated} AS
            SELECT {KEY} FROM {chosen} GROUP BY {KEY} HAVING count(*) > 1"""
        )
        (duplicates,) = one_row(connection, f"SELECT count(*) FROM {repeated}")
        view = f"""{view} ANTI JOIN {repeated} USING ({KEY})
            UNION ALL {view} SEMI JOIN {repeated} USING ({KEY})
            QUALIFY row_number() OVER (PARTITION BY {KEY} ORDER BY {hash_of_row(settings.partner_columns)}) = 1"""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {partner} AS {view}")
    if matched and 100 * duplicates / matched > settings.max_duplicate_percent:
        raise ContractError(
            f"{duplicates:,} of {matched:,} matched customers have several partner rows of one date",
            where="query result",
            why=f"over {settings.max_duplicate_percent:g} percent: the partner's table has no single row per person",
            fix="ask the partner for one row per identifier and date, or raise [query].max_duplicate_percent",
        )
    age_days = None
    if as_of and is_dated:
        (age_days,) = one_row(connection, f"SELECT DATE '{as_of}' - max(newest::DATE) FROM {newest}")
    return partner, PartnerJoin(matched, duplicates, age_days)


def hash_of_row(columns: tuple[str, ...]) -> str:
    """Write the hash of a row's values, which puts rows that nothing else tells apart in an order of its own."""
    values = (f"coalesce({quoted(name)}::VARCHAR, chr(0))" for name in columns if name != DATE)
    return f"sha256(concat_ws('|', {', '.join(values)}))"


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
