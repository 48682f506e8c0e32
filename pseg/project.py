"""project.toml, read and checked: the only place that knows its form. Unknown keys and impossible values are errors."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from contracts.errors import SettingsError
from contracts.feature_table import KEY_COLUMNS, LABEL_PREFIX
from contracts.query_result import DATE
from contracts.run_settings import Goal, Query, RunSettings, Segment

FILE_NAME = "project.toml"
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=30)]
ProjectName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=2, max_length=30)]
ColumnName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,126}$")]
EventType = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]
Bucket = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
S3Uri = re.compile(r"s3://[a-z0-9.-]+/.+")


class Strict(BaseModel):
    """A table of project.toml: no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Tables(Strict):
    """Where the tables lie: files beside project.toml, or ``s3://`` prefixes."""

    events: str
    contacts: str
    partner: str = ""


class QueryTable(Strict):
    """The Clean Rooms query and what may come back."""

    collaboration: str = ""
    match_keys_table: Name = "match_keys"
    partner_table: Name = "partner_attributes"
    columns: tuple[ColumnName, ...] = Field(min_length=1)
    partner_columns_are_static: bool = False
    max_duplicate_percent: float = Field(default=5.0, ge=0, le=100)
    deadline_seconds: int = Field(default=3600, ge=60, le=86400)

    @field_validator("columns")
    @classmethod
    def check_columns(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        """No column comes twice, and none is one that the query has anyway: it would be paid for and then refused."""
        for name in columns:
            if name in ("hashed_id", *KEY_COLUMNS) or name.startswith(LABEL_PREFIX):
                raise ValueError(f"{name} is not a column of the partner's to ask for")
            if columns.count(name) > 1:
                raise ValueError(f"{name} is named more than once")
        return columns

    @model_validator(mode="after")
    def check_dates(self) -> QueryTable:
        """Refuse undated values of the partner unless the project says that they never change."""
        if DATE not in self.columns and not self.partner_columns_are_static:
            raise ValueError(
                f"without {DATE} nobody knows whether the partner's values come from after the training date; "
                f"ask for {DATE}, or say partner_columns_are_static = true"
            )
        return self


class GoalTable(Strict):
    """One thing to predict."""

    name: Name
    event: EventType
    horizon_days: int = Field(ge=1, le=3650)
    minimum_auc: float = Field(default=0.60, ge=0.5, lt=1)


class SegmentTable(Strict):
    """One file of people to write."""

    name: Name
    goal: Name
    top_percent: float = Field(gt=0, le=100)


class TrainingTable(Strict):
    """How models are trained; the defaults are meant to be left alone."""

    snapshots: int = Field(default=1, ge=1, le=12)
    seed: int = Field(default=7, ge=0)


class AwsTable(Strict):
    """The brand's account: region, buckets, images and instance types."""

    region: str = "us-east-1"
    data_bucket: Bucket | None = None
    results_bucket: Bucket | None = None
    processing_image: str = ""
    xgboost_image: str = ""
    processing_instance: str = "ml.m5.xlarge"
    training_instance: str = "ml.m5.xlarge"
    transform_instance: str = "ml.m5.large"
    transform_vcpus: int = Field(default=2, ge=1, le=4)  # more, and a request could not hold a shard of 20 MB


class Project(Strict):
    """A whole project.toml."""

    name: ProjectName
    as_of: date | None = None
    notice: str = ""
    tables: Tables
    query: QueryTable
    goals: tuple[GoalTable, ...] = Field(min_length=1)
    segments: tuple[SegmentTable, ...] = Field(min_length=1)
    training: TrainingTable = TrainingTable()
    aws: AwsTable = AwsTable()
    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def check_names(self) -> Project:
        """Names are unique, and every segment's goal exists."""
        goals = [goal.name for goal in self.goals]
        for kind, names in (("goals", goals), ("segments", [segment.name for segment in self.segments])):
            written = ["".join(part.capitalize() for part in name.split("_")) for name in names]
            if len(set(written)) < len(names):
                raise ValueError(f"two {kind} have the same name: {names}")
        for segment in self.segments:
            if segment.goal not in goals:
                raise ValueError(f"segment {segment.name} names the goal {segment.goal}; there are {goals}")
        return self

    @property
    def folder(self) -> Path:
        """The folder that holds project.toml."""
        return self._folder

    @property
    def output_dir(self) -> Path:
        """Where a run leaves what people read."""
        return self._folder / "output"

    def location(self, table: Literal["events", "contacts", "partner"]) -> str | Path:
        """Return a table's ``s3://`` prefix, or the path of its local file.

        Raises
        ------
        SettingsError
            If the file does not exist.
        """
        location: str = getattr(self.tables, table)
        if S3Uri.fullmatch(location):
            return location
        path = self._folder / location
        if not location or not path.is_file():
            raise SettingsError(
                f"tables.{table} = {location!r} is not there",
                where=str(self._folder / FILE_NAME),
                why=f"no file {path}",
                fix="name a Parquet file beside project.toml, or an s3:// prefix",
            )
        return path

    def run_settings(self) -> RunSettings:
        """Take out what container steps need."""
        return RunSettings(
            project=self.name,
            region=self.aws.region,
            notice=self.notice,
            data_bucket=self.aws.data_bucket or f"pseg-{self.name}-data",
            results_bucket=self.aws.results_bucket or f"pseg-{self.name}-results",
            query=Query(
                collaboration=self.query.collaboration or self.name,
                match_keys_table=self.query.match_keys_table,
                partner_table=self.query.partner_table,
                partner_columns=self.query.columns,
                deadline_seconds=self.query.deadline_seconds,
            ),
            goals=tuple(Goal(goal.name, goal.event, goal.horizon_days, goal.minimum_auc) for goal in self.goals),
            segments=tuple(Segment(segment.name, segment.goal, segment.top_percent) for segment in self.segments),
            training_snapshots=self.training.snapshots,
            partner_columns_are_static=self.query.partner_columns_are_static,
            max_duplicate_percent=self.query.max_duplicate_percent,
            seed=self.training.seed,
        )


def read_project(path: str | Path) -> Project:
    """Read a project.toml, or the one in a folder.

    Raises
    ------
    SettingsError
        Naming file, key and remedy.
    """
    file = Path(path)
    file = file / FILE_NAME if file.is_dir() else file
    try:
        document: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"there is no project at {file}",
            why=error.strerror or "",
            fix="name a project folder, or make one: pseg init NAME",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            "project.toml is not TOML", where=str(file), why=str(error), fix="mend that line"
        ) from error
    try:
        project = Project.model_validate(listed(document))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise SettingsError(
            f"{key}: {first['msg'].removeprefix('Value error, ')}",
            where=str(file),
            why=f"{error.error_count()} problem(s) in all" if error.error_count() > 1 else "",
            fix="see the comments in a fresh project: pseg init NAME",
        ) from error
    project._folder = file.parent
    return project


def listed(document: dict[str, Any]) -> dict[str, Any]:
    """Turn TOML arrays into the tuples that strict validation takes."""
    copy: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            copy[key] = listed(value)
        elif isinstance(value, list):
            copy[key] = tuple(listed(item) if isinstance(item, dict) else item for item in value)
        else:
            copy[key] = value
    return copy
