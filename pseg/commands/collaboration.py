"""``pseg collaboration``: each party's half of the Clean Rooms collaboration, made with its own credentials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from contracts.errors import SettingsError
from pseg.commands.options import AsJson, ProjectArgument
from pseg.console import BLUE, EXIT_NO, ORANGE, answer, ask, print_json, print_table, say

if TYPE_CHECKING:
    from clean_rooms.collaboration import Half, Part
    from clean_rooms.readiness import Finding
    from clean_rooms.teardown import Removal
    from pseg.collaboration_terms import Side

app = typer.Typer(
    help="Your half of the Clean Rooms collaboration: plan, create, join, status, teardown.", no_args_is_help=True
)
TermsArgument = Annotated[
    Path, typer.Argument(metavar="TERMS", help="The brand's project folder, or the partner's partner.toml.")
]
PartnerArgument = Annotated[Path, typer.Argument(metavar="TERMS", help="partner.toml, as the brand printed it.")]
Role = Annotated[
    str, typer.Option(help="ARN of the role that reads the brand's match keys; by default pseg-PROJECT-match-keys.")
]
PLANNED = {"missing": "to make", "changed": "to change"}


@app.command()
def plan(
    terms: TermsArgument,
    for_partner: Annotated[
        bool, typer.Option("--for-partner", help="Print the partner.toml to hand over, nothing else.")
    ] = False,
    role: Role = "",
    as_json: AsJson = False,
) -> None:
    """Show what would be made, and by whom. Nothing is changed.

    For the partner it prints the SQL of each template too: that text is what partner.toml allows.

    Example: pseg collaboration plan spring-sale --for-partner > partner.toml
    """
    side, half = open_half(terms, role, is_plan=True)
    if for_partner:
        print_partner_file(side, as_json)
        return
    half.complete()
    texts = read_templates(half) if side.party == "partner" else {}
    theirs = list(their_parts(side))
    if as_json:
        document = describe(side) | {"parts": parts_document(half.parts), "theirs": parts_document(theirs)}
        print_json("collaboration.plan", document | ({"templates": texts} if texts else {}))
        return
    print_side(side)
    other = "partner" if side.party == "brand" else "brand"
    rows = [
        (str(side.party), part.kind, part.name, PLANNED.get(part.state, part.state), part.note) for part in half.parts
    ]
    rows += [(other, part.kind, part.name, "theirs", part.note) for part in theirs]
    print_table(("who", "what", "name", "now", ""), rows)
    for arn, sql in texts.items():
        answer.print(f"\n{arn}\n{visible(sql).rstrip()}", markup=False)
    say(f"Nothing was changed.   Next  {side.commands[side.party]}")


@app.command()
def create(project: ProjectArgument, role: Role = "", as_json: AsJson = False) -> None:
    """Make the brand's half: collaboration, membership, table of match keys, rules, template. What exists is used.

    Example: pseg collaboration create spring-sale
    """
    side, half = open_half(project, role)
    if side.project is None:
        raise wrong_party(side, "join")
    import boto3

    from pseg.aws_accounts import make_match_keys_table

    settings = side.project.run_settings()
    if settings.query:
        make_match_keys_table(settings, settings.query, boto3.Session())
    complete(side, half, "create", as_json)


@app.command()
def join(terms: PartnerArgument, as_json: AsJson = False) -> None:
    """Make the partner's half: membership, table, rules. Allows exactly what partner.toml says; what exists is used.

    Example: pseg collaboration join partner.toml
    """
    side, half = open_half(terms)
    if side.party != "partner":
        raise wrong_party(side, "create")
    complete(side, half, "join", as_json)


@app.command()
def status(terms: TermsArgument, as_json: AsJson = False) -> None:
    """Say what is missing before the query can run, and who must act; exit code 1 if something is.

    Example: pseg collaboration status spring-sale
    """
    side, half = open_half(terms)
    findings = find(side, half)
    missing = [one for one in findings if one.state == "x"]
    if as_json:
        print_json("collaboration.status", describe(side) | findings_document(findings))
    else:
        print_side(side)
        print_findings(findings)
        say_next(side, missing)
    raise typer.Exit(EXIT_NO if missing else 0)


@app.command()
def teardown(
    terms: TermsArgument,
    table_only: Annotated[
        bool, typer.Option("--table-only", help="Only your table, its association and rules: you stay a member.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to the removal; without it, you are asked.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take this party's half down, in the right order; what the other party owns stays, and so do Glue tables and data.

    A member that has left can't come back: the next time needs a new collaboration.

    Example: pseg collaboration teardown partner.toml --dry-run
    """
    side, half = open_half(terms)
    from clean_rooms.teardown import plan_teardown, tear_down

    removals = plan_teardown(half.client, side.agreement, side.party, is_table_only=table_only)
    going = [one for one in removals if not one.keep]
    gone: list[Removal] = []
    if going and not dry_run:
        kinds = {one.kind for one in going}
        what = f"This deletes {len(going)} things of the {side.party}'s in {side.agreement.collaboration}"
        what += "; the collaboration ends for every member" if "collaboration" in kinds else ""
        what += "; a member that has left can't come back" if "membership" in kinds else ""
        ask(f"{what}.", yes, "nothing was removed")
        tear_down(removals, gone.append)
    if as_json:
        rows = [{"kind": one.kind, "name": one.name, "keep": one.keep} for one in removals]
        print_json("collaboration.teardown", describe(side) | {"is_dry_run": dry_run, "removals": rows})
        return
    print_side(side)
    if removals:
        word = "to remove" if dry_run else "removed"
        print_table(("now", "what", "name", ""), [removal_row(one, word) for one in removals])
    else:
        answer.print("nothing of it is left")
    say(
        f"Nothing was removed.   Next  pseg collaboration teardown {terms}"
        if dry_run
        else "Glue tables, buckets, roles and data stay."
    )


