"""A sealed DuckDB for one protected query: from a plan and its Parquet files to a stream of rows and result files.

Source: AWS Clean Rooms User Guide, "Running SQL queries", "Error codes".
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import csv, parquet

from clean_rooms.analysis_rules.privacy_noise import LIMITS
from pseg.local_aws.clean_rooms_queries import Plan
from pseg.local_aws.clean_rooms_sql import RoomTable, duckdb_type

logger = logging.getLogger(__name__)

MEMORY_LIMIT = "1GB"  # of one query; what does not fit goes to its temporary folder
DISK_LIMIT = "20GB"
PART_ROWS = 102_400  # rows of one part file, a multiple of DuckDB's vector so that parts repeat exactly
RUN_TIME_LIMIT_SECONDS = 12 * 3600.0  # User Guide, "Service roles": results of longer queries need a delivery role
CRPU_PER_WORKER = {"CR.1X": 2, "CR.4X": 8, "CR.8X": 16}
DEFAULT_WORKERS = 16  # of CR.1X: 32 CRPU
FAMILIES = (  # a Parquet column may be read as a Glue type of the same family
    r"(U?(TINY|SMALL|BIG|)INT|U?INTEGER)$",
    r"(FLOAT|DOUBLE)$",
    r"DECIMAL",
    r"TIMESTAMP",
    r"VARCHAR$",
    r"BOOLEAN$",
    r"DATE$",
    r"BLOB$",
)


class QueryFailed(Exception):
    """A query that was started cannot finish; ``code`` is one of the service's error codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def unusable(table: RoomTable, why: str) -> QueryFailed:
    """Make the error for a table that exists but cannot be read."""
    return QueryFailed("INVALID_RESOURCE", f"table {table.name}: {why}")


class QueryCancelled(Exception):
    """The query was stopped by its runner."""


@dataclass(frozen=True)
class Source:
    """Files of one folder of a table, with the values of its partition."""

    files: tuple[Path, ...]
    partition: Mapping[str, str]


def quoted(name: str) -> str:
    """Quote a name for DuckDB."""
    return '"' + name.replace('"', '""') + '"'


