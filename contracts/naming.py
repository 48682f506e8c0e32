"""Names that more than one room must spell alike: a goal's model package group, step suffix and pipeline parameter."""

from __future__ import annotations

NEW_QUERY = "none"  # value of the pipeline parameter QueryResultUri: a parameter can't be empty


def camel(name: str) -> str:
    """Write a goal's name as step and parameter names take it: ``big_spender`` becomes ``BigSpender``."""
    return "".join(part.capitalize() for part in name.split("_"))


def package_parameter(goal: str) -> str:
    """Name of the score pipeline's parameter that holds a goal's approved model package."""
    return f"{camel(goal)}ModelPackageArn"


def package_group(project: str, goal: str) -> str:
    """Name of the model package group of a goal; two hyphens, which no project name holds, keep projects apart."""
    return f"{project}--{goal.replace('_', '-')}"
