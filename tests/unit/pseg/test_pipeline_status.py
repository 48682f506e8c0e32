"""``pseg pipeline status`` and ``logs``: what is shown of an execution, and which log is meant."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import SettingsError
from pseg.aws_executions import ExecutionState, StepState
from pseg.commands.pipeline_status import choose_step, explain, minutes, print_next, print_steps

JOBS = "/aws/sagemaker/ProcessingJobs"


def step(name: str, status: str = "Succeeded", **changes: Any) -> StepState:
    """Make a step that ran a job."""
    facts = {"seconds": 96.4, "summary": "", "reason": "", "log_group": JOBS, "log_stream_prefix": f"job-{name}"}
    return StepState(name, status, **(facts | changes))


def execution(status: str, *steps: StepState, reason: str = "") -> ExecutionState:
    """Make an execution."""
    arn = "arn:aws:sagemaker:us-east-1:111111111111:pipeline/cdnow-train/execution/9f2c"
    return ExecutionState(arn, "cdnow-train", status, reason, 372.0, steps)


GATE = step("GateFailedBuy", "Failed", reason="goal buy: AUC 0.51, floor 0.60", log_group="", seconds=0.01)
QUERY, FEATURES = (
    step("QueryCleanRooms", summary="21,159 match keys"),
    step("BuildFeatures", summary="23,570 customers"),
)
BROKEN = step("BuildFeatures", "Failed", reason="column age is missing · customers · fix: add the column")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (372, "6 min 12 s"), (3600, "1 h 0 min"), (7384, "2 h 3 min")],
)
def test_durations_are_written_as_people_read_them(seconds: float, text: str) -> None:
    assert minutes(seconds) == text


def test_failed_run_shows_the_query_and_what_did_not_succeed(capsys: pytest.CaptureFixture[str]) -> None:
    print_steps(execution("Failed", QUERY, FEATURES, GATE), shows_all=False)
    assert capsys.readouterr().out.splitlines() == [
        "  QueryCleanRooms  Succeeded      96 s   21,159 match keys",
        "  GateFailedBuy    Failed        0.0 s   goal buy: AUC 0.51, floor 0.60",
        "  1 more succeeded; --all shows them",
    ]


def test_all_steps_are_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    print_steps(execution("Failed", QUERY, FEATURES, GATE), shows_all=True)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        *("QueryCleanRooms", "BuildFeatures", "GateFailedBuy")
    ]


def test_execution_that_has_no_step_yet_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_steps(execution("Executing"), shows_all=True)
    assert capsys.readouterr().out == ""


def test_remedy_in_the_reason_becomes_the_fix(capsys: pytest.CaptureFixture[str]) -> None:
    state = execution("Failed", QUERY, BROKEN, reason="a step failed")
    why_not = explain(state)
    assert (why_not.what, why_not.why, why_not.fix) == (
        *("BuildFeatures failed", "column age is missing · customers", "add the column"),
    )
    print_next(state, why_not)
    assert capsys.readouterr().out.splitlines() == [
        "Why   column age is missing · customers",
        "Fix   add the column",
        "Log   pseg pipeline logs 9f2c --step BuildFeatures",
    ]


def test_reason_without_a_remedy_says_how_to_start_again_and_a_step_without_log_names_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = execution("Failed", QUERY, GATE)
    print_next(state, explain(state))
    assert capsys.readouterr().out.splitlines() == [
        "Why   goal buy: AUC 0.51, floor 0.60",
        "Fix   mend what the reason names, then: pseg pipeline start cdnow-train",
    ]


def test_execution_that_failed_before_its_first_step_gives_its_own_reason() -> None:
    why_not = explain(execution("Failed", reason="role may not be assumed"))
    assert (why_not.what, why_not.why) == ("the execution failed", "role may not be assumed")


def test_stopped_execution_says_how_to_start_again() -> None:
    why_not = explain(execution("Stopped", QUERY))
    assert (why_not.what, why_not.fix) == ("the execution was stopped", "pseg pipeline start cdnow-train")


def test_log_of_the_failed_step_is_meant_else_of_the_last_with_one() -> None:
    assert choose_step(execution("Failed", QUERY, BROKEN), None) is BROKEN
    assert choose_step(execution("Failed", QUERY, FEATURES, GATE), None) is FEATURES
    assert choose_step(execution("Executing", QUERY), None) is QUERY
    assert choose_step(execution("Failed", QUERY, BROKEN), "QueryCleanRooms") is QUERY


@pytest.mark.parametrize(
    ("name", "steps", "what", "fix"),
    [
        ("Gate", (QUERY,), "there is no step Gate", "steps with a log: QueryCleanRooms"),
        ("GateFailedBuy", (QUERY, GATE), "step GateFailedBuy writes no log", "steps with a log: QueryCleanRooms"),
        (None, (), "no step has written a log yet", "pseg pipeline status cdnow-train"),
        ("Gate", (), "there is no step Gate", "steps with a log: none yet"),
    ],
    ids=["no such step", "a step without log", "no step yet", "named, no step yet"],
)
def test_log_that_there_is_not_is_a_clear_error(
    name: str | None, steps: tuple[StepState, ...], what: str, fix: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        choose_step(execution("Failed", *steps), name)
    assert (caught.value.what, caught.value.fix) == (what, fix)
