"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, also for failures.")]
ProjectOption = Annotated[Path, typer.Option("--project", help="Project folder with a project.toml.")]
