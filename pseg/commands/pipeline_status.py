"""``pseg pipeline status`` and ``logs``: one execution as people ask about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import ServiceError, SettingsError
from pseg.commands.options import AsJson, ExecutionArgument
from pseg.console import EXIT_NO, answer, error_document, print_json, say

if TYPE_CHECKING:
    from pseg.aws_executions import ExecutionState, StepState

MAX_LINES = 10_000  # GetLogEvents gives no more at once: CloudWatch Logs API reference


def status(
    name: ExecutionArgument,
    all_steps: Annotated[bool, typer.Option("--all", help="Show every step, also of a run that failed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a pipeline's latest execution, or the one named, and why it failed; exit code 1 if it did.

    Example: pseg pipeline status cdnow-train
    """
    state = read_named(name)
    why_not = explain(state) if state.status in ("Failed", "Stopped") else None
    if as_json:
        steps = [{"name": s.name, "status": s.status, "seconds": round(s.seconds, 1)} | texts(s) for s in state.steps]
        facts: dict[str, Any] = {"execution": state.arn, "status": state.status, "seconds": round(state.seconds, 1)}
        error = {"error": error_document(why_not) | {"code": EXIT_NO}} if why_not else {}
        print_json("pipeline.status", facts | {"reason": state.reason, "steps": steps} | error)
    else:
        word = "after" if state.status != "Executing" else "for"
        answer.print(
            f"{state.pipeline}  execution {state.execution_id}  {state.status} {word} {minutes(state.seconds)}",
            markup=False,
        )
        print_steps(state, all_steps or why_not is None)
        print_next(state, why_not)
    raise typer.Exit(EXIT_NO if why_not else 0)


def logs(
    name: ExecutionArgument,
    step: Annotated[str | None, typer.Option(help="Step whose log to show; by default the one that failed.")] = None,
    lines: Annotated[int, typer.Option(min=1, max=MAX_LINES, help="How many lines from the end, of each host.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Show the log of one step: the one named, else the one that failed, else the last that ran.

    Example: pseg pipeline logs cdnow-train --step TrainBuy --lines 50
    """
    state = read_named(name)
    chosen = choose_step(state, step)
    import boto3

    from pseg.aws_executions import read_whole_log

    found = read_whole_log(boto3.Session(), chosen, lines)
    if as_json:
        document = {"execution": state.arn, "step": chosen.name, "status": chosen.status} | texts(chosen)
        print_json("pipeline.logs", document | {"lines": found})
        return
    say(f"{chosen.name}  {chosen.status}  {chosen.log_group} {chosen.log_stream_prefix}")
    answer.print("\n".join(found), markup=False)
    say(f"Next  pseg pipeline status {state.execution_id}")


def read_named(name: str) -> ExecutionState:
    """Read the execution that a name, an id or an ARN means."""
    from pseg.commands.embedded import choose_aws

    say(f"using {choose_aws()}")
    import boto3

    from pseg.aws_executions import find_execution, read_execution

    session = boto3.Session()
    return read_execution(session.client("sagemaker"), find_execution(session, name))


def choose_step(state: ExecutionState, name: str | None) -> StepState:
    """Return the step whose log is meant.

    Raises
    ------
    SettingsError
        If there is no such step, or it writes no log.
    """
    with_log = [step for step in state.steps if step.log_group]
    where = f"{state.pipeline}, execution {state.execution_id}"
    has_log = f"steps with a log: {', '.join(step.name for step in with_log) or 'none yet'}"
    if name:
        found = next((step for step in state.steps if step.name == name), None)
        if found is None:
            raise SettingsError(f"there is no step {name}", where=where, fix=has_log)
        if not found.log_group:
            raise SettingsError(
                f"step {name} writes no log",
                where=where,
                why=f"only jobs do; this one is {found.status}{f': {found.reason}' if found.reason else ''}",
                fix=has_log,
            )
        return found
    failed = state.failed_step
    if failed is not None and failed.log_group:
        return failed
    if not with_log:
        raise SettingsError("no step has written a log yet", where=where, fix=f"pseg pipeline status {state.pipeline}")
    return with_log[-1]


def texts(step: StepState) -> dict[str, str]:
    """Return what a step said, and where its log is."""
    return {
        "summary": step.summary,
        "reason": step.reason,
        "log_group": step.log_group,
        "log_stream_prefix": step.log_stream_prefix,
    }


def explain(state: ExecutionState) -> ServiceError:
    """Say why an execution did not succeed; errors of ours carry their own remedy at the end of the reason."""
    step = state.failed_step
    reason = (step.reason if step else "") or state.reason
    why, _, fix = reason.partition(" · fix: ")
    where = f"{state.pipeline}, execution {state.execution_id}"
    if state.status == "Stopped":
        return ServiceError(
            "the execution was stopped", where=where, why=why, fix=f"pseg pipeline start {state.pipeline}"
        )
    return ServiceError(
        f"{step.name} failed" if step else "the execution failed",
        where=where,
        why=why or "AWS gave no reason",
        fix=fix or f"mend what the reason names, then: pseg pipeline start {state.pipeline}",
    )


def print_steps(state: ExecutionState, shows_all: bool) -> None:
    """Print a line per step; of a failed run those that did not succeed, and the query, which was billed."""
    shown = [step for step in state.steps if shows_all or step.status != "Succeeded" or step is state.steps[0]]
    names, words = (
        max((len(text) for text in column), default=0)
        for column in ([s.name for s in shown], [s.status for s in shown])
    )
    for step in shown:
        said = (step.summary or step.reason).partition(" · fix: ")[0]
        time = f"{step.seconds:,.0f} s" if step.seconds >= 10 else f"{step.seconds:.1f} s"
        answer.print(f"  {step.name:<{names}}  {step.status:<{words}}  {time:>8}   {said}".rstrip(), markup=False)
    if hidden := len(state.steps) - len(shown):
        answer.print(f"  {hidden} more succeeded; --all shows them")


def print_next(state: ExecutionState, why_not: ServiceError | None) -> None:
    """Print what follows: the reason and the remedy, or the next command."""
    if why_not is None:
        after = "pseg model list" if state.pipeline.endswith("-train") else "pseg segments list"
        say(f"Next  {after if state.status == 'Succeeded' else f'pseg pipeline status {state.pipeline}'}")
        return
    if why_not.why:
        answer.print(f"Why   {why_not.why}", markup=False)
    log = next((s for s in state.steps if s is state.failed_step and s.log_group), None)
    answer.print(f"Fix   {why_not.fix}", markup=False)
    if log:
        answer.print(f"Log   pseg pipeline logs {state.execution_id} --step {log.name}", markup=False)


def minutes(seconds: float) -> str:
    """Write a duration as people read it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
