"""Who can be written to: the endpoints of a snapshot's customers, and why the others have none.

One refusal of an address, on any row of any customer, counts for all. A ready table without contacts has no addresses:
its customers are endpoints of the CUSTOM channel under their own key, and whoever sends knows the address.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from contracts.feature_table import Feature
from contracts.query_result import KEY
from contracts.run_facts import ANY_CHANNEL
from contracts.run_settings import ReadyTable
from contracts.segment_file import reachable_mask, writable_mask
from processing.sql import quoted

READ_ROWS = 100_000
OWN_KEY_CHANNEL = "CUSTOM"


@dataclass
class Endpoints:
    """The endpoints of those who may be contacted, in pieces; counts customers kept and addresses that are none."""

    reader: pa.RecordBatchReader
    kept: int = 0
    forbidden: int = 0
    people: dict[str, int] = field(default_factory=dict)
    last: tuple[str | None, set[str]] = (None, set())

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield the rows that can be written."""
        for batch in self.reader:
            rows = pa.Table.from_batches([batch])
            usable = rows.filter(pc.and_(writable_mask(rows), reachable_mask(rows)))
            self.kept += usable.num_rows
            self.forbidden += rows.num_rows - usable.num_rows
            if usable.num_rows:
                self.count(usable)
            yield usable

    def count(self, rows: pa.Table) -> None:
        """Count each customer once in each channel and once in all; rows come ordered by customer."""
        pairs = rows.select(["User.UserId", "ChannelType"]).group_by(["User.UserId", "ChannelType"]).aggregate([])
        keys, channels = pairs.column("User.UserId"), pairs.column("ChannelType")
        for item in pc.value_counts(channels).to_pylist():
            self.people[item["values"]] = self.people.get(item["values"], 0) + item["counts"]
        self.people[ANY_CHANNEL] = self.people.get(ANY_CHANNEL, 0) + pc.count_distinct(keys).as_py()
        first, last = rows.column("User.UserId")[0].as_py(), rows.column("User.UserId")[-1].as_py()
        before, seen = self.last
        if first == before:  # the customer began in the piece before
            self.people[ANY_CHANNEL] -= 1
            for channel in seen & set(channels.filter(pc.equal(keys, first)).to_pylist()):
                self.people[channel] -= 1
        own = set(channels.filter(pc.equal(keys, last)).to_pylist())
        self.last = (last, own | seen if last == before else own)


def register_contacts(
    connection: duckdb.DuckDBPyConnection, contacts: list[Path], ready: ReadyTable | None, base: str
) -> None:
    """Register ``contacts``: one row per address with ``is_allowed``, for the customers of ``base``."""
    consent = f"c.{quoted(ready.may_contact)}" if ready and ready.may_contact else "true"
    own = f"JOIN all_customers c USING ({KEY})" if ready else f"JOIN {base} c USING ({KEY})"
    if contacts:
        paths = [str(path) for path in contacts]
        connection.from_parquet(paths, union_by_name=True).create_view("raw_contacts", replace=True)
        connection.execute(
            """CREATE OR REPLACE TEMP TABLE refused AS
            SELECT DISTINCT channel_type, lower(trim(address)) AS folded FROM raw_contacts WHERE NOT may_contact"""
        )
        connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE contacts AS
            SELECT {KEY}, a.channel_type, a.address, bool_and(r.folded IS NULL AND {consent}) AS is_allowed
            FROM raw_contacts a {own}
            LEFT JOIN refused r ON r.channel_type = a.channel_type AND r.folded = lower(trim(a.address))
            GROUP BY ALL"""
        )
        return
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW contacts AS
        SELECT {KEY}, '{OWN_KEY_CHANNEL}' AS channel_type, {KEY} AS address, {consent} AS is_allowed
        FROM all_customers c"""
    )


def open_endpoints(connection: duckdb.DuckDBPyConnection, view: str, columns: list[Feature]) -> Endpoints:
    """Join a snapshot with the endpoints of those who may be contacted, sorted by customer and address.

    Numbers are single precision, as the model reads them: a shard of full length stays within its size.
    """
    names = ", ".join(
        f"s.{name}::FLOAT AS {name}" if column.kind == "number" else f"s.{name}"
        for column, name in ((column, quoted(column.name)) for column in columns)
    )
    relation = connection.sql(
        f"""SELECT c.channel_type AS "ChannelType", c.address AS "Address",
               sha256(concat_ws(chr(31), c.channel_type, c.address, c.{KEY}))[:32] AS "Id",
               c.{KEY} AS "User.UserId", {names}
        FROM contacts c JOIN {view} s USING ({KEY}) WHERE c.is_allowed
        ORDER BY c.{KEY}, c.channel_type, c.address"""
    )
    return Endpoints(relation.to_arrow_reader(READ_ROWS))


def count_drops(
    connection: duckdb.DuckDBPyConnection, customers: int, people: dict[str, int]
) -> dict[str, tuple[tuple[str, int], ...]]:
    """Count, for each channel and for all, why customers have no endpoint, in the order of dropping."""
    drops = {}
    rows = connection.execute(
        f"""SELECT coalesce(channel_type, ''), count(*), count(*) FILTER (is_allowed) FROM (
            SELECT channel_type, bool_or(is_allowed) AS is_allowed FROM contacts
            GROUP BY GROUPING SETS ((channel_type, {KEY}), ({KEY}))) GROUP BY ALL"""
    ).fetchall()
    for channel, reachable, allowed in [*rows, *([] if rows else [(ANY_CHANNEL, 0, 0)])]:
        drops[channel] = (
            (f"no {channel} address".replace("no  ", "no "), customers - reachable),
            ("no consent", reachable - allowed),
            ("no usable address", allowed - people.get(channel, 0)),
        )
    return dict(sorted(drops.items()))
