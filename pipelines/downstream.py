"""Which steps of a definition come after a step: what a selective execution has to run again. Pure; reads only JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from contracts.errors import SettingsError

REFERENCE = re.compile(r"Steps\.([A-Za-z0-9-]+)\.")


def steps_from(definition: str, first: str) -> list[str]:
    """List a step and all that depend on it, in the definition's order.

    Where the report is among them, all publish steps are: the report tells of one execution, and a goal that did not
    publish in it would look as if it had failed.

    Raises
    ------
    SettingsError
        If there is no such step.
    """
    needs = dict(read_needs(json.loads(definition)["Steps"], ""))
    if first not in needs:
        raise SettingsError(f"there is no step {first}", where="--from-step", fix=f"one of: {', '.join(sorted(needs))}")
    chosen = {first}
    while more := {name for name, before in needs.items() if before & chosen} - chosen:
        chosen |= more
    if "Report" in chosen:
        chosen |= {name for name in needs if name.startswith("Publish")}
    return [name for name in needs if name in chosen]


def read_needs(steps: list[dict[str, Any]], condition: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each step with the steps that it needs; a step behind a condition needs the condition."""
    for step in steps:
        arguments = step.get("Arguments", {})
        own = arguments.get("Conditions", []) if step["Type"] == "Condition" else arguments
        before = set(REFERENCE.findall(json.dumps(own))) | set(step.get("DependsOn") or [])
        yield step["Name"], before | ({condition} if condition else set())
        if step["Type"] == "Condition":
            yield from read_needs(arguments.get("IfSteps", []) + arguments.get("ElseSteps", []), step["Name"])