def open_half(path: Path, role: str = "", *, is_plan: bool = False) -> tuple[Side, Half]:
    """Read a party's file with the account of the credentials, and prepare its half."""
    from pseg.commands.embedded import choose_aws

    say(f"using {choose_aws()}")
    import boto3

    from clean_rooms.collaboration import Half
    from clean_rooms.protected_query import make_client
    from pseg.collaboration_terms import open_side

    session = boto3.Session()
    side = open_side(path, str(session.client("sts").get_caller_identity()["Account"]), role)
    client = make_client(session)
    return side, Half(client, side.agreement, side.party, side.table, side.template, is_plan)


def wrong_party(side: Side, command: str) -> SettingsError:
    """Make the error for a command of the other party's."""
    return SettingsError(f"{side.path} is the {side.party}'s", fix=f"pseg collaboration {command} {side.path}")


def complete(side: Side, half: Half, command: str, as_json: bool) -> None:
    """Make what is missing of a half, and say what is there now and what still keeps queries from running."""
    half.complete()
    findings = find(side, half)
    missing = [one for one in findings if one.state == "x"]
    if as_json:
        document = describe(side) | {"parts": parts_document(half.parts)} | findings_document(findings)
        print_json(f"collaboration.{command}", document)
        return
    print_side(side)
    rows = [(part.state, part.kind, part.name, part.note) for part in half.parts]
    print_table(("now", "what", "name", ""), rows)
    print_findings(missing)
    say_next(side, missing)


def find(side: Side, half: Half) -> list[Finding]:
    """Find what is there and what is missing, on both sides."""
    from clean_rooms.readiness import find_missing

    return find_missing(half.client, side.agreement, side.party, side.commands)


def read_templates(half: Half) -> dict[str, str]:
    """Return the SQL of each agreed template that is there, by its ARN."""
    from clean_rooms.templates import read_text

    arns = [part.note for part in half.parts if part.kind == "analysis template" and part.state == "there"]
    return {arn: read_text(half.client, str(half.collaboration_id), arn) for arn in arns}


