"""How commands speak: the answer on stdout, everything else on stderr, one JSON document when asked, exit codes."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console
from rich.live import Live
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from contracts.errors import ContractError, PsegError, SettingsError, VerificationError

if TYPE_CHECKING:
    from pseg.aws_executions import ExecutionState, StepState

EXIT_NO, EXIT_INPUT, EXIT_AWS, EXIT_INTERRUPTED = 1, 2, 3, 130
BLUE, ORANGE = "#0b5fa5", "#b8480a"
HEARTBEAT_SECONDS = 30
STATUS_WORDS = {"Succeeded": "ok", "Failed": "x", "Stopped": "stopped", "Executing": "...", "Starting": "..."}

answer = Console(highlight=False, soft_wrap=True)
progress = Console(  # silent with --quiet
    stderr=True, highlight=False, soft_wrap=True, theme=Theme({"progress.spinner": BLUE, "progress.elapsed": "none"})
)
trouble = Console(stderr=True, highlight=False, soft_wrap=True)  # errors and warnings, said in any case


class Interrupted(PsegError):
    """Ctrl-C; ``what`` says what was cancelled and what is left."""


def use_no_color() -> None:
    """Print without colour from here on, help included."""
    os.environ["NO_COLOR"] = "1"
    for console in (answer, progress, trouble):
        console.no_color = True


def exit_code(error: PsegError) -> int:
    """Exit code of an error: 1 the answer is no, 2 bad input, 3 AWS refused, 130 interrupted."""
    if isinstance(error, Interrupted):
        return EXIT_INTERRUPTED
    if isinstance(error, VerificationError):
        return EXIT_NO
    return EXIT_INPUT if isinstance(error, (SettingsError, ContractError)) else EXIT_AWS


def print_json(command: str, document: dict[str, Any]) -> None:
    """Print the one document of ``--json``."""
    sys.stdout.write(json.dumps({"schema": f"pseg.{command}/1", **document}, indent=1, ensure_ascii=False) + "\n")


def error_document(error: PsegError) -> dict[str, Any]:
    """Return an error as ``--json`` prints it."""
    parts = {"what": error.what, "where": error.where, "why": error.why, "fix": error.fix}
    return {"code": exit_code(error), **parts}


def print_error(error: PsegError, command: str, as_json: bool) -> None:
    """Print an error: what, where, why, fix."""
    if as_json:
        print_json(command, {"error": error_document(error)})
        return
    label = "interrupted" if isinstance(error, Interrupted) else "error"
    trouble.print(Text.assemble((f"{label}  ", f"bold {ORANGE}"), error.what))
    for label, text in (("where", error.where), ("why", error.why), ("fix", error.fix)):
        if text:
            trouble.print(Text(f"  {label:<6} {text}"))


def fail(error: PsegError, command: str, as_json: bool) -> NoReturn:
    """Print an error and end with its exit code."""
    print_error(error, command, as_json)
    raise typer.Exit(exit_code(error))


def say(text: str) -> None:
    """Say something that is not the answer; ``--quiet`` silences it."""
    progress.print(Text(text))


def warn(text: str) -> None:
    """Say something that people must know whatever they asked for."""
    trouble.print(Text(text))


@contextmanager
def working(what: str, if_interrupted: str) -> Iterator[None]:
    """Show that something goes on: a spinner with the time on a terminal, a line every 30 s elsewhere.

    Parameters
    ----------
    what : str
        What goes on, such as "uploading 2 tables".
    if_interrupted : str
        What Ctrl-C leaves behind.

    Raises
    ------
    Interrupted
        If Ctrl-C ends it.
    """
    done = threading.Event()
    began = time.monotonic()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"  still {what} after {time.monotonic() - began:.0f} s")

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    try:
        if progress.is_terminal and not progress.quiet:
            with Progress(*columns, console=progress, transient=True, redirect_stdout=False) as spinner:
                spinner.add_task(what, total=None)
                yield
        else:
            threading.Thread(target=beat, daemon=True).start()
            yield
    except KeyboardInterrupt:
        raise Interrupted(if_interrupted) from None
    finally:
        done.set()


def ask(question: str, is_agreed: bool, nothing_done: str = "nothing was started") -> None:
    """Ask before money is spent or a message is sent.

    Raises
    ------
    SettingsError
        If nobody can be asked and ``--yes`` was not given.
    Exit
        With code 1 if the answer is no.
    """
    if is_agreed:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError(
            question, why=f"nobody can be asked here; {nothing_done}", fix="give --yes if that is what you want"
        )
    if not typer.confirm(f"{question} Go on?", err=True):
        warn(nothing_done)
        raise typer.Exit(EXIT_NO)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print rows in columns, never cut; columns in ``right`` are numbers."""
    lines = [headings, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings))]
    for number, line in enumerate(lines):
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        answer.print(Text("   ".join(cells).rstrip(), style="bold" if number == 0 else ""))


class StepLines:
    """One line per step: live on a terminal, one per change of state elsewhere, and a sign of life every 30 s."""

    def __init__(self) -> None:
        screen = Console(stderr=True, highlight=False, no_color=progress.no_color or None)
        shows_live = screen.is_terminal and not progress.quiet
        self.live = Live(console=screen, refresh_per_second=4) if shows_live else None
        self.printed: dict[str, str] = {}
        self.last_said = 0.0

    def __enter__(self) -> StepLines:
        """Start to show."""
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state standing."""
        if self.live:
            self.live.stop()

    def show(self, state: ExecutionState) -> None:
        """Show the state of an execution."""
        if self.live:
            lines = Table.grid(padding=(0, 2, 0, 0))
            for step in state.steps:
                lines.add_row(step.name, status_word(step), Text(f"{step.seconds:.1f} s", justify="right"), said(step))
            self.live.update(lines)
            return
        for step in state.steps:
            is_final = step.status in STATUS_WORDS and STATUS_WORDS[step.status] != "..."
            if is_final and self.printed.get(step.name) != step.status:
                progress.print(step_line(step))
                self.printed[step.name] = step.status
                self.last_said = state.seconds
        if state.seconds - self.last_said > HEARTBEAT_SECONDS:
            running = [step.name for step in state.steps if step.status == "Executing"]
            progress.print(Text(f"  still running after {state.seconds:.0f} s: {', '.join(running) or state.status}"))
            self.last_said = state.seconds


def status_word(step: StepState) -> Text:
    """Write a step's status as people read it; colour is never the only sign."""
    word = STATUS_WORDS.get(step.status, step.status)
    return Text(word, style={"ok": BLUE, "x": ORANGE}.get(word, ""))


def said(step: StepState) -> str:
    """Return what a step said of its work, or why it failed."""
    return step.summary or step.reason


def step_line(step: StepState) -> Text:
    """Write one step's line."""
    word = status_word(step)
    word.pad_right(4 - len(word))
    return Text.assemble(f"{step.name:<18} ", word, f"{step.seconds:6.1f} s   {said(step)}".rstrip())
