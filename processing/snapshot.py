"""A snapshot of the customers: their own features, the user's, and the partner's, in one view with its contract.

No time travel: what joins here was known on the date (``features``, ``own_features`` and ``partner_rows`` see to it).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import duckdb

from contracts.errors import ContractError
from contracts.feature_table import KEY_COLUMNS, LABEL_PREFIX, Feature
from contracts.query_result import KEY
from contracts.run_settings import RunSettings
from contracts.segment_file import ENDPOINT_COLUMNS
from processing import features, ready_table
from processing.own_features import own_features
from processing.partner_rows import PartnerJoin, choose_partner_rows
from processing.sql import columns_of, quoted


@dataclass(frozen=True)
class Snapshot:
    """One date's customers.

    ``view`` has ``customer_key`` and the features, ``base`` the customers; ``columns`` are the features in their order,
    categories not filled in; ``join`` tells how the partner's rows met the customers, None without a partner.
    """

    view: str
    base: str
    columns: list[Feature]
    join: PartnerJoin | None


def take_snapshot(connection: duckdb.DuckDBPyConnection, settings: RunSettings, as_of: date | None) -> Snapshot:
    """Join a date's features; unmatched customers keep missing partner columns.

    Raises
    ------
    ContractError, SettingsError
        If two parties' features have one name, or what the joined tables refuse.
    """
    hidden: tuple[str, ...] = ()
    if settings.customers is None:
        if as_of is None:
            raise ContractError(
                "events need a date to look back from", where="AsOf", fix="start with AsOf = YYYY-MM-DD"
            )
        base, source = features.brand_features(connection, as_of), "events"
    else:
        base, source = ready_table.BASE, "customers"
        hidden = ready_table.columns_of_training(settings.customers, settings.goals)
    parts = [("brand", base)]
    if settings.features_sql:
        parts.append(("brand", own_features(connection, settings.features_sql, source, base, as_of, hidden)))
    join = None
    if settings.query:
        partner, join = choose_partner_rows(connection, settings, base, as_of)
        parts.append(("partner", partner))
    columns: list[Feature] = []
    selected, joins = [], ""
    for number, (party, table) in enumerate(parts):
        for name, type_ in columns_of(connection, table).items():
            if name == KEY:
                continue
            refuse_clash(name, columns, party)
            is_text = type_.startswith(("VARCHAR", "ENUM"))
            columns.append(Feature(name, "category" if is_text else "number", party))
            cast = "VARCHAR" if is_text else "DOUBLE"
            selected.append(f"t{number}.{quoted(name)}::{cast} AS {quoted(name)}")
        if number:
            joins += f" LEFT JOIN {table} t{number} USING ({KEY})"
    view = f"snapshot_{base}"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT t0.{KEY}, {', '.join(selected)} FROM {base} t0 {joins}"
    )
    return Snapshot(view, base, columns, join)


def refuse_clash(name: str, columns: list[Feature], party: str) -> None:
    """Stop if a feature has a name that is taken; names that differ only in case are one name in SQL, not in shards."""
    taken = {column.name.casefold() for column in columns} | set(KEY_COLUMNS)
    if name.casefold() in taken or name in ENDPOINT_COLUMNS or name.startswith(LABEL_PREFIX):
        raise ContractError(
            f"{party} columns have the names of other features: {name}",
            where="query result" if party == "partner" else "tables.features",
            fix="rename it; each feature needs a name of its own",
        )