def visible(text: str) -> str:
    """Show what a terminal would act on or hide: people agree to the text that they see."""
    return "".join(one if one.isprintable() or one in "\n\t" else f"\\u{{{ord(one):x}}}" for one in text)


def their_parts(side: Side) -> Iterator[Part]:
    """Yield what the other party makes with their own credentials."""
    from clean_rooms.collaboration import Part

    agreement = side.agreement
    if side.party == "partner":
        yield Part("collaboration", agreement.collaboration, "waits", f"made by account {agreement.brand_account}")
        yield from (
            Part("analysis template", name, "waits", f"SHA-256 {one}") for name, one in agreement.templates.items()
        )
    table = agreement.tables["partner" if side.party == "brand" else "brand"]
    yield Part("membership", agreement.collaboration, "waits")
    yield Part("table association", table.name, "waits", ", ".join(table.columns))
    yield Part(f"{agreement.rule} analysis rule", table.name, "waits", f"results go to {agreement.brand_account}")


def print_partner_file(side: Side, as_json: bool) -> None:
    """Print the partner.toml of a project."""
    from pseg.collaboration_terms import print_terms

    if side.party != "brand":
        raise SettingsError(f"{side.path} is the partner's", fix="--for-partner is for a project folder")
    text = print_terms(side.agreement)
    if as_json:
        print_json("collaboration.plan", describe(side) | {"partner_file": text})
    else:
        answer.print(text, markup=False, end="")


def describe(side: Side) -> dict[str, Any]:
    """Say in a document who acts on what."""
    agreement = side.agreement
    return {
        "party": side.party,
        "collaboration": agreement.collaboration,
        "brand_account": agreement.brand_account,
        "partner_account": agreement.partner_account,
        "rule": agreement.rule,
    }


def print_side(side: Side) -> None:
    """Say who acts on what."""
    about = describe(side)
    accounts = f"brand {about['brand_account']} · partner {about['partner_account']}"
    answer.print(
        f"{about['collaboration']} · {about['rule']} rule · {accounts} · you are the {side.party}", markup=False
    )


def parts_document(parts: Sequence[Part]) -> list[dict[str, str]]:
    """Write parts as ``--json`` prints them."""
    return [asdict(part) for part in parts]


def findings_document(findings: Sequence[Finding]) -> dict[str, Any]:
    """Write findings as ``--json`` prints them."""
    return {"is_ready": all(one.state != "x" for one in findings), "findings": [asdict(one) for one in findings]}


def print_findings(findings: Sequence[Finding]) -> None:
    """Print findings, each with who must act and what to do."""
    for one in findings:
        style = {"ok": BLUE, "x": ORANGE}.get(one.state, "")
        who = f"the {one.who} must act: " if one.state == "x" else ""
        code = f"  {one.code}" if one.code else ""
        answer.print(Text.assemble((f"{one.state:<3} ", style), f"{who}{one.what}{code}"))
        if one.fix:
            answer.print(Text(f"      fix  {one.fix}"))


def say_next(side: Side, missing: Sequence[Finding]) -> None:
    """Say that queries can run, or who is next."""
    if not missing:
        run = f"pseg pipeline start {side.project.name}-train --project {side.path}" if side.project else ""
        say(f"READY: the brand's query can run.{f'   Next  {run}' if run else ''}")
        return
    who = missing[0].who
    hint = (
        f"   Hand over  pseg collaboration plan {side.path} --for-partner"
        if (side.party, who) == ("brand", "partner")
        else ""
    )
    say(f"not ready, {len(missing)} to mend. Next is the {who}: {missing[0].fix}{hint}")


def removal_row(removal: Removal, word: str) -> tuple[str, str, str, str]:
    """Write one line of a teardown."""
    return ("kept" if removal.keep else word, removal.kind, removal.name, removal.keep)
