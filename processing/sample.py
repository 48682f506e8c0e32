"""Which customers a model is learned from and tested on where there are more than that needs; everybody is scored.

A customer is in or out by a hash of the key and the seed, whatever the number of hosts, files and threads. The hash is
DuckDB's own, which has nothing to do with that of the split: another release may choose others, but nobody changes
sides. It is looked at before any feature is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from contracts.run_settings import RunSettings

BUCKETS = 1 << 16


@dataclass(frozen=True)
class Sample:
    """The customers whose bucket is one of the first ``buckets``: they give ``rows`` of the ``of_rows`` of all."""

    buckets: int
    rows: int
    of_rows: int
    seed: int

    @property
    def condition(self) -> str:
        """Write the choice as SQL over ``customer_key``."""
        return "true" if self.buckets == BUCKETS else f"{bucket(self.seed)} < {self.buckets}"

    def __str__(self) -> str:
        """Say what was left out, for the step's summary; nothing where all are in."""
        if self.rows == self.of_rows:
            return ""
        return f", {self.rows:,} of {self.of_rows:,} rows to learn from and test on (max_rows: a sample of customers)"


WHOLE = Sample(BUCKETS, 0, 0, 0)


def bucket(seed: int) -> str:
    """Write the bucket of a customer; hashed again, for DuckDB combines hashes by no more than XOR."""
    return f"(hash(xor(hash(customer_key::VARCHAR), hash('sample', {seed}))) >> 48)"


def choose_sample(
    connection: duckdb.DuckDBPyConnection, settings: RunSettings, customers: str, hosts: int = 1
) -> Sample:
    """Choose as many buckets as give at most ``max_rows`` rows, and never none.

    Parameters
    ----------
    customers : str
        SELECT of ``customer_key`` and ``rows``, the number of labelled rows that the customer would give.
    hosts : int
        By how many hosts that number may be used up, where each sees its own customers only.
    """
    allowed = settings.training.max_rows // hosts
    counts = connection.execute(
        f"SELECT {bucket(settings.seed)}, sum(rows)::BIGINT FROM ({customers}) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    total = sum(rows for _, rows in counts)
    if total <= allowed:
        return Sample(BUCKETS, total, total, settings.seed)
    taken, buckets = 0, 0
    for number, rows in counts:
        if taken + rows > allowed and taken:
            break
        taken, buckets = taken + rows, number + 1
    return Sample(buckets, taken, total, settings.seed)
