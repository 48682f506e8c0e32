"""``pseg model``: the registry. A person decides which model may score."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import SettingsError
from pseg.commands.options import AsJson, GoalArgument, ProjectOption
from pseg.console import answer, print_json, print_table, say, warn

if TYPE_CHECKING:
    import boto3

    from pseg.aws_models import Decision, ModelPackage
    from pseg.project import Project

app = typer.Typer(help="Registered models: list, show, approve, reject.", no_args_is_help=True)
Version = Annotated[int | None, typer.Option(min=1, help="Version; by default the newest.")]
Comment = Annotated[str, typer.Option(help="Why; kept with the model.")]


@app.command("list")
def list_models(project: ProjectOption = Path(), as_json: AsJson = False) -> None:
    """List the registered models of a project, newest first.

    Example: pseg model list --project examples/cdnow
    """
    from pseg.project import read_project

    opened = read_project(project)
    session = open_session()
    from pseg.aws_models import list_packages

    packages = [package for goal in opened.goals for package in list_packages(session, opened.name, goal.name)]
    if as_json:
        print_json("model.list", {"models": [asdict(package) for package in packages]})
        return
    print_table(
        ("goal", "version", "status", "registered"), [(p.goal, str(p.version), p.status, p.created) for p in packages]
    )
    if packages:
        say(f"Next  pseg model show {packages[0].goal} --project {project}")
    else:
        say(f"No model is registered yet.        Next  pseg pipeline start {opened.name}-train --project {project}")


@app.command()
def show(goal: GoalArgument, project: ProjectOption = Path(), version: Version = None, as_json: AsJson = False) -> None:
    """Show one registered model: its model card and where it comes from.

    Example: pseg model show buy --project examples/cdnow
    """
    from pseg.project import read_project

    opened = read_project(project)
    session = open_session()
    from contracts.model_card import essentials
    from pseg.aws_models import read_card

    package = find_package(session, opened, goal, version)
    card = read_card(session, package)
    if as_json:
        print_json("model.show", {**asdict(package), "card": card})
        return
    answer.print(f"{package.goal} version {package.version}, {package.status}, registered {package.created}")
    answer.print(package.arn)
    if card is None:
        warn("its model card is not there any more; what the registry knows:")
    for key, value in essentials(card) if card else sorted(package.properties.items()):
        answer.print(f"  {key:<22}  {value}", markup=False)
    if card:
        answer.print(f"  {'Card':<22}  {package.properties['model_card']}", markup=False)
    if package.status == "PendingManualApproval":
        say(f"Next  pseg model approve {goal} --version {package.version} --project {project}, or reject")
    else:
        say(f"Next  pseg model list --project {project}")


@app.command()
def approve(
    goal: GoalArgument,
    project: ProjectOption = Path(),
    version: Version = None,
    comment: Comment = "",
    as_json: AsJson = False,
) -> None:
    """Approve a model: the score pipeline then uses it.

    Example: pseg model approve buy --project examples/cdnow
    """
    set_status("Approved", goal, project, version, comment, as_json)


@app.command()
def reject(
    goal: GoalArgument,
    project: ProjectOption = Path(),
    version: Version = None,
    comment: Comment = "",
    as_json: AsJson = False,
) -> None:
    """Reject a model: the score pipeline then does not use it.

    Example: pseg model reject buy --project examples/cdnow --comment "too few buyers in the test"
    """
    set_status("Rejected", goal, project, version, comment, as_json)


def set_status(status: Decision, goal: str, project: Path, version: int | None, comment: str, as_json: bool) -> None:
    """Set a model's approval status and say what is next."""
    from pseg.project import read_project

    opened = read_project(project)
    session = open_session()
    from pseg.aws_models import decide

    package = find_package(session, opened, goal, version)
    decide(session, package, status, comment or f"{status} by pseg model")
    if as_json:
        command = "approve" if status == "Approved" else "reject"
        print_json(f"model.{command}", {"arn": package.arn, "version": package.version, "status": status})
        return
    answer.print(f"{goal} version {package.version} is {status}")
    if status == "Approved":
        say(f"Next  pseg pipeline start {opened.name}-score --project {project}")
    else:
        say(f"Next  pseg model list --project {project}")


def find_package(session: boto3.Session, project: Project, goal: str, version: int | None) -> ModelPackage:
    """Find one version of a goal's model; the goal may have left the project, its models stay.

    Raises
    ------
    SettingsError
        If there is no such goal.
    ServiceError
        If there is no such version.
    """
    from pseg.aws_models import list_packages, pick_package

    goals = [known.name for known in project.goals]
    if goal not in goals and not list_packages(session, project.name, goal):
        raise SettingsError(f"{project.name} has no goal {goal}", where="GOAL", fix=f"one of: {', '.join(goals)}")
    return pick_package(session, project.name, goal, version)


def open_session() -> boto3.Session:
    """Open a boto3 session on the AWS that the environment names, and say which."""
    from pseg.commands.embedded import choose_aws

    say(f"using {choose_aws()}")
    import boto3

    return boto3.Session()
