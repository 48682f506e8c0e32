"""Doorway *run settings*: the part of project.toml that containers need, as frozen JSON.

Written once per definition, stored under its own sha256, an input of every step: the same project gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.errors import SettingsError

FILE_NAME = "run_settings.json"


@dataclass(frozen=True)
class Goal:
    """What to predict: that a customer has an event of this type within ``horizon_days`` after the snapshot."""

    name: str
    event_type: str
    horizon_days: int
    minimum_auc: float


@dataclass(frozen=True)
class Segment:
    """Who to write into a file: the ``top_percent`` (0-100] of the people that one goal's model scored."""

    name: str
    goal: str
    top_percent: float


@dataclass(frozen=True)
class Query:
    """The Clean Rooms query: which collaboration, which tables in it, which partner columns, and how long to wait."""

    collaboration: str
    match_keys_table: str
    partner_table: str
    partner_columns: tuple[str, ...]
    deadline_seconds: int


@dataclass(frozen=True)
class RunSettings:
    """Everything about a project that a container step may depend on."""

    project: str
    region: str
    notice: str
    data_bucket: str
    results_bucket: str
    query: Query
    goals: tuple[Goal, ...]
    segments: tuple[Segment, ...]
    training_snapshots: int
    partner_columns_are_static: bool
    max_duplicate_percent: float
    seed: int

    @property
    def match_keys_uri(self) -> str:
        """Where the brand's match keys lie; the Glue table that the collaboration offers points here."""
        return f"s3://{self.data_bucket}/{self.project}/match_keys/"

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
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        document["query"] = Query(
            **{**document["query"], "partner_columns": tuple(document["query"]["partner_columns"])}
        )
        document["goals"] = tuple(Goal(**goal) for goal in document["goals"])
        document["segments"] = tuple(Segment(**segment) for segment in document["segments"])
        return RunSettings(**document)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            "the run settings can't be read",
            where=str(path),
            why=str(error),
            fix="write the pipeline's definition again: pseg pipeline upsert",
        ) from error
