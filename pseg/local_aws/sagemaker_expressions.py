"""The expressions of a pipeline definition: ``Get``, ``Std:Join``, ``Std:JsonGet``, and conditions over them.

Comes in: JSON values with expressions in them. Goes out: plain values, or the references that a value makes.
Unverified against AWS: how a boolean is joined to text (here as ``true``/``false``).
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

EXPRESSIONS = frozenset({"Get", "Std:Join", "Std:JsonGet"})
EXECUTION_VARIABLES = frozenset(
    [
        "StartDateTime",
        "CurrentDateTime",
        "PipelineName",
        "PipelineArn",
        "PipelineExecutionId",
        "PipelineExecutionArn",
        "TrainingJobName",
        "ProcessingJobName",
    ]
)
NAME_KEYS = ("OutputName", "InputName", "ChannelName", "MetricName")
TOKEN = re.compile(r"\.?([\w-]+)|\['([^']*)'\]|\[\"([^\"]*)\"\]|\[(\d+)\]")
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


class ExpressionError(ValueError):
    """An expression that cannot be read, or whose value is not there."""


@dataclass
class Scope:
    """What expressions can see while a pipeline runs."""

    parameters: dict[str, Any]
    execution: Callable[[str], str]
    read_text: Callable[[str], str]
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    property_files: dict[tuple[str, str], str] = field(default_factory=dict)


def is_expression(value: Any) -> bool:
    """Tell if a value is ``{"Get": ...}``, ``{"Std:Join": ...}`` or ``{"Std:JsonGet": ...}``."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    name = next(iter(value))
    if str(name).startswith("Std:") and name not in EXPRESSIONS:
        raise ExpressionError(f"unknown function {name}")
    return name in EXPRESSIONS


def tokens(path: str) -> list[str | int]:
    """Split ``A.B['c'].D[0]`` into its parts."""
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        match = TOKEN.match(path, position)
        if match is None:
            raise ExpressionError(f"cannot read the path {path!r} at {path[position:]!r}")
        parts.append(
            int(match[4]) if match[4] is not None else next(part for part in match.groups() if part is not None)
        )
        position = match.end()
    return parts


def references(value: Any) -> Iterator[list[str | int]]:
    """All paths that a value refers to by ``Get``, wherever they stand."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        if is_expression(value) and "Get" in value:
            yield tokens(value["Get"])
        else:
            for item in value.values():
                yield from references(item)


def resolve(value: Any, scope: Scope) -> Any:
    """Replace every expression in a value by what it stands for.

    Raises
    ------
    ExpressionError
        If a path leads nowhere, a property file cannot be read or is not JSON.
    """
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    if not isinstance(value, dict):
        return value
    if not is_expression(value):
        return {key: resolve(item, scope) for key, item in value.items()}
    ((name, argument),) = value.items()
    if name == "Get":
        return look_up(argument, scope)
    if name == "Std:Join":
        return str(argument["On"]).join(as_text(resolve(item, scope)) for item in argument["Values"])
    return json_get(argument, scope)


def as_text(value: Any) -> str:
    """Text of a scalar inside a join."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def look_up(path: str, scope: Scope) -> Any:
    """Value of one ``Get``."""
    root, *rest = tokens(path)
    if root == "Parameters":
        return scope.parameters[str(rest[0])]
    if root == "Execution":
        return scope.execution(str(rest[0]))
    step, *rest = rest
    if step not in scope.steps:
        raise ExpressionError(f"step {step} has not run")
    return walk(scope.steps[str(step)], rest, path)


def walk(value: Any, path: list[str | int], whole: str) -> Any:
    """Follow a path; items of a list are found by number or by their name."""
    for part in path:
        if isinstance(value, list) and isinstance(part, str):
            value = next((item for item in value if any(item.get(key) == part for key in NAME_KEYS)), None)
        elif isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            raise ExpressionError(f"{whole} has no value (at {part!r})")
    return value


def json_get(argument: dict[str, Any], scope: Scope) -> Any:
    """Value of one ``Std:JsonGet``: a scalar inside a property file, or inside the object at ``S3Uri``."""
    if "PropertyFile" in argument:
        _, step, _, name = tokens(argument["PropertyFile"]["Get"])
        uri = scope.property_files.get((str(step), str(name)))
        if uri is None:
            raise ExpressionError(f"property file {name} of step {step} is not there")
    else:
        uri = str(resolve(argument["S3Uri"], scope))
    try:
        document = json.loads(scope.read_text(uri))
    except json.JSONDecodeError as error:
        raise ExpressionError(f"property file {uri} is not JSON: {error}") from error
    value = walk(document, tokens(argument["Path"].removeprefix("$")), f"{argument['Path']} in {uri}")
    if isinstance(value, (dict, list)):
        raise ExpressionError(f"{argument['Path']} in {uri} is not a single value")
    return value


def holds(condition: dict[str, Any], scope: Scope) -> bool:
    """Evaluate one condition of a Condition step.

    Raises
    ------
    ExpressionError
        If a value is missing, or two values of different kinds are put in order.
    """
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition["Condition"], scope)
    if kind == "Or":
        return any(holds(item, scope) for item in condition["Conditions"])
    if kind == "In":
        return resolve(condition["QueryValue"], scope) in resolve(condition["Values"], scope)
    left, right = resolve(condition["LeftValue"], scope), resolve(condition["RightValue"], scope)
    if kind == "Equals":
        return bool(left == right)
    if isinstance(left, str) is not isinstance(right, str):
        raise ExpressionError(f"{kind} cannot compare {left!r} with {right!r}")
    return COMPARISONS[kind](left, right)
