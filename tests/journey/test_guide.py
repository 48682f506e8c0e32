"""The guide, command by command: what it tells people to type works, in its order."""

from __future__ import annotations

import re
import shlex
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
import typer.main

from pseg.cli import app
from tests.journey.conftest import run_pseg
from tests.worlds import make_contacts, make_events, make_partner

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
AS_OF = date(2026, 1, 31)  # of a fresh project


def commands(kind: str) -> list[list[str]]:
    """Commands of the guide's blocks of one kind, without their ``pseg``."""
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", GUIDE, re.M | re.S)
    return [shlex.split(line.removeprefix("$ pseg ")) for block in blocks for line in block.splitlines()]


def put_tables(folder: Path) -> None:
    """Write what chapter 1 asks for: the tables of a fresh project."""
    events = make_events(800, seed=3)
    events["event_time"] -= pd.Timedelta(days=150)
    keys = sorted(events["customer_key"].unique())
    partner = make_partner(keys, seed=3).rename(columns={"band": "household_income_band"}).drop(columns="affinity")
    events.to_parquet(folder / "events.parquet", index=False)
    make_contacts(keys).to_parquet(folder / "contacts.parquet", index=False)
    partner.assign(attribute_date=AS_OF - timedelta(days=120)).to_parquet(folder / "partner.parquet", index=False)


def test_every_command_of_the_guide_works_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state, done = tmp_path / "state", []
    try:
        for words in commands("console"):
            result = run_pseg(state, *words)
            assert result.returncode == 0, f"{words}\n{result.stdout}\n{result.stderr}"
            done.append(words[0])
            if words[0] == "init":
                put_tables(tmp_path / "spring-sale" / "data")
    finally:
        run_pseg(state, "local", "down")
    assert {"init", "doctor", "run", "segments", "report", "model", "pipeline", "local"} == set(done)
    assert (tmp_path / "spring-sale" / "output" / "report.html").is_file()


@pytest.mark.parametrize("words", commands("console aws"), ids=" ".join)
def test_commands_for_aws_are_spelled_as_the_program_takes_them(words: list[str]) -> None:
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]  # type: ignore[attr-defined]
    command.make_context("pseg", list(words), resilient_parsing=False)
