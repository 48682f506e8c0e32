"""``pseg doctor``: whether everything is there that a run needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from contracts.errors import PsegError
from pseg.commands.options import AsJson
from pseg.console import BLUE, EXIT_NO, ORANGE, answer, print_json, say, working

if TYPE_CHECKING:
    from pseg.checks import Check
    from pseg.project import Project


def doctor(
    project: Annotated[Path | None, typer.Argument(metavar="[PROJECT]", help="Project folder to check too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine, the AWS that commands speak to, and a project; exit code 1 if something will not work.

    Changes nothing and costs nothing.

    Example: pseg doctor examples/cdnow
    """
    checks = []
    for check in examine(project):
        checks.append(check)
        if not as_json:
            print_check(check)
    faults = sum(check.state == "x" for check in checks)
    if as_json:
        print_json("doctor", {"is_ready": faults == 0, "checks": [asdict(check) for check in checks]})
    else:
        target = project or "PROJECT"
        say(f"{faults} to mend; then again: pseg doctor {target}" if faults else f"Next  pseg run {target}")
    raise typer.Exit(EXIT_NO if faults else 0)


def examine(folder: Path | None) -> Iterator[Check]:
    """Yield every finding, the quick ones first."""
    from pseg import checks

    yield from checks.check_machine(folder if folder and folder.is_dir() else Path())
    yield from checks.check_packages()
    project = None
    if folder:
        project, found = checks.check_project(folder)
        yield from found
    with working("asking AWS", if_interrupted="nothing was changed"):
        found = list(examine_aws(project))
    yield from found
    yield from checks.closed_services()


def examine_aws(project: Project | None) -> Iterator[Check]:
    """Yield what is found in AWS."""
    from pseg.checks import Check, from_error

    if find_spec("boto3") is None or find_spec("awswrangler") is None:
        yield Check("!", "aws", "no AWS client is installed here; the partner's kit needs none")
        return
    import boto3
    from botocore.exceptions import BotoCoreError

    from pseg.aws_checks import check_aws
    from pseg.commands.embedded import choose_aws, is_embedded

    which = choose_aws()
    try:
        settings = project.run_settings() if project else None
    except PsegError as error:  # a table that tells the partner's columns can't be read
        yield from_error(error, "project settings")
        settings = None
    image = project.aws.processing_image if project else ""
    try:
        yield from check_aws(boto3.Session(), which, is_embedded(), settings, image)
    except BotoCoreError as error:
        yield Check("x", "aws", f"{which}: {error}", "mend the profile or the variables that it names")


def print_check(check: Check) -> None:
    """Print one finding, and under it what to do."""
    style = {"ok": BLUE, "x": ORANGE}.get(check.state, "")
    answer.print(Text.assemble((f"{check.state:<3} ", style), f"{check.topic}: {check.said}"))
    if check.fix:
        answer.print(Text(f"      fix  {check.fix}"))
