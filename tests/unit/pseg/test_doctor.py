"""``pseg doctor`` finds what will not work before it is tried, and never ends in a traceback."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement

from pseg.checks import check_extra, check_packages
from tests.pseg_process import NOWHERE, pseg
from tests.worlds import write_project

Finding = dict[str, str]


def findings(folder: Path, *arguments: object, code: int, **more: str) -> list[Finding]:
    """Run ``pseg doctor --json`` and return what it found."""
    done = pseg(folder, "doctor", *arguments, "--json", **more)
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert done.returncode == code, document
    assert document["schema"] == "pseg.doctor/1"
    assert document["is_ready"] == (code == 0)
    checks: list[Finding] = document["checks"]
    return checks


def about(checks: list[Finding], topic: str) -> Finding:
    """Return the one finding about a topic."""
    (found,) = [check for check in checks if check["topic"] == topic]
    return found


def test_laptop_without_an_account_is_ready_and_told_what_to_start(tmp_path: Path) -> None:
    project = write_project(tmp_path / "spring", customers=5)
    checks = findings(tmp_path, project, code=0, AWS_EC2_METADATA_DISABLED="true")
    assert about(checks, "python")["said"] == f"Python {platform.python_version()}"
    assert about(checks, "project")["said"] == "spring: 1 goals, 1 segments"
    assert about(checks, "aws")["state"] == "!"
    assert "pseg local up" in about(checks, "aws")["fix"]
    closed = " ".join(check["said"] for check in checks if check["topic"] == "closed")
    assert all(words in closed for words in ("Pinpoint", "2026-10-30", "Model Monitor", "Clarify", "Debugger"))


def test_every_fault_and_warning_but_news_has_a_remedy(tmp_path: Path) -> None:
    checks = findings(tmp_path, code=0, AWS_EC2_METADATA_DISABLED="true")
    assert [check for check in checks if check["state"] != "ok" and not check["fix"]] == [
        check for check in checks if "Model Monitor" in check["said"]
    ]


def test_unreachable_aws_is_a_finding(tmp_path: Path) -> None:
    checks = findings(tmp_path, code=1, **NOWHERE)
    identity = about(checks, "identity")
    assert identity["state"] == "x"
    assert "AWS can't be reached" in identity["said"]
    assert about(checks, "python")["state"] == "ok"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"AWS_PROFILE": "nobody"}, "nobody"),
        ({"AWS_ACCESS_KEY_ID": "x"}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}, "no region"),
    ],
    ids=["unknown profile", "half a key", "no region"],
)
def test_broken_configuration_is_a_finding(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    checks = findings(tmp_path, code=1, **settings)
    (fault,) = [check for check in checks if check["state"] == "x"]
    assert said in fault["said"]


@pytest.mark.parametrize("arguments", [("nowhere",), ("spring", "--json")], ids=["no project", "wrong project"])
def test_project_that_can_not_be_read_is_a_finding(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write_project(tmp_path / "spring", customers=5, name="colour = 7")
    found = about(findings(tmp_path, arguments[0], code=1, AWS_EC2_METADATA_DISABLED="true"), "project")
    assert found["state"] == "x"
    assert found["fix"]


def test_missing_table_is_a_finding(tmp_path: Path) -> None:
    project = write_project(tmp_path / "spring", customers=5)
    (project / "data" / "contacts.parquet").unlink()
    found = about(findings(tmp_path, project, code=1, AWS_EC2_METADATA_DISABLED="true"), "table contacts")
    assert "contacts.parquet" in found["said"]


def test_table_that_is_no_parquet_is_a_finding(tmp_path: Path) -> None:
    project = write_project(tmp_path / "spring", customers=5)
    (project / "data" / "events.parquet").write_text("customer_key,event_time\n")
    found = about(findings(tmp_path, project, code=1, AWS_EC2_METADATA_DISABLED="true"), "table events")
    assert "tables.events = 'data/events.parquet' is not a Parquet file" in found["said"]
    assert found["fix"]


def test_partner_column_that_can_not_be_asked_for_is_a_finding(tmp_path: Path) -> None:
    project = write_project(tmp_path / "spring", customers=5, query="")
    path = project / "data" / "partner.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("AgeBand", table.column(0)), path)
    found = about(findings(tmp_path, project, code=1, AWS_EC2_METADATA_DISABLED="true"), "project settings")
    assert (found["state"], "AgeBand" in found["said"]) == ("x", True)


def test_partner_table_that_is_none_is_a_finding(tmp_path: Path) -> None:
    project = write_project(tmp_path / "spring", customers=5, query="")
    (project / "data" / "partner.parquet").write_text("no table")
    found = about(findings(tmp_path, project, code=1, AWS_EC2_METADATA_DISABLED="true"), "project settings")
    assert (found["state"], "partner.parquet" in found["said"]) == ("x", True)


def test_findings_are_ascii_lines_and_the_last_says_what_is_next(tmp_path: Path) -> None:
    done = pseg(tmp_path, "doctor", AWS_EC2_METADATA_DISABLED="true")
    lines = done.stdout.splitlines()
    assert done.stdout.isascii()
    assert all(line.startswith(("ok  ", "!   ", "x   ", "      fix  ")) for line in lines)
    assert done.stderr.splitlines()[-1] == "Next  pseg run PROJECT"


def test_our_own_extras_are_installed_as_asked_for() -> None:
    assert {check.topic: check.state for check in check_packages()} == {
        **{f"extra {extra}": "ok" for extra in ("core", "image", "partner", "demo")},
        "versions": "ok",
    }


def test_package_of_another_version_is_a_fault_and_a_missing_one_is_not() -> None:
    too_new = check_extra("demo", [Requirement("pytest>=999"), Requirement("typer")])
    assert (too_new.state, "needs >=999" in too_new.said) == ("x", True)
    missing = check_extra("demo", [Requirement("no-such-package-of-anybody"), Requirement("typer")])
    assert (missing.state, missing.said) == ("!", "not installed: no-such-package-of-anybody")
