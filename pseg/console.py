"""How commands speak: the answer on stdout, everything else on stderr, one JSON document when asked, exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from contracts.errors import ContractError, PsegError, SettingsError, VerificationError

if TYPE_CHECKING:
    from pseg.aws_executions import ExecutionState, StepState

EXIT_NO, EXIT_INPUT, EXIT_AWS, EXIT_INTERRUPTED = 1, 2, 3, 130
BLUE, ORANGE = "#0b5fa5", "#b8480a"
HEARTBEAT_SECONDS = 30
STATUS_WORDS = {"Succeeded": "ok", "Failed": "x", "Stopped": "stopped", "Executing": "...", "Starting": "..."}

answer = Console(highlight=False, soft_wrap=True)
progress = Console(stderr=True, highlight=False, soft_wrap=True)


def exit_code(error: PsegError) -> int:
    """Exit code of an error: 1 the answer is no, 2 bad input, 3 AWS refused."""
    if isinstance(error, VerificationError):
        return EXIT_NO
    return EXIT_INPUT if isinstance(error, (SettingsError, ContractError)) else EXIT_AWS


def print_json(command: str, document: dict[str, Any]) -> None:
    """Print the one document of ``--json``."""
    sys.stdout.write(json.dumps({"schema": f"pseg.{command}/1", **document}, indent=1, ensure_ascii=False) + "\n")


def print_error(error: PsegError, command: str, as_json: bool) -> None:
    """Print an error: what, where, why, fix."""
    if as_json:
        parts = {"what": error.what, "where": error.where, "why": error.why, "fix": error.fix}
        print_json(command, {"error": {"code": exit_code(error), **parts}})
        return
    progress.print(Text.assemble(("error  ", f"bold {ORANGE}"), error.what))
    for label, text in (("where", error.where), ("why", error.why), ("fix", error.fix)):
        if text:
            progress.print(Text(f"  {label:<6} {text}"))


def fail(error: PsegError, command: str, as_json: bool) -> NoReturn:
    """Print an error and end with its exit code."""
    print_error(error, command, as_json)
    raise typer.Exit(exit_code(error))


def say(text: str) -> None:
    """Say something that is not the answer."""
    progress.print(Text(text))


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
        screen = Console(stderr=True, highlight=False)
        self.live = Live(console=screen, refresh_per_second=4) if screen.is_terminal else None
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
