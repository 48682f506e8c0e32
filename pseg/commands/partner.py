"""``pseg partner``: for the data provider, on the provider's own machine. Needs no AWS and sends nothing anywhere."""

from __future__ import annotations

import os
import re
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import SettingsError
from pseg.commands.options import AsJson
from pseg.console import EXIT_NO, HEARTBEAT_SECONDS, answer, print_json, print_table, say

if TYPE_CHECKING:
    from clean_rooms.data_card import DataCard
    from clean_rooms.partner_kit import Preparation

app = typer.Typer(
    help="For the data partner: check files, prepare the table to offer. Nothing leaves the machine.",
    no_args_is_help=True,
)
Columns = list[str] | None
Files = Annotated[list[Path] | None, typer.Argument(help="CSV or Parquet files with the same columns.")]
Email = Annotated[Columns, typer.Option(help="A column of e-mail addresses; repeatable.")]
Phone = Annotated[Columns, typer.Option(help="A column of phone numbers; repeatable.")]
Device = Annotated[Columns, typer.Option(help="A column of advertising ids (IDFA, GAID); repeatable.")]
Hashed = Annotated[Columns, typer.Option(help="A column of SHA-256 hashes of normalised identifiers; repeatable.")]
Day = Annotated[str, typer.Option("--date", help="The column that says of which day a row's values are.")]
Types = Annotated[
    Columns,
    typer.Option("--type", help="COLUMN=text|integer|number|boolean|date|time, or COLUMN=date:%d.%m.%Y; repeatable."),
]
Drop = Annotated[Columns, typer.Option(help="A column to leave out; repeatable.")]
Region = Annotated[str, typer.Option(help="Country of phone numbers without country code, as DE or US.")]
Delimiter = Annotated[str, typer.Option(help="What separates the values of CSV; found out from the header.")]
Encoding = Annotated[str, typer.Option(help="How CSV is written, as cp1252 or utf-16.")]
KeyFile = Annotated[Path | None, typer.Option(help="File with the secret key of keyed hashes (HMAC-SHA-256).")]
KeyVariable = Annotated[str, typer.Option("--key-env", help="Environment variable that holds the secret key.")]
MaxBad = Annotated[float, typer.Option(min=0, max=100, help="Share of rows that may be left out, in percent.")]


@app.command()
def check(
    files: Files = None,
    conformance: Annotated[
        bool, typer.Option("--conformance", help="Does this machine make of identifiers what both parties agreed on?")
    ] = False,
    email: Email = None,
    phone: Phone = None,
    device: Device = None,
    hashed: Hashed = None,
    day: Day = "",
    types: Types = None,
    drop: Drop = None,
    region: Region = "",
    delimiter: Delimiter = "",
    encoding: Encoding = "utf-8",
    key_file: KeyFile = None,
    key_variable: KeyVariable = "",
    max_bad_percent: MaxBad = 5.0,
    as_json: AsJson = False,
) -> None:
    """Say what would become of files; exit code 1 if they can't be offered. Writes nothing.

    Example: pseg partner check members.csv --email mail --date updated_on --region DE

    Example: pseg partner check --conformance
    """
    if conformance:
        check_conformance(as_json)
        if not files:
            return
    columns = (email, phone, device, hashed, day, types, drop)
    job = read_job(files, columns, region, delimiter, encoding, (key_file, key_variable), max_bad_percent)
    card = run(job, None)
    if as_json:
        print_json("partner.check", asdict(card))
    else:
        show_card(card)
        answer.print("Nothing was written or sent.  Next  pseg partner prepare with the same options and --out FOLDER")


