"""Options that several commands share, and those that every command takes, before its name or after it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from pseg.completion import goal_names, pipeline_names, segment_names
from pseg.console import progress, use_no_color, warn

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, also for failures.")]
ProjectArgument = Annotated[Path, typer.Argument(metavar="PROJECT", help="Project folder with a project.toml.")]
ProjectOption = Annotated[Path, typer.Option("--project", help="Project folder with a project.toml.")]
Yes = Annotated[bool, typer.Option("--yes", help="Agree to what is billed; without it, you are asked.")]
GoalArgument = Annotated[
    str, typer.Argument(metavar="GOAL", help="The goal whose model it is.", autocompletion=goal_names)
]
PipelineArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="PROJECT-train or PROJECT-score.", autocompletion=pipeline_names)
]
ExecutionArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="PROJECT-train or PROJECT-score (its latest execution), or an execution's id or ARN.",
        autocompletion=pipeline_names,
    ),
]
SegmentArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the segment.", autocompletion=segment_names)
]


def want_tracebacks() -> None:
    """Remember that tracebacks are wanted."""
    os.environ["PSEG_DEBUG"] = "1"


def be_quiet() -> None:
    """Print the answer and errors, nothing else."""
    progress.quiet = True


@cache  # the option may stand before the command and after it
def show_calls() -> None:
    """Show AWS calls on stderr."""
    from pseg.aws_errors import report_calls

    report_calls(warn)


def flag(*names: str, do: Callable[[], None], help_text: str) -> Any:
    """Make an option that does something at once and is no parameter of any command."""

    def callback(value: bool) -> None:
        if value:
            do()

    return typer.Option(*names, callback=callback, expose_value=False, is_eager=True, help=help_text)


def every_command(
    debug: Annotated[
        bool, flag("--debug", do=want_tracebacks, help_text="Show tracebacks (or set PSEG_DEBUG=1).")
    ] = False,
    verbose: Annotated[bool, flag("--verbose", "-v", do=show_calls, help_text="Show AWS calls and their ids.")] = False,
    quiet: Annotated[bool, flag("--quiet", "-q", do=be_quiet, help_text="Print only the answer and errors.")] = False,
    no_color: Annotated[bool, flag("--no-color", do=use_no_color, help_text="No colour (or set NO_COLOR).")] = False,
) -> None:
    """Take what every command takes; the options act by themselves."""
