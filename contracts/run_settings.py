"""Doorway *run settings*: the part of project.toml that containers need, as frozen JSON.

Written once per definition, stored under its own sha256, an input of every step: the same project gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.document import read_document
from contracts.errors import SettingsError

FILE_NAME = "run_settings.json"


@dataclass(frozen=True)
class Words:
    """How people speak of a goal; printed as written, never inflected.

    ``title`` heads its chapter, ``verb`` and ``past`` follow "will" and "who"; ``noun`` and ``one`` name the people.
    ``better`` is 1 where more is better and -1 where less is (leaving).
    """

    title: str = ""
    verb: str = "do it"
    past: str = "did it"
    noun: str = "people who do it"
    one: str = "person who does it"
    better: int = 1


@dataclass(frozen=True)
class Goal:
    """What to predict, and what a model of it must reach.

    With events: that a customer has an event of ``event_type`` within ``horizon_days`` after the snapshot, or has none
    if ``is_absent``. With a ready customer table: that its column ``label`` is 1; the others are then empty and 0.
    """

    name: str
    event_type: str
    horizon_days: int
    minimum_auc: float
    label: str = ""
    is_absent: bool = False
    words: Words = Words()


@dataclass(frozen=True)
class Segment:
    """Who to write into a file.

    The ``top_percent`` (0-100] of the people that one goal's model scored, on addresses of ``channel`` (empty: of all),
    with at least ``minimum_score`` [0-1], the best ``max_size`` of them (0: no cap). ``holdout_percent`` [0-100) of
    them are kept out of the file at random, the same ones each run, so that the effect of a message can be measured;
    rounded up, but at least one person stays in; no address of theirs is in it, so nobody who lost one to another
    customer is among them.
    """

    name: str
    goal: str
    top_percent: float
    channel: str = ""
    minimum_score: float = 0.0
    max_size: int = 0
    holdout_percent: float = 0.0


@dataclass(frozen=True)
class Query:
    """The Clean Rooms query: which collaboration, which tables in it, which partner columns, and how long to wait.

    ``rule`` is LIST (the query is built here) or CUSTOM (an analysis template of the name ``template`` is run).
    ``collaboration`` is a name, or the id of the collaboration or of this account's membership. ``workers`` of
    ``worker_type`` run it and are billed; these are the service's own defaults.
    """

    collaboration: str
    match_keys_table: str
    partner_table: str
    partner_columns: tuple[str, ...]
    deadline_seconds: int
    rule: str = "LIST"
    template: str = ""
    worker_type: str = "CR.1X"
    workers: int = 16


@dataclass(frozen=True)
class ReadyTable:
    """A ready customer table, one row per customer, instead of events; column names, empty where there is none.

    ``split`` holds train, test and perhaps validation; ``time`` orders customers, so that the newest are tested on;
    ``ignore`` are columns that are no feature. ``may_match`` and ``may_contact`` are booleans: consent.
    """

    customer_key: str
    hashed_id: str = ""
    split: str = ""
    time: str = ""
    may_match: str = ""
    may_contact: str = ""
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class Money:
    """What a contact costs and a conversion brings, in ``currency``; None where nobody said."""

    currency: str = "$"
    cost_per_contact: float | None = None
    value_per_conversion: float | None = None
    partner_fee_per_1000: float | None = None


@dataclass(frozen=True)
class Training:
    """How models are trained.

    ``accept_features`` are used although a check would stop or drop them. ``tuning`` is ``defaults`` or ``search``,
    which looks for better parameters for ``search_minutes``. ``max_rows`` customers are learned from and tested on.
    ``minimum_positives`` of them must have the label, in training as in the test.
    """

    accept_features: tuple[str, ...] = ()
    tuning: str = "defaults"
    search_minutes: int = 30
    max_rows: int = 1_000_000
    minimum_positives: int = 50


@dataclass(frozen=True)
class RunSettings:
    """Everything about a project that a container step may depend on.

    ``query`` is None where there is no partner. ``features_sql`` is the user's own feature query, or empty.
    """

    project: str
    region: str
    notice: str
    data_bucket: str
    results_bucket: str
    query: Query | None
    goals: tuple[Goal, ...]
    segments: tuple[Segment, ...]
    training_snapshots: int
    partner_columns_are_static: bool
    max_duplicate_percent: float
    seed: int
    customers: ReadyTable | None = None
    has_contacts: bool = True
    features_sql: str = ""
    brand: str = ""
    partner: str = "the partner"
    may_name_partner_columns: bool = True
    money: Money = Money()
    training: Training = Training()

    @property
    def match_keys_uri(self) -> str:
        """Where the brand's match keys lie; the Glue table that the collaboration offers points here."""
        return f"s3://{self.data_bucket}/{self.project}/match_keys/"

    @property
    def partner_columns(self) -> tuple[str, ...]:
        """Columns that the query asks the partner for; none without a partner."""
        return self.query.partner_columns if self.query else ()

    def goal(self, name: str) -> Goal:
        """Return the goal of this name."""
        for goal in self.goals:
            if goal.name == name:
                return goal
        raise SettingsError(
            f"there is no goal named {name}", where=FILE_NAME, fix=f"one of {[g.name for g in self.goals]}"
        )

    def segments_of(self, goal: str) -> tuple[Segment, ...]:
        """Return the segments that one goal fills."""
        return tuple(segment for segment in self.segments if segment.goal == goal)

    def to_json(self) -> bytes:
        """Write the canonical JSON: sorted keys, no spaces that could vary."""
        return (json.dumps(asdict(self), sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()

    def sha256(self) -> str:
        """Hash the canonical JSON."""
        return hashlib.sha256(self.to_json()).hexdigest()


def read_run_settings(folder: Path) -> RunSettings:
    """Read the settings from a step's input folder.

    Raises
    ------
    SettingsError
        If the file is missing or was written by another version of this code.
    """
    path = folder / FILE_NAME
    try:
        return read_document(RunSettings, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise SettingsError(
            "the run settings can't be read",
            where=str(path),
            why=str(error),
            fix="write the pipeline's definition again: pseg pipeline upsert",
        ) from error
