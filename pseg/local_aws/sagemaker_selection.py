"""Selective execution: which steps of a pipeline run again, and whose results are taken from an earlier execution.

Documented (SageMaker Developer Guide, "Selective execution of pipeline steps"; API, SelectiveExecutionConfig): selected
steps are connected, with every step on a path between two of them; unselected steps downstream do not run; parameters
are not inherited. Chosen where it is silent: a step whose condition is not selected needs that condition's outcome in
the source execution to be its own; a selected step may still be a cache hit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pseg.local_aws.sagemaker_definition import Plan
from pseg.local_aws.sagemaker_executor import Execution
from pseg.local_aws.sagemaker_records import invalid

ENDED = frozenset({"Succeeded", "Failed", "Stopped"})


def select_steps(
    plan: Plan, config: dict[str, Any], source: Execution | None, pipeline_arn: str
) -> tuple[Plan, frozenset[str]]:
    """Check a selection; the plan of the selected steps, and the names of those whose results are reused.

    Raises
    ------
    AwsError
        ``ValidationException`` for steps that the pipeline does not have, selected steps that are not connected, and a
        source execution that is needed but missing, belongs to another pipeline, still runs, or lacks a step's success.
    """
    selected = frozenset(step["StepName"] for step in config["SelectedSteps"])
    if unknown := sorted(selected - set(plan.steps)):
        raise invalid(f"SelectedSteps: the pipeline does not have the steps: {', '.join(unknown)}")
    above = {name: ancestors(plan, [name]) for name in plan.steps}
    before = ancestors(plan, selected)
    if between := [name for name in plan.steps if name in before - selected and above[name] & selected]:
        raise invalid(f"SelectedSteps: {', '.join(between)} lies between selected steps and must be selected too")
    if apart := sorted(selected - connected(plan, selected)):
        raise invalid(f"SelectedSteps: {', '.join(apart)} is not connected with the other selected steps")
    needed = frozenset(name for step in selected for name in plan.steps[step].after) - selected
    check_source(plan, selected, needed, config.get("SourcePipelineExecutionArn"), source, pipeline_arn)
    return Plan(plan.parameters, {name: step for name, step in plan.steps.items() if name in selected}), needed


def check_source(
    plan: Plan, selected: frozenset[str], needed: frozenset[str], arn: str | None, source: Execution | None, own: str
) -> None:
    """Refuse a source execution that cannot give what the selected steps need."""
    wrong = f"Invalid SourcePipelineExecutionArn: {arn or 'null'}. "
    if arn is None and needed:
        steps, others = (", ".join(sorted(names)) for names in (selected, needed))
        raise invalid(f"{wrong}The selected steps [{steps}] have dependencies on [{others}]")
    if arn is None:
        return
    if source is None or source.record["PipelineArn"] != own:
        raise invalid(f"{wrong}It is not an execution of this pipeline ({own})")
    if (status := source.record["PipelineExecutionStatus"]) not in ENDED:
        raise invalid(f"{wrong}Its status is {status}, not one of {', '.join(sorted(ENDED))}")
    if lacking := sorted(name for name in needed if source.outcome.get(name) != "Succeeded"):
        raise invalid(f"{wrong}Steps that the selected steps need have not succeeded in it: {', '.join(lacking)}")
    for step in (plan.steps[name] for name in sorted(selected)):
        if step.branch and step.branch[0] in needed:
            outcome = source.scope.steps[step.branch[0]].get("Outcome")
            if outcome != str(step.branch[1]):
                raise invalid(
                    f"{wrong}Step {step.name} does not follow from {step.branch[0]}, which was {outcome} in it"
                )


def ancestors(plan: Plan, names: Iterable[str]) -> set[str]:
    """Every step that must come before any of these."""
    found: set[str] = set()
    waiting = [*names]
    while waiting:
        new = plan.steps[waiting.pop()].after - found
        found |= new
        waiting += new
    return found


def connected(plan: Plan, names: frozenset[str]) -> set[str]:
    """Find those of the steps that dependencies join with the first of them, in either direction."""
    reached: set[str] = set()
    new = {next(name for name in plan.steps if name in names)}
    while new:
        reached |= new
        beside = {
            name for name in names if plan.steps[name].after & new or any(name in plan.steps[one].after for one in new)
        }
        new = beside - reached
    return reached
