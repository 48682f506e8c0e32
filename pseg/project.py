"""project.toml, read and checked: the only place that knows its form. Unknown keys and impossible values are errors."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, PrivateAttr, StringConstraints, ValidationError, field_validator, model_validator

from contracts.contacts import CHANNEL_TYPES
from contracts.errors import ContractError, SettingsError
from contracts.feature_table import KEY_COLUMNS, LABEL_PREFIX
from contracts.query_result import DATE
from contracts.run_settings import Goal, Money, Query, ReadyTable, RunSettings, Segment, Training, Words
from contracts.table import find_parquet, is_parquet, parquet_files
from pseg.toml_form import Strict, closest, read_form

FILE_NAME = "project.toml"
JOIN_COLUMN = "hashed_id"
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=30)]
ProjectName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=2, max_length=30)]
ColumnName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,126}$")]
OwnColumn = Annotated[str, StringConstraints(min_length=1, max_length=200)]  # of a ready table, as its owner wrote it
EventType = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]
# no control characters, no line breaks, and nothing that turns the direction of what stands beside it (Unicode UAX 9)
TEXT = r"^[^\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$"
Text = Annotated[str, StringConstraints(pattern=TEXT)]
Bucket = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
AccountId = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
S3_URI = re.compile(r"s3://[a-z0-9.-]+/.+")
GLUE_TABLE = re.compile(r"glue://([a-z0-9_-]+)/([a-z0-9_-]+)")
TableName = Literal["events", "customers", "contacts", "partner"]


class Tables(Strict):
    """Where the tables lie: files or folders of Parquet beside project.toml, ``s3://`` prefixes, ``glue://`` tables."""

    events: str = ""
    customers: str = ""
    contacts: str = ""
    partner: str = ""
    features: str = ""

    @model_validator(mode="after")
    def check_source(self) -> Tables:
        """Either events or a ready customer table; events need contacts to reach anybody."""
        if bool(self.events) == bool(self.customers):
            raise ValueError("name either events or customers (a ready table, one row per customer)")
        if self.events and not self.contacts:
            raise ValueError("events need contacts: the addresses and consents of the customers")
        return self


class Columns(Strict):
    """Which column of a ready customer table is what; all others are features."""

    customer_key: OwnColumn = "customer_key"
    hashed_id: OwnColumn | Literal[""] = ""
    split: OwnColumn | Literal[""] = ""
    time: OwnColumn | Literal[""] = ""
    may_match: OwnColumn | Literal[""] = ""
    may_contact: OwnColumn | Literal[""] = ""
    ignore: tuple[OwnColumn, ...] = ()

    @model_validator(mode="after")
    def check_roles(self) -> Columns:
        """No column has two roles."""
        roles = [self.customer_key, self.hashed_id, self.split, self.time, self.may_match, self.may_contact]
        named = [name for name in (*roles, *self.ignore) if name]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is named for two things")
        return self


