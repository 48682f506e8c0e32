"""Names that the shell completes, from the project.toml of ``--project`` or the current folder: no AWS, no checks.

A file that can't be read completes nothing; the command itself says what is wrong with it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperArgument, TyperOption


def load_lightly() -> None:
    """Keep Typer from loading pydantic for values that need no check: all while completing, and those not given."""
    check = TyperOption.process_value

    def process_value(self: Any, ctx: Any, value: Any) -> Any:
        if ctx.resilient_parsing:
            return value
        if value is None and not (self.required or self.multiple or self.nargs != 1):
            return self.callback(ctx, self, value) if self.callback else value
        return check(self, ctx, value)

    for kind in (TyperArgument, TyperOption):
        kind.process_value = process_value  # type: ignore[method-assign]


def read_names(context: typer.Context) -> dict[str, Any]:
    """Read the project file that a command line means, empty if there is none."""
    folder = Path(context.params.get("project") or ".")
    file = folder / "project.toml" if folder.is_dir() else folder
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def names_of(tables: Any) -> list[str]:
    """Names of an array of tables."""
    listed = tables if isinstance(tables, list) else []
    return [str(table["name"]) for table in listed if isinstance(table, dict) and "name" in table]


def pipeline_names(ctx: typer.Context) -> list[str]:
    """Names of the project's two pipelines."""
    name = read_names(ctx).get("name")
    return [f"{name}-train", f"{name}-score"] if name else []


def goal_names(ctx: typer.Context) -> list[str]:
    """Names of the project's goals."""
    return names_of(read_names(ctx).get("goals", []))


def segment_names(ctx: typer.Context) -> list[str]:
    """Names of the project's segments."""
    return names_of(read_names(ctx).get("segments", []))
