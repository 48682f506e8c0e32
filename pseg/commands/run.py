"""``pseg run``: the whole journey of a project folder on the embedded AWS."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import PsegError, SettingsError
from pseg.commands.options import AsJson
from pseg.console import EXIT_NO, Interrupted, StepLines, answer, fail, print_json, print_table, say, warn, working

if TYPE_CHECKING:
    from contracts.run_manifest import RunManifest
    from pseg.aws_executions import ExecutionState
    from pseg.project import Project


def run(
    project: Annotated[Path, typer.Argument(help="Project folder with a project.toml.")],
    as_of: Annotated[
        str | None, typer.Option(help="Score as of this day (YYYY-MM-DD) instead of project.toml's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a project from the Clean Rooms query to segment CSVs, on the embedded AWS.

    Starts the embedded AWS if it is not up, and leaves it up, so that you can look at the run and approve the model.

    Example: pseg run examples/cdnow
    """
    try:
        run_project(project, as_of, as_json)
    except PsegError as error:
        fail(error, "run", as_json)


def run_project(path: Path, as_of: str | None, as_json: bool) -> None:
    """Start what is needed, run the train pipeline, fetch and show what it made."""
    from pseg.project import read_project

    project = read_project(path)
    day = parse_day(as_of) if as_of else project.as_of
    if day is None and not project.is_ready_table:
        raise SettingsError("the run has no date", where="project.toml", fix="set as_of, or give --as-of YYYY-MM-DD")
    from pseg.commands import embedded
    from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT

    session, _ = embedded.start()
    say(
        f"embedded AWS up on {session.endpoint.removeprefix('http://')} · "
        f"brand {BRAND_ACCOUNT} · partner {PARTNER_ACCOUNT}"
    )
    embedded.use(session)
    import boto3

    from pseg.aws_accounts import prepare_accounts
    from pseg.aws_executions import follow, read_log, stop
    from pseg.estimate import embedded_cost
    from pseg.pipelines_quietly import start_pipeline
    from pseg.results import fetch_results

    brand = boto3.Session()
    partner = boto3.Session(
        aws_access_key_id=session.partner.access_key_id,
        aws_secret_access_key=session.partner.secret_access_key,
        region_name=session.region,
    )
    left = "the accounts are half prepared; a next run goes on from there"
    with working("preparing both accounts", if_interrupted=left), embedded.one_at_a_time():
        role = prepare_accounts(project, brand, partner)
    say(embedded_cost(project))
    arn = start_pipeline(project, "train", role, {"AsOf": day.isoformat()} if day else {})
    try:
        with StepLines() as lines:
            state = follow(brand, arn, lines.show)
    except KeyboardInterrupt:
        state = stop(brand, arn)
        cancelled = ", ".join(step.name for step in state.steps if step.status == "Stopped") or "nothing"
        raise Interrupted(
            f"execution {state.execution_id} is {state.status}; cancelled: {cancelled}; {left_behind(state)}"
        ) from None
    if has_report(state):
        with working(
            "fetching the results", if_interrupted=f"{project.output_dir} is as it was; the run itself is done"
        ):
            run_manifest = fetch_results(brand, project, state.execution_id)
        if state.status == "Succeeded":
            show_results(run_manifest, project, state, path, as_json)
            return
    show_failure(state, read_log(brand, state.failed_step) if state.failed_step else [], as_json, project.output_dir)
    raise typer.Exit(EXIT_NO)


def has_report(state: ExecutionState) -> bool:
    """Tell if an execution came as far as its report; a goal that failed its gate is in it."""
    return any(step.name == "Report" and step.status == "Succeeded" for step in state.steps)


def show_results(run: RunManifest, project: Project, state: ExecutionState, path: Path, as_json: bool) -> None:
    """Show what a run made: a line for each segment, and where everything is."""
    segments = [(manifest, segment) for manifest in run.manifests for segment in manifest.segments]
    if as_json:
        print_json(
            "run",
            {
                "execution": state.arn,
                "seconds": round(state.seconds, 1),
                "output": str(project.output_dir),
                "report": str(project.output_dir / "report.html"),
                "notice": project.notice,
                "evaluations": [
                    {
                        "goal": e.goal,
                        "auc": e.auc,
                        "lift_top_tenth": e.tenths[0].lift,
                        "quality": e.quality.word if e.quality else "",
                    }
                    for e in run.evaluations
                ],
                "segments": [
                    {
                        "name": s.name,
                        "people": s.people,
                        "expected": s.expected,
                        "expected_low": s.expected_low,
                        "expected_high": s.expected_high,
                        "holdout": s.holdout,
                        "files": [f.key for f in s.files],
                    }
                    for _, s in segments
                ],
            },
        )
        return
    print_table(
        ("segment", "people", "expected", "", "file"),
        [
            (
                s.name,
                f"{s.people:,}",
                f"{s.expected:,.0f}",
                f"({s.expected_low:,.0f} to {s.expected_high:,.0f})",
                f"{s.files[0].key}{f' and {len(s.files) - 1} more' if len(s.files) > 1 else ''}" if s.files else "none",
            )
            for _, s in segments
        ],
        right=(1, 2),
    )
    if project.notice:
        answer.print(project.notice)
    answer.print(
        f"Open  {project.output_dir / 'report.html'}        "
        f"Next  pseg model approve {project.goals[0].name} --project {path}"
    )


def left_behind(state: ExecutionState) -> str:
    """Say what a run that did not succeed left in the account."""
    done = [
        step.name
        for step in state.steps
        if step.status == "Succeeded"
        and step.name.startswith(("Register", "Publish"))
        and not step.summary.startswith("nothing published")
    ]
    return f"what stands: {', '.join(done)}" if done else "nothing was registered or published"


def parse_day(text: str) -> date:
    """Read a day given on the command line."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"{text!r} is not a day", where="--as-of", fix="give it as YYYY-MM-DD") from error


def show_failure(
    state: ExecutionState, log: list[str], as_json: bool, output: Path | None = None, command: str = "run"
) -> None:
    """Say which step failed, why, and the end of its log."""
    step = state.failed_step
    document: dict[str, Any] = {
        "execution": state.arn,
        "status": state.status,
        "error": {
            "code": EXIT_NO,
            "what": f"{step.name} failed" if step else f"the run is {state.status}",
            "where": f"{state.pipeline}, execution {state.execution_id}",
            "why": step.reason if step else state.reason,
            "fix": f"mend what the reason names and run again; {left_behind(state)}",
        },
        "log_group": step.log_group if step else "",
        "log_stream_prefix": step.log_stream_prefix if step else "",
        "log": log,
    }
    if output and has_report(state):
        document["report"] = str(output / "report.html")
    if as_json:
        print_json(command, document)
        return
    warn(f"\n{document['error']['what']} · {document['error']['where']}")
    warn(f"  why    {document['error']['why']}")
    if step and step.log_group:
        warn(f"  log    {step.log_group} {step.log_stream_prefix}")
        for line in log:
            warn(f"         {line}")
    warn(f"  fix    {document['error']['fix']}")
    if "report" in document:
        warn(f"Open  {document['report']}")