class Engine:
    """A DuckDB of its own for one query: loads the columns that the plan reads, is sealed, then runs the plan."""

    def __init__(self, folder: Path) -> None:
        self.connection = duckdb.connect(
            str(folder / "query.duckdb"),
            config={
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
                "allow_community_extensions": False,
                "python_enable_replacements": False,
                "memory_limit": MEMORY_LIMIT,
                "max_temp_directory_size": DISK_LIMIT,
                "threads": 2,
            },
        )
        self.connection.execute("SET TimeZone = 'UTC'")

    def load(self, table: RoomTable, columns: Sequence[str], sources: Iterator[Source]) -> None:
        """Copy columns of Parquet files into the engine.

        Raises
        ------
        QueryFailed
            ``INVALID_RESOURCE`` if files are not Parquet, or a column is absent or of another type than Glue says.
        """
        kinds = {column: duckdb_type(table.columns[column]) for column in columns}
        declared = ", ".join(f"{quoted(column)} {kind}" for column, kind in kinds.items())
        self.connection.execute(f"CREATE TABLE {quoted(table.name)} ({declared})")
        for source in sources:
            files = [str(file) for file in source.files]
            reader = "read_parquet(?, union_by_name = true, hive_partitioning = false)"
            try:
                found = {
                    row[0].lower(): row[1]
                    for row in self.connection.execute(f"DESCRIBE FROM {reader}", [files]).fetchall()
                }
                for column in columns:
                    if column not in source.partition:
                        check_column(table, column, str(kinds[column]), found.get(column))
                values: list[str | None] = [
                    source.partition[column] for column in columns if column in source.partition
                ]
                values = [None if value == "__HIVE_DEFAULT_PARTITION__" else value for value in values]
                taken = ", ".join(
                    f"CAST({'?' if column in source.partition else quoted(column)} AS {kinds[column]})"
                    for column in columns
                )
                insert = f"INSERT INTO {quoted(table.name)} SELECT {taken} FROM {reader}"  # noqa: S608  names are quoted
                self.connection.execute(insert, [*values, files])
            except (duckdb.OutOfMemoryException, duckdb.InterruptException):
                raise
            except duckdb.Error as error:
                logger.info("table %s cannot be read: %s", table.name, error)
                why = "a data file is not readable Parquet, or has values that do not fit its types"
                raise unusable(table, why) from error

    def seal(self) -> None:
        """Close files, network, extensions and settings to what runs from here on."""
        self.connection.execute("SET enable_external_access = false")
        self.connection.execute("SET lock_configuration = true")

    def batches(self, plan: Plan) -> pa.RecordBatchReader:
        """Run the plan; rows come in the order of their columns. A sum of whole numbers is a BIGINT, as Spark's is."""
        rows = self.connection.sql(plan.sql)
        reader = rows.to_arrow_reader(PART_ROWS)
        kinds = zip(reader.schema, rows.types, strict=True)
        return reader.cast(
            pa.schema([one.with_type(pa.int64()) if str(kind) == "HUGEINT" else one for one, kind in kinds])
        )

    def left_out(self, plan: Plan) -> list[str]:
        """Say how many groups the rules' minimums leave out, and why; the service never says so."""
        lines = []
        for sql, constraints in plan.groups:
            ((groups, dropped, *each),) = self.connection.execute(sql).fetchall()
            why = [
                f"{count} with fewer than {one.minimum} distinct values of {one.table}.{one.column}"
                for one, count in zip(constraints, each, strict=True)
                if count
            ]
            said = f"{dropped} of {groups} groups left out by {plan.left_out_by}"
            lines.append(f"{said}{': ' if why else ''}{', '.join(why)}")
        return lines

    def bound(self, plan: Plan) -> list[dict[str, Any]]:
        """Make the table by which the plan scales its noise; return the sensitivity of each total."""
        if plan.noisy is None:
            return []
        self.connection.execute(f"CREATE TABLE {quoted(LIMITS)} AS {plan.limits}")
        found = self.connection.execute(f"FROM {quoted(LIMITS)}")
        return plan.noisy.sensitivity(
            dict(zip([one[0] for one in found.description], found.fetchall()[0], strict=True))
        )

    @contextmanager
    def interruptible(self, stop: threading.Event, deadline: float) -> Iterator[None]:
        """Interrupt whatever runs inside when ``stop`` is set or the deadline (monotonic seconds) has passed."""
        finished = threading.Event()

        def watch() -> None:
            while not finished.wait(0.05):
                if stop.is_set() or time.monotonic() > deadline:
                    self.connection.interrupt()

        watcher = threading.Thread(target=watch, name="protected-query-watch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            finished.set()
            watcher.join()
            self.connection.close()


def check_column(table: RoomTable, column: str, declared: str, found: str | None) -> None:
    """Compare a column's Parquet type with its Glue type."""
    if found is None:
        raise unusable(table, f"column {column} is in Glue but in none of the data files")
    if not any(re.match(family, declared) and re.match(family, found) for family in FAMILIES) and found != '"NULL"':
        raise unusable(table, f"column {column} is {table.columns[column]} in Glue but {found} in Parquet")


def failure(error: Exception) -> tuple[str, str]:
    """Error code and message of a run-time error. Engine texts may quote data, so they go to the log only."""
    if isinstance(error, QueryFailed):
        return error.code, str(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return "INSUFFICIENT_COMPUTE", "the query needs more memory or disk than it may use"
    if isinstance(error, duckdb.Error | pa.ArrowException):
        logger.info("query failed in the engine: %s", error)
        return "MALFORMED_QUERY", f"the query does not fit the types or values of its columns ({type(error).__name__})"
    logger.error("query failed inside the embedded AWS", exc_info=error)
    return "INTERNAL_ERROR", "the embedded AWS failed in this query; see its log"


# -- from rows to result files


class PartFiles:
    """Result files of one receiver; ``single`` puts all rows into one. An empty result is one file without rows."""

    def __init__(self, folder: Path, result_format: str, single: bool, schema: pa.Schema) -> None:
        folder.mkdir()
        self.folder, self.result_format, self.single, self.schema = folder, result_format, single, schema
        self.files: list[Path] = []
        self.open_next()

    def open_next(self) -> None:
        """Begin the next part."""
        self.files.append(self.folder / f"part-{len(self.files):05d}.{self.result_format.lower()}")
        make = parquet.ParquetWriter if self.result_format == "PARQUET" else csv.CSVWriter
        self.writer = make(self.files[-1], self.schema)
        self.rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        if self.rows and not self.single:
            self.writer.close()
            self.open_next()
        self.writer.write_batch(batch)
        self.rows += batch.num_rows

    def close(self) -> list[Path]:
        """Finish and name the files."""
        self.writer.close()
        return self.files


def crpu_hours(compute: Mapping[str, Any], seconds: float) -> float:
    """CRPU-hours billed: at least 60 seconds of all workers (pricing page of AWS Clean Rooms)."""
    worker = compute.get("worker", {})
    workers = worker.get("number", DEFAULT_WORKERS)
    return float(CRPU_PER_WORKER[worker.get("type", "CR.1X")] * workers * max(60.0, seconds) / 3600)
