"""What a selective execution has to run again, and what it takes from another one. Pure; reads only JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from contracts.errors import SettingsError

REFERENCE = re.compile(r"Steps\.([A-Za-z0-9-]+)\.")
PARAMETER = re.compile(r"Parameters\.([A-Za-z0-9]+)")


def steps_from(definition: str, first: str) -> list[str]:
    """List a step and all that depend on it, in the definition's order.

    Where the report is among them, all publish steps are: the report tells of one execution, and a goal that did not
    publish in it would look as if it had failed.

    Raises
    ------
    SettingsError
        If there is no such step.
    """
    needs = read_needs(definition)
    if first not in needs:
        raise SettingsError(f"there is no step {first}", where="--from-step", fix=f"one of: {', '.join(sorted(needs))}")
    chosen = {first}
    while more := {name for name, before in needs.items() if before & chosen} - chosen:
        chosen |= more
    if "Report" in chosen:
        chosen |= {name for name in needs if name.startswith("Publish")}
    return [name for name in needs if name in chosen]


def read_needs(definition: str) -> dict[str, set[str]]:
    """Return for each step the steps that it needs; a step behind a condition needs the condition."""
    return {
        step["Name"]: set(REFERENCE.findall(own))
        | set(step.get("DependsOn") or [])
        | ({condition} if condition else set())
        for step, own, condition in walk(json.loads(definition)["Steps"], "")
    }


def read_parameters(definition: str) -> dict[str, set[str]]:
    """Return for each step the pipeline parameters that it reads."""
    return {step["Name"]: set(PARAMETER.findall(own)) for step, own, _ in walk(json.loads(definition)["Steps"], "")}


def walk(steps: list[dict[str, Any]], condition: str) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yield each step, its own arguments as text, and the condition that it stands behind (empty: none)."""
    for step in steps:
        arguments = step.get("Arguments", {})
        is_condition = step["Type"] == "Condition"
        yield step, json.dumps(arguments.get("Conditions", []) if is_condition else arguments), condition
        if is_condition:
            yield from walk(arguments.get("IfSteps", []) + arguments.get("ElseSteps", []), step["Name"])
