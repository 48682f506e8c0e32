"""What the documents say is what the program does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pseg.cli import all_below, app, make_command
from pseg.console import EXIT_AWS, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_NO

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def commands(command: Any, words: tuple[str, ...] = ("pseg",)) -> Iterator[tuple[str, str]]:
    """Yield every command with its help text."""
    if hasattr(command, "commands"):
        for name, sub in command.commands.items():
            yield from commands(sub, (*words, name))
    else:
        yield " ".join(words), command.help or ""


def everything(root: Any) -> list[Any]:
    """List the command line itself and all that is below."""
    return [root, *all_below(root)]


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_every_command_is_documented_and_every_documented_command_exists() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    documented = re.findall(r"^\| `(pseg [a-z ]+?)(?: \[?[A-Z]+\]?)?` \|", text, re.MULTILINE)
    assert sorted(documented) == sorted(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_every_command_has_an_example_of_itself(name: str) -> None:
    assert re.search(rf"Example: .*{name}\b", COMMANDS[name])


def test_every_option_is_documented_and_every_documented_option_exists() -> None:
    options = {word for command in everything(make_command()) for option in command.params for word in option.opts}
    options |= {
        word for command in everything(make_command()) for option in command.params for word in option.secondary_opts
    }
    text = (ROOT / "docs" / "commands.md").read_text()
    assert set(re.findall(r"--[a-z][a-z-]+", text)) == {word for word in options if word.startswith("--")} | {"--help"}


def test_every_exit_code_is_documented() -> None:
    codes = {0, EXIT_NO, EXIT_INPUT, EXIT_AWS, EXIT_INTERRUPTED}
    assert {
        int(code) for code in re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "commands.md").read_text(), re.M)
    } == codes


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_check_is_documented_and_every_documented_check_exists() -> None:
    checks = re.findall(r'(?:Check|at_most)\(\s*"(\w+)"', (ROOT / "training" / "checks.py").read_text())
    documented = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "models.md").read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(checks)


def test_embedded_aws_stays_within_its_size() -> None:
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT / "pseg" / "local_aws").glob("*.py"))
    assert lines <= 6000
