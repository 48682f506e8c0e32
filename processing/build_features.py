"""Step BuildFeatures: events (or a ready table) and the partner's answer become training table and score shards.

Comes in: events and contacts, or customers; the query result where there is a partner. Goes out: ``features/`` (the
training snapshots with labels and split, and their contract), ``shards/`` (today's features with the endpoints of
those who may be contacted) and ``run_facts/`` (what was counted). Refused: what the contracts refuse, a partner value
from the future, a label that never varies, events that end long before the date, a query result about others. Of
several hosts each takes a share of the customers and names its files after itself.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from contracts.contacts import CONTACTS
from contracts.errors import ContractError, SettingsError
from contracts.events import EVENTS
from contracts.feature_table import JSON_NAME, LABEL_PREFIX, SPLITS, TIME_ORDER, FeatureTable, parquet_name
from contracts.job import read_host, run_job
from contracts.query_result import KEY, query_result_contract
from contracts.run_facts import QueryFacts, RunFacts, write_run_facts
from contracts.run_settings import RunSettings, read_run_settings
from contracts.score_shard import write_shards
from contracts.table import check_table, find_parquet, parquet_files
from processing import features, ready_table
from processing.endpoints import count_drops, open_endpoints, register_contacts
from processing.sample import WHOLE, Sample, choose_sample
from processing.snapshot import Snapshot, take_snapshot
from processing.sql import connect, literal, one_row, quoted

ROW_GROUP_ROWS = 122_880
FILE_ROWS = 200_000  # of the training table
MAX_FILES = 64  # training reads all of them side by side
SAMPLE_ROWS = 100_000  # of today's customers, for the comparison with those learned from
UNDATED = "undated"


@dataclass(frozen=True)
class Job:
    """One call of the step: settings, date (None: an undated ready table), folders, purpose, and which host this is."""

    settings: RunSettings
    as_of: date | None
    inputs: Path
    outputs: Path
    is_training: bool
    host: int = 0
    hosts: int = 1


def read_inputs(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Check every input and register it as a view."""
    if job.settings.has_contacts:
        check_table(job.inputs / "contacts", CONTACTS)
    if job.settings.query:
        check_table(job.inputs / "query_result", query_result_contract(job.settings.partner_columns))
        paths = [str(path) for path in parquet_files(job.inputs / "query_result", "query result")]
        connection.from_parquet(paths).create_view("query_result")
    if job.settings.customers:
        ready_table.register_customers(connection, job.settings, job.inputs / "customers", job.is_training)
    else:
        check_table(job.inputs / "events", EVENTS)
        features.register_events(connection, parquet_files(job.inputs / "events", EVENTS.name), job.host, job.hosts)


@dataclass(frozen=True)
class TrainingParts:
    """The SELECTs of the training table, its snapshots (the last gives the contract), their dates, and whose rows."""

    selects: list[str]
    snapshots: list[Snapshot]
    days: list[str]
    sample: Sample

    @property
    def feed_age_days(self) -> int | None:
        """Days by which the newest partner value is older than its snapshot, of the snapshot with the youngest."""
        ages = [snapshot.join.age_days for snapshot in self.snapshots if snapshot.join]
        return min((age for age in ages if age is not None), default=None)


def training_parts(connection: duckdb.DuckDBPyConnection, job: Job) -> TrainingParts:
    """Take the training snapshots and write their SELECTs."""
    settings = job.settings
    if settings.customers:
        snapshot = take_snapshot(connection, settings, job.as_of)
        split = ready_table.ready_split(connection, settings.customers, settings.goals, settings.seed, job.hosts)
        labels = ready_table.ready_labels(settings.goals)
        names = selected(snapshot)
        day = f"DATE '{job.as_of}'" if job.as_of else "NULL::DATE"
        labelled = " OR ".join(f"c.{quoted(goal.label)} IS NOT NULL" for goal in settings.goals)
        time = settings.customers.time
        known = f"SELECT customer_key, 1 AS rows FROM all_customers c WHERE {labelled}"
        sample = choose_sample(connection, settings, known, job.hosts)
        order = f", rank() OVER (ORDER BY c.{quoted(time)})::INTEGER AS {TIME_ORDER}" if time else ""
        part = f"""SELECT c.customer_key, {day} AS snapshot_date, {split} AS split{order}, {labels}, {names}
            FROM (SELECT * FROM all_customers WHERE {sample.condition}) c
            JOIN {snapshot.view} s USING (customer_key) WHERE {labelled}"""
        return TrainingParts([part], [snapshot], [str(job.as_of)] if job.as_of else [], sample)
    if job.as_of is None:
        raise SettingsError("events need a date to look back from", where="AsOf", fix="start with AsOf = YYYY-MM-DD")
    sample = features.sample_customers(connection, settings, job.as_of)
    features.take_events(connection, sample)
    parts, snapshots, days = [], [], []
    for goals, dates in features.training_dates(settings, job.as_of):
        features.refuse_censored_labels(connection, goals[0], job.as_of)
        for date_ in dates:
            snapshot = take_snapshot(connection, settings, date_)
            split = features.split_sql(settings.seed, is_newest=date_ == dates[0], has_older=len(dates) > 1)
            labels = features.label_sql(settings.goals, goals, date_)
            parts.append(
                f"SELECT customer_key, DATE '{date_}' AS snapshot_date, {split} AS split, {labels}, "
                f"{selected(snapshot)} FROM {snapshot.view} s"
            )
            snapshots.append(snapshot)
            days.append(str(date_))
    return TrainingParts(parts, snapshots, sorted(set(days)), sample)


