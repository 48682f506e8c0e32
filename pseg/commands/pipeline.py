"""``pseg pipeline``: the two pipelines of a project, in whichever AWS the environment names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import SettingsError
from contracts.naming import NEW_QUERY, package_parameter
from pseg.commands import pipeline_status
from pseg.commands.estimate import Rows
from pseg.commands.options import AsJson, PipelineArgument, ProjectArgument, ProjectOption, Yes
from pseg.commands.run import has_report, parse_day, show_failure
from pseg.console import EXIT_NO, Interrupted, StepLines, answer, print_json, say

if TYPE_CHECKING:
    from pseg.pipelines_quietly import Kind
    from pseg.project import Project

app = typer.Typer(help="The train and score pipelines: definition, upsert, start, status, logs.", no_args_is_help=True)
Role = Annotated[
    str | None, typer.Option(help="ARN of the pipeline's role; by default pseg-PROJECT-pipeline of this account.")
]


def kind_of(name: str) -> Kind:
    """Tell train from score by a pipeline's name."""
    if name.endswith("-train"):
        return "train"
    if name.endswith("-score"):
        return "score"
    raise SettingsError(f"{name} is not a pipeline of ours", fix="PROJECT-train or PROJECT-score")


def find_role(project: str, role: str | None) -> str:
    """Return the role given, or the one that a project's infrastructure makes."""
    if role:
        return role
    import boto3

    return str(boto3.client("iam").get_role(RoleName=f"pseg-{project}-pipeline")["Role"]["Arn"])


@app.command()
def definition(
    project: ProjectArgument,
    score: Annotated[bool, typer.Option("--score", help="The score pipeline instead of the train pipeline.")] = False,
    role: Role = None,
) -> None:
    """Print a pipeline's definition as JSON. The same project gives the same bytes.

    Example: pseg pipeline definition examples/cdnow --score
    """
    from pseg.commands.embedded import choose_aws
    from pseg.pipelines_quietly import make_pipeline
    from pseg.project import read_project

    say(f"using {choose_aws()}")
    opened = read_project(project)
    pipeline = make_pipeline(opened, "score" if score else "train", find_role(opened.name, role))
    answer.print(pipeline.definition(), markup=False)
    say(f"Next  pseg pipeline upsert {project}")


@app.command()
def upsert(project: ProjectArgument, role: Role = None, as_json: AsJson = False) -> None:
    """Create or update both pipelines of a project.

    Example: pseg pipeline upsert examples/cdnow
    """
    from pseg.commands.embedded import choose_aws
    from pseg.pipelines_quietly import upsert_pipeline
    from pseg.project import read_project

    say(f"using {choose_aws()}")
    opened = read_project(project)
    arns = [upsert_pipeline(opened, kind, find_role(opened.name, role)) for kind in ("train", "score")]
    if as_json:
        print_json("pipeline.upsert", {"pipelines": arns})
    else:
        answer.print("\n".join(arns))
        say(f"Next  pseg pipeline start {opened.name}-train --project {project}")