class QueryTable(Strict):
    """The Clean Rooms query and what may come back."""

    collaboration: str = ""
    partner_account: AccountId | Literal[""] = ""
    rule: Literal["LIST", "CUSTOM"] = "LIST"
    template: Name | Literal[""] = ""
    match_keys_table: Name = "match_keys"
    partner_table: Name = "partner_attributes"
    columns: tuple[ColumnName, ...] = ()
    partner_columns_are_static: bool = False
    max_duplicate_percent: float = Field(default=5.0, ge=0, le=100)
    deadline_seconds: int = Field(default=3600, ge=60, le=86400)
    worker_type: Literal["CR.1X", "CR.4X", "CR.8X"] = "CR.1X"
    workers: int = Field(default=16, ge=2, le=1024)  # what the API takes; the user guide has 128 of CR.1X

    @field_validator("columns")
    @classmethod
    def check_columns(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        """No column comes twice, and none is one that the query has anyway: it would be paid for and then refused."""
        for name in columns:
            if name in (JOIN_COLUMN, *KEY_COLUMNS) or name.startswith(LABEL_PREFIX):
                raise ValueError(f"{name} is not a column of the partner's to ask for")
            if columns.count(name) > 1:
                raise ValueError(f"{name} is named more than once")
        return columns

    @model_validator(mode="after")
    def check_rule(self) -> QueryTable:
        """Keep templates to the CUSTOM rule."""
        if (self.rule == "CUSTOM") != bool(self.template):
            raise ValueError('rule = "CUSTOM" runs an analysis template: name it in template; LIST has none')
        return self


class GoalTable(Strict):
    """One thing to predict, and the words in which people speak of it."""

    name: Name
    event: EventType | Literal[""] = ""
    horizon_days: int = Field(default=0, ge=0, le=3650)
    is_absent: bool = False
    label: OwnColumn | Literal[""] = ""
    minimum_auc: float = Field(default=0.60, ge=0.5, lt=1)
    title: Text = Field(default="", max_length=80)
    verb: Text = Field(default="do it", max_length=40)
    past: Text = Field(default="did it", max_length=40)
    noun: Text = Field(default="people who do it", max_length=40)
    one: Text = Field(default="person who does it", max_length=40)
    better: Literal[1, -1] = 1

    def to_settings(self) -> Goal:
        """Take out what container steps need."""
        title = self.title or self.name.replace("_", " ").capitalize()
        if not self.title and self.horizon_days:
            title += f" within {self.horizon_days} days"
        words = Words(title, self.verb, self.past, self.noun, self.one, self.better)
        return Goal(self.name, self.event, self.horizon_days, self.minimum_auc, self.label, self.is_absent, words)


class SegmentTable(Strict):
    """One file of people to write."""

    name: Name
    goal: Name
    top_percent: float = Field(default=10, gt=0, le=100)
    channel: str = ""
    minimum_score: float = Field(default=0, ge=0, le=1)
    max_size: int = Field(default=0, ge=0)
    holdout_percent: float = Field(default=0, ge=0, lt=100)

    @field_validator("channel")
    @classmethod
    def check_channel(cls, channel: str) -> str:
        """Know the channels of Pinpoint's files."""
        if channel and channel not in CHANNEL_TYPES:
            raise ValueError(f"{channel!r} is not a channel; one of {', '.join(CHANNEL_TYPES)}")
        return channel


class PrivacyTable(Strict):
    """What may be told of the partner's data."""

    name_partner_columns: bool = True


class ReportTable(Strict):
    """How the report names the two parties."""

    brand: Text = Field(default="", max_length=80)
    partner: Text = Field(default="the partner", max_length=80)


class MoneyTable(Strict):
    """What a contact costs and a conversion brings; without them the report speaks of people only."""

    currency: Text = Field(default="$", min_length=1, max_length=3)
    cost_per_contact: float | None = Field(default=None, ge=0)
    value_per_conversion: float | None = Field(default=None, ge=0)
    partner_fee_per_1000: float | None = Field(default=None, ge=0)


class BudgetTable(Strict):
    """What a run may cost by its estimate, in US dollars; without it nothing is stopped."""

    max_dollars: float | None = Field(default=None, gt=0)


class TrainingTable(Strict):
    """How models are trained; the defaults are meant to be left alone."""

    snapshots: int = Field(default=1, ge=1, le=12)
    seed: int = Field(default=7, ge=0)
    accept_features: tuple[str, ...] = ()
    max_rows: int = Field(default=1_000_000, ge=1000, le=100_000_000)
    minimum_positives: int = Field(default=50, ge=10)
    tuning: Literal["defaults", "search"] = "defaults"
    search_minutes: int = Field(default=30, ge=1, le=600)


class AwsTable(Strict):
    """The brand's account: region, buckets, images and instance types."""

    region: str = "us-east-1"
    data_bucket: Bucket | None = None
    results_bucket: Bucket | None = None
    processing_image: str = ""
    xgboost_image: str = ""
    processing_instance: str = "ml.m5.xlarge"
    processing_instances: int = Field(default=1, ge=1, le=20)
    training_instance: str = "ml.m5.xlarge"
    training_instances: int = Field(default=1, ge=1, le=20)
    transform_instance: str = "ml.m5.large"
    transform_instances: int = Field(default=1, ge=1, le=20)
    transform_vcpus: int = Field(default=2, ge=1, le=4)  # more, and a request could not hold a shard of 20 MB


class Project(Strict):
    """A whole project.toml."""

    name: ProjectName
    as_of: date | None = None
    notice: Text = ""
    tables: Tables
    columns: Columns = Columns()
    query: QueryTable = QueryTable()
    goals: tuple[GoalTable, ...] = Field(min_length=1)
    segments: tuple[SegmentTable, ...] = ()
    privacy: PrivacyTable = PrivacyTable()
    report: ReportTable = ReportTable()
    money: MoneyTable = MoneyTable()
    budget: BudgetTable = BudgetTable()
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
                raise ValueError(f"segment {segment.name} names the goal {segment.goal}{closest(segment.goal, goals)}")
        return self

    @model_validator(mode="after")
    def check_goals(self) -> Project:
        """With events, a goal is an event within a horizon; with a ready table it is a label column."""
        for goal in self.goals:
            if self.is_ready_table and (not goal.label or goal.event or goal.horizon_days or goal.is_absent):
                raise ValueError(f"goal {goal.name}: with tables.customers a goal has a label, no event and no horizon")
            if not self.is_ready_table and (goal.label or not goal.event or not goal.horizon_days):
                raise ValueError(f"goal {goal.name}: with tables.events a goal has event and horizon_days, no label")
        for segment in self.segments:
            if not self.tables.contacts and segment.channel not in ("", "CUSTOM"):
                raise ValueError(
                    f"segment {segment.name}: without tables.contacts nobody has an {segment.channel} address"
                )
        if not self.is_ready_table and self.columns != Columns():
            raise ValueError("[columns] describes a ready table; events and contacts have fixed names")
        if self.columns.time and not self.columns.split and self.aws.processing_instances > 1:
            raise ValueError("aws.processing_instances: no instance sees all times; write the split into a column")
        if self.is_ready_table and self.training.snapshots > 1:
            raise ValueError("training.snapshots: a ready table is one snapshot; use columns.time or columns.split")
        labels = [goal.label for goal in self.goals if goal.label]
        taken = {*self.columns.model_dump(exclude={"ignore"}).values(), *self.columns.ignore} - {""}
        if clash := sorted(taken & set(labels)):
            raise ValueError(f"{', '.join(clash)} is the label of a goal and something else in [columns]")
        if len(set(labels)) < len(labels):
            raise ValueError(f"two goals have the same label: {labels}")
        return self

    @model_validator(mode="after")
    def check_partner(self) -> Project:
        """Ask for what matching needs: identifiers, and dates or the word that values never change."""
        if not self.has_partner:
            return self
        if self.is_ready_table and not self.columns.hashed_id and not self.tables.contacts:
            raise ValueError(
                "a partner needs columns.hashed_id (SHA-256 of the e-mail address) or tables.contacts to be matched"
            )
        is_dated = not self.query.columns or DATE in self.query.columns
        if not self.is_ready_table and not is_dated and not self.query.partner_columns_are_static:
            raise ValueError(
                f"query: without {DATE} nobody knows whether the partner's values come from after the training date; "
                f"ask for {DATE}, or say partner_columns_are_static = true"
            )
        return self

    @property
    def is_ready_table(self) -> bool:
        """Tell if the customers come as a ready table, not as events."""
        return bool(self.tables.customers)

    @property
    def has_partner(self) -> bool:
        """Tell if there is a partner to ask: a table of theirs (embedded AWS), columns, or a named collaboration."""
        return bool(self.tables.partner or self.query.columns or self.query.collaboration)

    @property
    def own_tables(self) -> tuple[TableName, ...]:
        """Names of the tables that are the brand's own."""
        names: tuple[TableName, ...] = ("events", "customers", "contacts")
        return tuple(name for name in names if getattr(self.tables, name))

    @property
    def folder(self) -> Path:
        """The folder that holds project.toml."""
        return self._folder

    @property
    def output_dir(self) -> Path:
        """Where a run leaves what people read."""
        return self._folder / "output"

    def location(self, table: TableName) -> str | Path:
        """Return a table's ``s3://`` or ``glue://`` address, or the path of its local file or folder.

        Raises
        ------
        SettingsError
            If there is no such file, or it is not Parquet, or there is no Parquet file in the folder.
        """
        location: str = getattr(self.tables, table)
        if S3_URI.fullmatch(location) or GLUE_TABLE.fullmatch(location):
            return location
        path = self._folder / location
        if not location or not path.exists():
            raise SettingsError(
                f"tables.{table} = {location!r} is not there",
                where=str(self._folder / FILE_NAME),
                why=f"no file {path}",
                fix="name a Parquet file beside project.toml, an s3:// prefix or glue://database/table",
            )
        if not (is_parquet(path) if path.is_file() else find_parquet(path)):
            raise SettingsError(
                f"tables.{table} = {location!r} {'is not a' if path.is_file() else 'holds no'} Parquet file",
                where=str(path),
                why="tables are Parquet: such a file begins with the bytes PAR1, whatever its name",
                fix="write the table as Parquet, or name another one in project.toml",
            )
        return path

    def partner_columns(self) -> tuple[str, ...]:
        """Columns to ask the partner for: those named, else all of a local partner table but its identifier.

        Raises
        ------
        SettingsError
            If none are named and there is no local file to look into, or a column of it can't be asked for.
        """
        if self.query.columns:
            return self.query.columns
        path = self.location("partner") if self.tables.partner else None
        if not isinstance(path, Path):
            raise SettingsError(
                "nobody said which columns to ask the partner for",
                where=str(self._folder / FILE_NAME),
                fix='name them: [query] columns = ["attribute_date", ...]',
            )
        names = tuple(name for name in schema_of(path).names if name != JOIN_COLUMN)
        try:
            return QueryTable(columns=names).columns
        except ValidationError as error:
            named = [str(found["input"]) for found in error.errors() if found["type"] != "value_error"]
            wrong = ", ".join(named) or error.errors()[0]["msg"].removeprefix("Value error, ")
            raise SettingsError(
                f"columns of the partner's table can't be asked for: {wrong}",
                where=str(path),
                why="none are named in [query], so it would be all; a name is made of a-z, 0-9 and _",
                fix='name those that you want: [query] columns = ["attribute_date", ...], or rename them in the table',
            ) from error

    def features_sql(self) -> str:
        """Read the user's own feature query, empty if the project has none."""
        if not self.tables.features:
            return ""
        path = self._folder / self.tables.features
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"tables.features = {self.tables.features!r} can't be read",
                where=str(self._folder / FILE_NAME),
                why=str(error),
                fix="name an SQL file beside project.toml, or remove the key",
            ) from error

    def run_settings(self) -> RunSettings:
        """Take out what container steps need.

        Raises
        ------
        SettingsError
            If a file that the settings come from is not there.
        """
        segments = self.segments or tuple(SegmentTable(name=goal.name, goal=goal.name) for goal in self.goals)
        return RunSettings(
            project=self.name,
            region=self.aws.region,
            notice=self.notice,
            data_bucket=self.aws.data_bucket or f"pseg-{self.name}-data",
            results_bucket=self.aws.results_bucket or f"pseg-{self.name}-results",
            query=self.query_settings() if self.has_partner else None,
            goals=tuple(goal.to_settings() for goal in self.goals),
            segments=tuple(Segment(**segment.model_dump()) for segment in segments),
            training_snapshots=self.training.snapshots,
            partner_columns_are_static=self.query.partner_columns_are_static,
            max_duplicate_percent=self.query.max_duplicate_percent,
            seed=self.training.seed,
            customers=ReadyTable(**self.columns.model_dump()) if self.is_ready_table else None,
            has_contacts=bool(self.tables.contacts),
            features_sql=self.features_sql(),
            brand=self.report.brand or self.name,
            partner=self.report.partner,
            may_name_partner_columns=self.privacy.name_partner_columns,
            money=Money(**self.money.model_dump()),
            training=Training(**self.training.model_dump(exclude={"snapshots", "seed"})),
        )

    def query_settings(self) -> Query:
        """Take out what the query step needs."""
        return Query(
            collaboration=self.query.collaboration or self.name,
            match_keys_table=self.query.match_keys_table,
            partner_table=self.query.partner_table,
            partner_columns=self.partner_columns(),
            deadline_seconds=self.query.deadline_seconds,
            rule=self.query.rule,
            template=self.query.template,
            worker_type=self.query.worker_type,
            workers=self.query.workers,
        )


def schema_of(path: Path) -> pa.Schema:
    """Read the schema of a local table, from its first file."""
    try:
        return pq.read_schema(parquet_files(path, "partner")[0])
    except (ContractError, pa.ArrowInvalid, OSError) as error:
        raise SettingsError(
            "the partner's table can't be read", where=str(path), why=str(error), fix="write it as Parquet"
        ) from error


def read_project(path: str | Path) -> Project:
    """Read a project.toml, or the one in a folder.

    Raises
    ------
    SettingsError
        Naming file, key and remedy.
    """
    file = Path(path)
    file = file / FILE_NAME if file.is_dir() else file
    project = read_form(Project, file, "project", "pseg init NAME")
    project._folder = file.parent
    return project