def selected(snapshot: Snapshot) -> str:
    """Write the features of a snapshot ``s``; numbers in single precision, as models read them."""
    return ", ".join(
        f"s.{name}::FLOAT AS {name}" if column.kind == "number" else f"s.{name}"
        for column, name in ((column, quoted(column.name)) for column in snapshot.columns)
    )


def write_training_table(
    connection: duckdb.DuckDBPyConnection, job: Job, folder: Path
) -> tuple[FeatureTable, TrainingParts]:
    """Write the training table, one row per customer and snapshot, sorted by both; return its contract and its parts.

    A large one goes into several files, each with the rows of some customers: any of them is a fair share.

    Raises
    ------
    ContractError
        If a part is empty or a label never varies in it (with several hosts the training job looks at that).
    """
    parts = training_parts(connection, job)
    labels = ", ".join(LABEL_PREFIX + goal.name for goal in job.settings.goals)
    union = " UNION ALL ".join(parts.selects)
    connection.execute(f"CREATE TEMP TABLE training AS SELECT * FROM ({union}) WHERE split IS NOT NULL")
    if job.hosts == 1:
        refuse_flat_labels(connection, job.settings)
    (rows,) = one_row(connection, "SELECT count(*) FROM training")
    files = max(1, min(-(-rows // FILE_ROWS), MAX_FILES))
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        own = f"WHERE hash(customer_key, 'file') % {files} = {number}" if files > 1 else ""
        connection.execute(
            f"""COPY (SELECT * FROM training {own} ORDER BY customer_key, snapshot_date, {labels})
            TO {literal(str(folder / parquet_name(job.host, number)))}
            (FORMAT parquet, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"""
        )
    connection.execute("DROP TABLE training")
    if job.settings.customers is None:
        features.take_events(connection, WHOLE)
    return FeatureTable(tuple(parts.snapshots[-1].columns), features.definition_sha256(job.settings)), parts


def write_scoring_sample(connection: duckdb.DuckDBPyConnection, job: Job, snapshot: Snapshot, customers: int) -> None:
    """Write features of some of today's customers, chosen by their keys: Evaluate looks how far they have moved."""
    names = ", ".join(quoted(column.name) for column in snapshot.columns)
    folder = job.outputs / "scoring"
    folder.mkdir(parents=True, exist_ok=True)
    share = min(1.0, SAMPLE_ROWS / job.hosts / max(customers, 1))
    connection.execute(
        f"""COPY (SELECT {names} FROM {snapshot.view}
        WHERE hash({KEY}, 'scoring') >> 32 < {share} * 4294967296 ORDER BY {KEY})
        TO {literal(str(folder / f"scoring-{job.host:04d}.parquet"))} (FORMAT parquet)"""
    )


def refuse_flat_labels(connection: duckdb.DuckDBPyConnection, settings: RunSettings) -> None:
    """Stop if a part of the split has no row, or a goal's label is the same for everybody in it."""
    for goal in settings.goals:
        label = LABEL_PREFIX + goal.name
        found = {
            split: (people, positives)
            for split, people, positives in connection.execute(
                f"SELECT split, count({label}), sum({label}) FROM training GROUP BY split"
            ).fetchall()
        }
        for part in SPLITS:
            people, positives = found.get(part, (0, 0))
            if (positives or 0) in (0, people):
                is_ready = settings.customers is not None
                raise ContractError(
                    f"goal {goal.name} can't be learned: {positives or 0:,} of {people:,} customers have it",
                    where=f"{part} part, "
                    + (f"column {goal.label}" if is_ready else f"label window of {goal.horizon_days} days"),
                    why="the label must vary in each part, or there is nothing to learn or to judge"
                    if is_ready
                    else f"events of type {goal.event_type} in that window decide the label, and it must vary",
                    fix="bring more labelled customers, or check label and split in project.toml"
                    if is_ready
                    else "check event, horizon_days and as_of in project.toml, or bring more events",
                )


def refuse_strangers(customers: int, matched: int) -> None:
    """Stop if the query result is about nobody whom this run knows."""
    if not matched:
        raise ContractError(
            "the query result is about none of our customers",
            where="query result, column customer_key",
            why=f"not one of its keys is that of any of {customers:,} customers",
            fix="is QueryResultUri another project's result, or has customer_key changed since that query?",
        )


def refuse_empty_channels(settings: RunSettings, people: dict[str, int]) -> None:
    """Stop if a segment is for a channel on which nobody can be written to, before anything is trained for it."""
    for segment in settings.segments:
        if segment.channel and not people.get(segment.channel):
            raise ContractError(
                f"segment {segment.name} is for {segment.channel}, and nobody can be written to there",
                where="contacts",
                why=f"channels with people: {', '.join(sorted(filter(None, people))) or 'none'}",
                fix="bring addresses and consents of that channel, or change the segment's channel",
            )


def read_query_facts(folder: Path) -> QueryFacts | None:
    """Read what the query step noted of its query; None where there is no partner."""
    path = folder / "query.json"
    if not path.is_file():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    return QueryFacts(
        document["query_id"], document["rule"], document["seconds"], document["billed_units"], document["rows"]
    )


def build_features(job: Job) -> str:
    """Do the step's work and return its summary."""
    outputs = job.outputs
    outputs.mkdir(parents=True, exist_ok=True)
    if job.hosts > 1 and job.settings.customers and not find_parquet(job.inputs / "customers"):
        return "no file of customers fell to this host"
    with tempfile.TemporaryDirectory(prefix="spill-", dir=outputs) as spill, connect(Path(spill)) as connection:
        read_inputs(connection, job)
        training = Path(spill) / "training"
        table, parts = write_training_table(connection, job, training) if job.is_training else (None, None)
        if job.as_of and not job.settings.customers:
            features.refuse_stale_events(connection, job.settings.goals, job.as_of)
        snapshot = take_snapshot(connection, job.settings, job.as_of)
        (customers,) = one_row(connection, f"SELECT count(*) FROM {snapshot.base}")
        if job.hosts == 1 and snapshot.join:  # one of several hosts may have the customers that the partner does not
            refuse_strangers(customers, snapshot.join.matched)
        if job.is_training:
            write_scoring_sample(connection, job, snapshot, customers)
        later = features.count_later(connection, job.as_of) if job.as_of and not job.settings.customers else (0, 0)
        contacts = parquet_files(job.inputs / "contacts", CONTACTS.name) if job.settings.has_contacts else []
        register_contacts(connection, contacts, job.settings.customers, snapshot.base)
        endpoints = open_endpoints(connection, snapshot.view, snapshot.columns)
        contract = table or FeatureTable(tuple(snapshot.columns), features.definition_sha256(job.settings))
        written = write_shards(endpoints, contract, outputs / "shards", job.host, may_be_empty=job.hosts > 1)
        if job.hosts == 1:
            refuse_empty_channels(job.settings, endpoints.people)
        own = tuple(column.name for column in snapshot.columns if column.party == "brand")
        drops = count_drops(connection, customers, endpoints.people)
        facts = RunFacts(
            as_of=str(job.as_of or UNDATED),
            customers=customers,
            matched=snapshot.join.matched if snapshot.join else None,
            own_columns=own,
            partner_columns=tuple(column.name for column in snapshot.columns if column.party == "partner"),
            training_dates=tuple(parts.days) if parts else (),
            feed_age_days=(parts.feed_age_days if parts else None, snapshot.join.age_days if snapshot.join else None),
            query=read_query_facts(job.inputs / "query_result"),
            drops=drops,
            scored={channel: endpoints.people.get(channel, 0) for channel in drops},
        )
        if table:
            (outputs / "features").mkdir(parents=True, exist_ok=True)
            for path in sorted(training.iterdir()):
                shutil.move(path, outputs / "features" / path.name)
            (outputs / "features" / JSON_NAME).write_bytes(table.to_json())
        write_run_facts(facts, outputs / "run_facts", job.host)
    sampled = str(parts.sample) if parts else ""
    share = 100 * (facts.matched or 0) / max(customers, 1)
    matched = "" if facts.matched is None else f", {facts.matched:,} matched ({share:.1f}%)"
    columns = f"{len(own)} own" + (f" + {len(facts.partner_columns)} partner" if job.settings.query else "")
    dropped = f", {endpoints.forbidden:,} endpoints left out (no such address)" if endpoints.forbidden else ""
    if later[0]:
        dropped += f", {later[0]:,} events after {job.as_of} not used ({later[1]:,} customers have no others)"
    return (
        f"{customers:,} customers{matched}, {columns} columns, "
        f"{endpoints.kept:,} endpoints in {len(written)} shard(s){dropped}{sampled}"
    )


def parse_as_of(text: str) -> date | None:
    """Read the run's date; ``undated`` is none."""
    if text == UNDATED:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"AsOf = {text!r} is not a date", where="pipeline parameter AsOf", fix="give a day as YYYY-MM-DD"
        ) from error


def main(argv: list[str]) -> int:
    """Run the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ml-dir", type=Path, required=True)
    parser.add_argument("--as-of", required=True)
    parser.add_argument("--for", dest="purpose", choices=("train", "score"), required=True)
    a = parser.parse_args(argv)
    inputs, outputs = a.ml_dir / "processing" / "input", a.ml_dir / "processing"

    def work() -> str:
        settings, day = read_run_settings(inputs / "settings"), parse_as_of(a.as_of)
        return build_features(Job(settings, day, inputs, outputs, a.purpose == "train", *read_host(a.ml_dir)))

    return run_job(work, note=a.ml_dir / "output" / "message")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