@app.command()
def prepare(
    files: Files = None,
    out: Annotated[Path, typer.Option(help="Folder to make: data, data card, table definition.")] = Path("prepared"),
    table: Annotated[str, typer.Option(help="Name of the table in Glue.")] = "partner_attributes",
    database: Annotated[str, typer.Option(help="Name of the database in Glue.")] = "pseg",
    location: Annotated[
        str, typer.Option(help="The s3:// prefix of yours where the data will lie.")
    ] = "s3://YOUR-BUCKET/partner_attributes/",
    email: Email = None,
    phone: Phone = None,
    device: Device = None,
    hashed: Hashed = None,
    day: Day = "",
    types: Types = None,
    drop: Drop = None,
    region: Region = "",
    delimiter: Delimiter = "",
    encoding: Encoding = "utf-8",
    key_file: KeyFile = None,
    key_variable: KeyVariable = "",
    max_bad_percent: MaxBad = 5.0,
    as_json: AsJson = False,
) -> None:
    """Make the table to offer in the collaboration: hashed identifiers, typed columns, Parquet, data card.

    All or nothing: the folder appears when everything is in it.

    Example: pseg partner prepare members.csv --email mail --date updated_on --out prepared --location s3://mine/members/
    """
    from clean_rooms.data_card import upload_commands

    columns = (email, phone, device, hashed, day, types, drop)
    job = read_job(files, columns, region, delimiter, encoding, (key_file, key_variable), max_bad_percent)
    check_names(table, database, location)
    location = location.rstrip("/") + "/"
    card = run(replace(job, table=table, database=database, location=location), out)
    commands = upload_commands(out, location)
    if as_json:
        print_json("partner.prepare", {"output": str(out), "upload": commands, **asdict(card)})
        return
    show_card(card)
    answer.print(f"Folder  {out}        Card  {out / 'data_card.md'}        Next, with your own AWS account:")
    for command in commands:
        answer.print(f"  {command}")


@app.command()
def match(
    ours: Annotated[Path, typer.Argument(help="CSV or Parquet file with hashed identifiers.")],
    theirs: Annotated[Path, typer.Argument(help="The other party's.")],
    column: Annotated[str, typer.Option(help="The column of hashed identifiers in both.")] = "hashed_id",
    as_json: AsJson = False,
) -> None:
    """Preview the match rate of two files of hashed identifiers, without showing one; refuses small files.

    Example: pseg partner match prepared/data/part-00000.parquet their_sample.parquet
    """
    from clean_rooms.match_preview import preview_match

    sides = list(zip((ours, theirs), preview_match(ours, theirs, column), strict=True))
    if as_json:
        described = [
            {"file": path.name, **asdict(side), "rate": side.rate, "interval": side.interval} for path, side in sides
        ]
        print_json("partner.match", {"sides": described})
        return
    rows = [
        (
            path.name,
            f"{side.rows:,}",
            f"{side.identifiers:,}",
            f"{side.matched:,}",
            f"{side.rate:.1%}",
            f"({side.interval[0]:.1%} to {side.interval[1]:.1%})",
        )
        for path, side in sides
    ]
    print_table(("file", "rows", "identifiers", "matched", "rate", ""), rows, right=(1, 2, 3, 4))
    answer.print("Counts are rounded to tens; the range holds in 19 of 20 such samples. No identifier was shown.")


def check_conformance(as_json: bool) -> None:
    """Run the published examples; end with exit code 1 if one differs."""
    from clean_rooms.conformance import run_conformance

    result = run_conformance()
    if as_json:
        print_json("partner.conformance", asdict(result))
    else:
        for line in result.differences:
            answer.print(f"x   {line}", markup=False)
        answer.print(f"{result.cases} cases, {len(result.differences)} differ · set {result.sha256[:16]}")
    if result.differences:
        raise typer.Exit(EXIT_NO)


