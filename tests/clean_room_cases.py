"""Reads the titled golden cases of the analysis rules."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clean_room_tables import BRAND, ROOMS, TEMPLATE_ARN, Schemas

FOLDER = Path(__file__).parent / "golden" / "analysis_rules"
SETTINGS = {"room", "runner", "receivers", "template", "parameters", "verdict"}


@dataclass(frozen=True)
class Case:
    """One golden case."""

    name: str
    sql: str
    schemas: Schemas
    runner: str
    codes: list[str]
    options: dict[str, Any]


def read_cases(file: Path) -> list[Case]:
    """Read the cases of a file; a blank line stands between two."""
    return [read_case(file.stem, text) for text in file.read_text(encoding="utf-8").strip().split("\n\n")]


def read_case(room: str, text: str) -> Case:
    """Read one case."""
    lines = text.split("\n")
    title = lines.pop(0).removeprefix("-- ")
    settings: dict[str, str] = {}
    while lines and lines[0].startswith("-- ") and lines[0][3:].partition(": ")[0] in SETTINGS:
        name, _, value = lines.pop(0)[3:].partition(": ")
        settings[name] = value
    sql = "\n".join(lines)
    verdict = settings["verdict"].split()
    options: dict[str, Any] = {}
    if "receivers" in settings:
        options["result_receivers"] = settings["receivers"].split()
    if "template" in settings:
        declared = [] if settings["template"] == "yes" else json.loads(settings["template"])
        options["template"] = {
            "arn": TEMPLATE_ARN,
            "creatorAccountId": BRAND,
            "format": "SQL",
            "source": {"text": sql},
            "analysisParameters": declared,
        }
    if "parameters" in settings:
        options["parameters"] = json.loads(settings["parameters"])
    default = {"statements": "list", "templates": "custom"}.get(room, room)
    schemas = ROOMS[settings.get("room", default)]
    codes = [] if verdict == ["allowed"] else sorted(verdict)
    return Case(f"{room}: {title}", sql, schemas, settings.get("runner", BRAND), codes, options)


CASES = [case for file in sorted(FOLDER.glob("*.sql")) for case in read_cases(file)]