@app.command()
def start(
    name: PipelineArgument,
    project: ProjectOption = Path(),
    as_of: Annotated[str | None, typer.Option(help="Day to score as of, YYYY-MM-DD.")] = None,
    from_step: Annotated[
        str,
        typer.Option(help="Run again from this step on; what comes before is an earlier execution's: no new query."),
    ] = "",
    query_result_uri: Annotated[
        str,
        typer.Option(
            help="Read the result of a query that is already paid for (an s3:// prefix) instead of a new one."
        ),
    ] = "",
    parameters: Annotated[
        list[str] | None, typer.Option("--set", help="Another parameter of the pipeline, as NAME=VALUE; repeatable.")
    ] = None,
    role: Role = None,
    wait: Annotated[bool, typer.Option(help="Follow the execution to its end.")] = True,
    rows: Rows = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Put a pipeline up and start it; the score pipeline uses each goal's latest approved model, or refuses.

    In an AWS account the query and the jobs are billed: you are asked first, or agree with --yes. If project.toml has a
    [budget] and the run is likely to cost more, nothing is started; --rows is for tables that are no local files.

    With --from-step the results of the latest execution that has them are used for what comes before, so that no new
    query is paid for. A parameter that those results depend on can't change then.

    Example: pseg pipeline start cdnow-score --project examples/cdnow --as-of 1998-06-30

    Example: pseg pipeline start cdnow-train --project examples/cdnow --from-step BuildFeatures

    Example: pseg pipeline start cdnow-train --project examples/cdnow --set ProcessingInstanceCount=2
    """
    from pseg.commands.embedded import ask_before_billing, choose_aws
    from pseg.project import read_project

    kind, opened = kind_of(name), read_project(project)
    if name != f"{opened.name}-{kind}":
        raise SettingsError(
            f"{name} is not a pipeline of {opened.name}", where=str(project), fix="name its folder: --project"
        )
    say(f"using {choose_aws()}")
    import boto3

    from pseg.aws_executions import follow, read_log
    from pseg.aws_models import approved_parameters
    from pseg.pipelines_quietly import start_pipeline
    from pseg.results import fetch_results

    session = boto3.Session()
    given = parse_parameters(parameters or [])
    given |= {"AsOf": parse_day(as_of).isoformat()} if as_of else {}
    given |= {"QueryResultUri": query_result_uri} if query_result_uri else {}
    if kind == "score":  # a model that is named is used; Publish refuses one that is not approved
        open_goals = [goal.name for goal in opened.goals if package_parameter(goal.name) not in given]
        given |= approved_parameters(session, opened.name, open_goals)
    is_new = given.get("QueryResultUri", NEW_QUERY) == NEW_QUERY and from_step in ("", "QueryCleanRooms")
    has_query = opened.has_partner and is_new
    cost = expect_cost(opened, kind, has_query, rows)
    jobs = f"{'Clean Rooms query and its ' if has_query else ''}SageMaker jobs"
    ask_before_billing(f"{name}: its {jobs}{cost}", yes)
    arn = start_pipeline(opened, kind, find_role(opened.name, role), given, from_step)
    if not wait:
        print_json("pipeline.start", {"execution": arn}) if as_json else answer.print(arn)
        return
    try:
        with StepLines() as lines:
            state = follow(session, arn, lines.show)
    except KeyboardInterrupt:
        raise Interrupted(f"not followed any more; the execution goes on: pseg pipeline status {name}") from None
    if state.status != "Succeeded":
        if has_report(state):
            fetch_results(session, opened, state.execution_id)
        log = read_log(session, state.failed_step) if state.failed_step else []
        show_failure(state, log, as_json, opened.output_dir, "pipeline.start")
        raise typer.Exit(EXIT_NO)
    manifests = fetch_results(session, opened, state.execution_id).manifests if has_report(state) else ()
    if as_json:
        print_json("pipeline.start", {"execution": arn, "status": state.status, "output": str(opened.output_dir)})
        return
    for manifest in manifests:
        for segment in manifest.segments:
            answer.print(f"{segment.name}  {manifest.status}  {segment.people:,} people  {manifest.model}")
    say(f"Files  {opened.output_dir}        Next  pseg segments list --project {project}")


def expect_cost(project: Project, kind: Kind, has_query: bool, rows: int | None) -> str:
    """Say what a start is likely to cost, as the end of a sentence; nothing where nobody is billed or nobody knows.

    Raises
    ------
    SettingsError
        If it is likely to cost more than the project's budget, or there is a budget and nobody knows.
    """
    from pseg.commands.embedded import is_embedded
    from pseg.estimate import count_rows, embedded_cost, estimate, refuse_over_budget

    if is_embedded():
        if project.budget.max_dollars is not None:
            say(embedded_cost(project))
        return ""
    try:
        found = estimate(project, count_rows(project, rows), kind, has_query=has_query)
    except SettingsError:
        if project.budget.max_dollars is not None:
            raise
        return ""
    refuse_over_budget(found, project)
    return f", about ${found.total[1]:.2f} by the estimate,"


def parse_parameters(pairs: list[str]) -> dict[str, str]:
    """Read NAME=VALUE pairs.

    Raises
    ------
    SettingsError
        If one is not of this form.
    """
    for pair in pairs:
        if "=" not in pair:
            raise SettingsError(
                f"{pair!r} is not NAME=VALUE", where="--set", fix="write --set ProcessingInstanceCount=2"
            )
    return dict(pair.split("=", 1) for pair in pairs)


app.command()(pipeline_status.status)
app.command()(pipeline_status.logs)
