"""The poison oracle: a query that may not show some columns gives the same rows when those columns hold other values.

Independent of the checker: it only runs SQL, on DuckDB, over tables as they are and over poisoned ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import duckdb
import sqlglot
from sqlglot import ErrorLevel

from tests.random_queries import COLUMNS, INT, ROWS

Value = int | str | None


def make_rows(random: Random) -> dict[str, list[list[Value]]]:
    """Rows of few distinct values, so that joins meet and groups fill; a tenth is NULL."""

    def value(kind: str) -> Value:
        if random.random() < 0.1:
            return None
        return random.randint(0, 5) if kind == INT else random.choice("abcde")

    return {name: [[value(kind) for kind in kinds.values()] for _ in range(ROWS)] for name, kinds in COLUMNS.items()}


def replaced(value: Value, random: Random, kind: str) -> Value:
    """Any other value, sometimes NULL; nothing of the old one is kept."""
    new = random.choice([100, 101, 102, 3, None]) if kind == INT else random.choice(["x", "yy", "a", None])
    return new if new != value else (999 if kind == INT else "other")


def renamed(value: Value) -> Value:
    """A one-to-one change, the same everywhere."""
    return None if value is None else 1000 - 7 * value if isinstance(value, int) else f"z{value}"


class Oracle:
    """Two databases that differ in nothing but poisoned columns.

    Parameters
    ----------
    random : Random
        Seeded.
    replace, rename : mapping of table name to column names
        Columns that get any other value, and columns whose values are changed one to one.
    """

    def __init__(self, random: Random, replace: Mapping[str, set[str]], rename: Mapping[str, set[str]]) -> None:
        rows = make_rows(random)
        poisoned = {
            name: [
                [
                    replaced(value, random, kind)
                    if column in replace.get(name, set())
                    else renamed(value)
                    if column in rename.get(name, set())
                    else value
                    for (column, kind), value in zip(kinds.items(), row, strict=True)
                ]
                for row in rows[name]
            ]
            for name, kinds in COLUMNS.items()
        }
        self.clean, self.poisoned = make_database(rows), make_database(poisoned)

    def differs(self, sql: str) -> bool:
        """Tell whether a query's result depends on the poisoned values."""
        (text,) = sqlglot.transpile(sql, read="spark", write="duckdb", unsupported_level=ErrorLevel.RAISE)
        clean, poisoned = (
            sorted(map(repr, database.execute(text).fetchall())) for database in (self.clean, self.poisoned)
        )
        return clean != poisoned


def make_database(rows: Mapping[str, list[list[Value]]]) -> duckdb.DuckDBPyConnection:
    """Make a database with the tables."""
    database = duckdb.connect(config={"threads": 1, "memory_limit": "512MB", "temp_directory": ""})
    for name, kinds in COLUMNS.items():
        columns = ", ".join(f"{column} {'BIGINT' if kind == INT else 'VARCHAR'}" for column, kind in kinds.items())
        database.execute(f"CREATE TABLE {name} ({columns})")
        database.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(kinds))})", rows[name])
    return database
