"""``pseg lint``: would Clean Rooms run this query. Offline; nothing is sent and nothing is billed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import SettingsError
from pseg.commands.options import AsJson
from pseg.console import BLUE, EXIT_INPUT, EXIT_NO, ORANGE, answer, print_json, say

if TYPE_CHECKING:
    from clean_rooms.analysis_rules import Verdict, Violation

WIDTH = 100  # characters of a line of SQL that are shown
QueryFile = Annotated[Path, typer.Argument(help="File with one query.", metavar="QUERY")]
SchemasFile = Annotated[
    Path, typer.Option("--schemas", help="JSON list of {schema, analysisRules}, as the AWS API gives them.")
]
Runner = Annotated[str, typer.Option(help="Account that runs the query; needed if several could.")]
Receivers = Annotated[list[str] | None, typer.Option("--receiver", help="Account that receives the result (repeat).")]
TemplateFile = Annotated[Path | None, typer.Option("--template", help="Answer of GetCollaborationAnalysisTemplate.")]
Parameters = Annotated[list[str] | None, typer.Option("--parameter", help="NAME=VALUE of the template (repeat).")]
BudgetsFile = Annotated[Path | None, typer.Option("--budgets", help="Answer of ListPrivacyBudgets.")]


def lint(
    query: QueryFile,
    schemas: SchemasFile,
    runner: Runner = "",
    receiver: Receivers = None,
    template: TemplateFile = None,
    parameter: Parameters = None,
    budgets: BudgetsFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell whether Clean Rooms would run a query: exit code 0 yes, 1 no, 2 cannot tell or bad input.

    Example: pseg lint query.sql --schemas schemas.json --runner 111111111111
    """
    from clean_rooms.analysis_rules import check

    sql = read_text(query)
    tables = read_json(schemas)
    account = runner or find_runner(tables)
    template_answer = unwrap(read_json(template), "collaborationAnalysisTemplate") if template else None
    budget_answer = unwrap(read_json(budgets), "privacyBudgetSummaries") if budgets else None
    verdict = check(
        sql,
        tables,
        account,
        result_receivers=receiver or None,
        template=template_answer,
        parameters=dict(map(split_parameter, parameter)) if parameter else None,
        privacy_budget=budget_answer,
    )
    if as_json:
        print_json("lint", as_document(verdict, account))
    else:
        if not runner:
            say(f"runner {account}, the only account that every table lets receive results")
        print_verdict(query, sql, verdict)
    if not verdict.allowed:
        raise typer.Exit(EXIT_NO if verdict.rejections else EXIT_INPUT)


def read_text(path: Path) -> str:
    """Read a text file.

    Raises
    ------
    SettingsError
        If it can't be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        what = f"{path} can't be read"
        raise SettingsError(what, where=str(path), why=error.strerror or str(error), fix="name a file") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8", where=f"byte {error.start}", fix="save it as UTF-8") from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    SettingsError
        If it can't be read or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        raise SettingsError(f"{path} is not JSON", where=where, why=error.msg, fix="mend or rewrite it") from error


def unwrap(document: Any, name: str) -> Any:
    """Take what an API's answer holds; the bare content is taken as it is."""
    return document[name] if isinstance(document, dict) and name in document else document


def split_parameter(text: str) -> tuple[str, str]:
    """Split NAME=VALUE.

    Raises
    ------
    SettingsError
        If there is no equals sign.
    """
    name, sign, value = text.partition("=")
    if not sign:
        raise SettingsError(f"{text!r} is no parameter", where="--parameter", fix="write --parameter NAME=VALUE")
    return name, value


def find_runner(tables: Any) -> str:
    """Find the one account that may receive results of all tables: it is whom the query is for.

    Raises
    ------
    SettingsError
        If there is no such account, or more than one.
    """
    from clean_rooms.analysis_rules.tables import read_tables

    found = [table.receivers for table in read_tables(tables).values() if table.receivers]
    accounts = sorted(frozenset.intersection(*found)) if found else []
    if len(accounts) != 1:
        why = f"accounts that every table lets receive results: {', '.join(accounts) or 'none'}"
        raise SettingsError("who runs the query is not said", where="--runner", why=why, fix="add --runner ACCOUNT")
    return accounts[0]


def as_document(verdict: Verdict, runner: str) -> dict[str, Any]:
    """Write a verdict for ``--json``."""
    return {
        "allowed": verdict.allowed,
        "runner": runner,
        "rule_type": verdict.rule_type,
        "tables": list(verdict.tables),
        "violations": [asdict(violation) for violation in verdict.violations],
        "constraints": [asdict(constraint) for constraint in verdict.constraints],
    }


def print_verdict(query: Path, sql: str, verdict: Verdict) -> None:
    """Print a verdict for people."""
    from rich.text import Text

    for violation in verdict.violations:
        print_violation(query, sql.split("\n"), violation)
    rejections, unsure = len(verdict.rejections), len(verdict.unsure)
    counts = f"{rejections} rejection{'s' if rejections != 1 else ''}, {unsure} unsure."
    for constraint in verdict.constraints if verdict.allowed else ():
        of = f" in {constraint.output_column}" if constraint.output_column else ""
        counted = f"{constraint.table}.{constraint.column}"
        answer.print(Text(f"result rows built from fewer than {constraint.minimum:,} {counted} are left out{of}"))
    if verdict.allowed:
        rule = f"{verdict.rule_type} on {', '.join(verdict.tables)}"
        answer.print(Text.assemble(f"{query}: ", ("allowed", BLUE), f"  {rule}"))
        answer.print(Text(f"{counts} Clean Rooms would run this query. Nothing was sent or billed."))
    elif rejections:
        answer.print(Text(f"{counts} Clean Rooms would refuse this query. Nothing was sent or billed."))
    else:
        answer.print(Text(f"{counts} Whether Clean Rooms would run it can't be told. Nothing was sent or billed."))


def print_violation(query: Path, lines: list[str], violation: Violation) -> None:
    """Print one violation with its line of SQL, what is wrong, the rule and the remedy."""
    from rich.text import Text

    place = violation.place
    word, style = ("unsure", "bold") if violation.is_unsure else ("rejected", f"bold {ORANGE}")
    answer.print(
        Text.assemble(f"{query}:{place.line}:{place.column}: ", (word, style), f"  {violation.code}"), soft_wrap=True
    )
    shown, offset = cut(lines[place.line - 1].expandtabs(1), place.column)
    number = str(place.line)
    answer.print(Text(f"  {number} | {shown}".rstrip()))
    carets = "^" * max(1, min(place.length, len(shown) - offset))
    answer.print(Text.assemble(f"  {' ' * len(number)} | {' ' * offset}", (carets, style), f" {violation.what}"))
    if violation.rule:
        answer.print(Text(f"  rule   {violation.rule}"))
    answer.print(Text(f"  fix    {violation.fix}"))


def cut(line: str, column: int) -> tuple[str, int]:
    """Cut a long line around a column (from 1); returns what is shown and the place of the column in it (from 0)."""
    if len(line) <= WIDTH:
        return line, column - 1
    start = max(0, min(column - 1 - WIDTH // 3, len(line) - WIDTH))
    before, after = "... " if start else "", " ..." if start + WIDTH < len(line) else ""
    return f"{before}{line[start : start + WIDTH]}{after}", column - 1 - start + len(before)
