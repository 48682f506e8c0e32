"""``pseg``: the command line. Commands import what they need when they run, so that help is there at once."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from contracts.errors import PsegError, ServiceError, SettingsError
from pseg.commands import (
    collaboration,
    doctor,
    estimate,
    init,
    lint,
    local,
    model,
    partner,
    pipeline,
    report,
    run,
    segments,
)
from pseg.commands.options import every_command
from pseg.completion import load_lightly
from pseg.console import Interrupted, exit_code, print_error


class CommandLine(TyperGroup):
    """The commands. Ctrl-C, where nobody knows more, says that nothing goes on."""

    def invoke(self, ctx: Any) -> Any:
        """Run one command."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, typer.Abort):
            raise Interrupted("nothing of this command goes on") from None


app = typer.Typer(name="pseg", cls=CommandLine, no_args_is_help=True, pretty_exceptions_enable=False)
app.callback(help="Predictive segments from AWS Clean Rooms. Start with: pseg run examples/cdnow")(every_command)
app.command()(run.run)
app.command()(init.init)
app.command()(doctor.doctor)
app.command()(estimate.estimate)
app.command()(report.report)
app.command()(lint.lint)
app.add_typer(local.app, name="local")
app.add_typer(collaboration.app, name="collaboration")
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(model.app, name="model")
app.add_typer(segments.app, name="segments")
app.add_typer(partner.app, name="partner")


def make_command() -> Any:
    """Make the command line; what every command takes may stand before its name or after it."""
    load_lightly()
    root = typer.main.get_command(app)
    shared = [option for option in root.params if not option.expose_value and "completion" not in str(option.name)]
    for command in all_below(root):
        command.params.extend(shared)
    return root


def all_below(group: Any) -> Iterator[Any]:
    """Yield every command and group below a group."""
    for command in getattr(group, "commands", {}).values():
        yield command
        yield from all_below(command)


def main() -> None:
    """Run the command line and end with its exit code; every error is one screen of text, or one JSON document."""
    logging.basicConfig(level=logging.ERROR)
    command, arguments = make_command(), sys.argv[1:]
    try:
        sys.exit(command.main(arguments, prog_name="pseg", standalone_mode=False))
    except Exception as error:
        if os.environ.get("PSEG_DEBUG") and not isinstance(error, typer.TyperException):
            traceback.print_exception(error)
        told = explain(error)
        if told.what:  # empty where the help was the answer to no arguments
            print_error(told, command_of(command, arguments), "--json" in arguments)
        sys.exit(exit_code(told))


def command_of(group: Any, arguments: list[str]) -> str:
    """Name the command that arguments mean as the schema of its JSON does, such as ``model.list``."""
    words = []
    for word in arguments:
        if command := getattr(group, "commands", {}).get(word):
            words.append(word)
            group = command
        elif not word.startswith("-"):
            break
    return ".".join(words) or "error"


def explain(error: Exception) -> PsegError:
    """Say for people what went wrong, whoever raised it."""
    if isinstance(error, PsegError):
        return error
    if isinstance(error, typer.TyperException):
        return explain_usage(error)
    if isinstance(error, ModuleNotFoundError):
        return ServiceError(
            f"the package {error.name} is not installed here",
            fix="make install-demo; pseg doctor lists what is missing",
        )
    if isinstance(error, OSError) and error.filename:
        return SettingsError(
            f"{error.strerror or type(error).__name__}".lower(),
            where=str(error.filename),
            fix="check the path, and your rights there",
        )
    if "botocore" in sys.modules:
        from pseg.aws_errors import explain as explain_aws

        if told := explain_aws(error):
            return told
    place = traceback.extract_tb(error.__traceback__)[-1]
    return ServiceError(
        f"unexpected {type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno}); "
        "the same command with --debug shows where it comes from"
    )


def explain_usage(error: typer.TyperException) -> SettingsError:
    """Say what is wrong with the words that were typed."""
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    what = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    if context is None or not message:
        return SettingsError(what, fix="see pseg --help")
    return SettingsError(
        what,
        where=context.command_path,
        why=context.get_usage().replace("Usage:", "usage:"),
        fix=f"see {context.command_path} --help",
    )
