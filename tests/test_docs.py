"""What the documents say is what the program does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pseg.cli import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def commands(command: Any, words: tuple[str, ...] = ("pseg",)) -> Iterator[tuple[str, str]]:
    """Yield every command with its help text."""
    if hasattr(command, "commands"):
        for name, sub in command.commands.items():
            yield from commands(sub, (*words, name))
    else:
        yield " ".join(words), command.help or ""


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_every_command_is_documented_and_every_documented_command_exists() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    documented = re.findall(r"^\| `(pseg [a-z ]+?)(?: [A-Z]+)?` \|", text, re.MULTILINE)
    assert sorted(documented) == sorted(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_a_command_with_arguments_has_an_example(name: str) -> None:
    assert name in {"pseg local status", "pseg local down"} or "Example" in COMMANDS[name]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_embedded_aws_stays_within_its_size() -> None:
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT / "pseg" / "local_aws").glob("*.py"))
    assert lines <= 6000