def read_job(
    files: list[Path] | None,
    columns: tuple[Columns, Columns, Columns, Columns, str, Columns, Columns],
    region: str,
    delimiter: str,
    encoding: str,
    key: tuple[Path | None, str],
    max_bad_percent: float,
) -> Preparation:
    """Turn options into what to prepare.

    Raises
    ------
    SettingsError
        If an option is not of its form, or two say different things of a column.
    """
    from clean_rooms.identity import KINDS, Kind, read_key
    from clean_rooms.partner_columns import Declared
    from clean_rooms.partner_files import CsvForm
    from clean_rooms.partner_kit import Preparation

    if not files:
        raise SettingsError("no file is named", fix="pseg partner check members.csv")
    *identifiers, day, types, drop = columns
    kinds: dict[str, Kind] = {}
    for kind, names in zip(KINDS, identifiers, strict=True):
        for name in names or []:
            if kinds.setdefault(name, kind) != kind:
                raise SettingsError(f"column {name} is said to be {kinds[name]} and {kind}", fix="say one of them")
    if wrong := next((given for given in types or [] if "=" not in given), None):
        raise SettingsError(f"{wrong!r} is not COLUMN=TYPE", where="--type", fix="write --type points=integer")
    if region and not is_region(region):
        raise SettingsError(f"{region!r} is no region", where="--region", fix="two letters, as DE, GB or US")
    if len(delimiter.replace("\\t", "\t")) > 1:
        raise SettingsError(f"{delimiter!r} is no delimiter", where="--delimiter", fix="one character; \\t is a tab")
    return Preparation(
        files=tuple(files),
        form=CsvForm(delimiter.replace("\\t", "\t"), encoding),
        declared=Declared(
            identifiers=kinds,
            date=str(day or ""),
            types=dict(given.rsplit("=", 1) for given in types or []),
            drop=frozenset(drop or []),
        ),
        region=region,
        key=read_key(*key, os.environ),
        max_bad_percent=max_bad_percent,
    )


def is_region(region: str) -> bool:
    """Tell if phone numbers of a region are known."""
    import phonenumbers

    return region in phonenumbers.SUPPORTED_REGIONS


def check_names(table: str, database: str, location: str) -> None:
    """Refuse names that Glue or S3 would refuse.

    Raises
    ------
    SettingsError
        Naming the option.
    """
    for option, name in (("--table", table), ("--database", database)):
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,126}", name):
            raise SettingsError(
                f"{name!r} can't be a name", where=option, fix="lower-case letters, digits, underscores"
            )
    if not re.fullmatch(r"s3://[A-Za-z0-9.-]{3,63}/.*", location):
        raise SettingsError(f"{location!r} is no S3 prefix", where="--location", fix="as s3://your-bucket/members/")


def run(job: Preparation, out: Path | None) -> DataCard:
    """Prepare, and say from time to time how far it is."""
    import pyarrow as pa

    from clean_rooms.partner_kit import prepare as prepare_files

    pa.set_memory_pool(pa.system_memory_pool())  # gives memory back at once: the peak is a fifth lower
    began = said = time.monotonic()

    def report_rows(rows: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said > HEARTBEAT_SECONDS:
            say(f"  {rows:,} rows after {now - began:.0f} s")
            said = now

    return prepare_files(job, out, report_rows)


def show_card(card: DataCard) -> None:
    """Show what was made of the files."""
    from clean_rooms.data_card import counted

    print_table(
        ("column", "from", "type", "missing", "values"),
        [
            (
                "hashed_id",
                ", ".join(c.source for c in card.identifiers),
                "string",
                "0",
                f"{card.distinct_identifiers:,}",
            ),
            *((c.name, c.source, c.type, f"{c.missing:,}", f"about {c.distinct:,}") for c in card.columns),
        ],
        right=(3, 4),
    )
    for column in card.identifiers:
        answer.print(f"{column.source}: {column.usable:,} usable {column.kind}; not usable: {counted(column.unusable)}")
    for reason, count in card.left_out.items():
        say(f"!  {count:,} rows left out: {reason}  ({', '.join(card.left_out_first[reason])})")
    for facts in card.columns:
        if facts.seems_key:
            say(f"!  column {facts.name} seems to name the row: does it tell of a person? --drop {facts.source}")
    answer.print(
        f"{card.rows_read:,} rows read, {card.rows:,} rows of {card.distinct_identifiers:,} identifiers; "
        f"{card.rows_identical:,} the same again, {card.rows_replaced:,} replaced by a later row"
    )
    answer.print(f"Identifiers  {card.hashing}")
