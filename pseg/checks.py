"""What ``pseg doctor`` finds on this machine: versions, room, the project file, and services that are closed.

Goes out: one ``Check`` per finding, "ok", "!" (works, but know this) or "x" (something will not work, with its remedy).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from contracts.errors import PsegError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from pseg.project import Project, TableName

DISTRIBUTION = "predictive-segments"
EXTRAS = ("core", "image", "partner", "demo")
SHOWN = ("sagemaker", "xgboost", "awswrangler", "boto3")  # their versions decide most often
LOWEST_PYTHON, TOO_NEW_PYTHON = (3, 11, 4), (3, 13)
LOW_DISK_BYTES, NO_DISK_BYTES = 5e9, 1e9
State = Literal["ok", "!", "x"]


@dataclass(frozen=True)
class Check:
    """One finding; ``fix`` is what to do about it, empty if nothing is to be done."""

    state: State
    topic: str
    said: str
    fix: str = ""


def from_error(error: PsegError, topic: str, state: State = "x") -> Check:
    """Make a finding of an error."""
    said = f"{error.what}{f' ({error.where})' if error.where else ''}{f': {error.why}' if error.why else ''}"
    return Check(state, topic, said, error.fix)


def check_machine(folder: Path) -> Iterator[Check]:
    """Check Python, the processor's cores, and the room where ``folder`` lies."""
    written = ".".join(map(str, sys.version_info[:3]))
    is_right = sys.version_info[:3] >= LOWEST_PYTHON and sys.version_info[:2] < TOO_NEW_PYTHON
    yield Check(
        "ok" if is_right else "x",
        "python",
        f"Python {written}",
        "" if is_right else "use Python 3.11 (3.11.4 or newer) or 3.12",
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    free = shutil.disk_usage(folder).free
    state: State = "x" if free < NO_DISK_BYTES else "!" if free < LOW_DISK_BYTES else "ok"
    yield Check(
        state,
        "machine",
        f"{cores} cores, {free / 1e9:.1f} GB free at {folder.resolve()}",
        "" if state == "ok" else "make room: an environment takes 2 GB, a run some copies of its tables",
    )


def check_packages() -> Iterator[Check]:
    """Check that each extra's packages are there in the versions that it asks for."""
    try:
        from packaging.requirements import Requirement

        wanted = [Requirement(text) for text in requires(DISTRIBUTION) or []]
    except (ImportError, PackageNotFoundError) as error:
        yield Check("x", "packages", f"the installation can't be read: {error}", "install it: make install-demo")
        return
    for extra in EXTRAS:
        own = [
            requirement
            for requirement in wanted
            if requirement.name != DISTRIBUTION and requirement.marker and requirement.marker.evaluate({"extra": extra})
        ]
        yield check_extra(extra, own)
    versions = (f"{name} {installed}" for name in SHOWN if (installed := installed_version(name)))
    yield Check("ok", "versions", ", ".join(versions))


def check_extra(extra: str, wanted: list[Requirement]) -> Check:
    """Check one extra."""
    missing, wrong = [], []
    for requirement in wanted:
        installed = installed_version(requirement.name)
        if installed is None:
            missing.append(requirement.name)
        elif not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} {installed}, needs {requirement.specifier}")
    topic, fix = f"extra {extra}", "install the lock: make install-demo"
    if wrong:
        return Check("x", topic, "; ".join(wrong), fix)
    if missing:
        return Check("!", topic, f"not installed: {', '.join(missing)}", fix)
    return Check("ok", topic, f"{len(wanted)} packages, versions as asked for")


def installed_version(name: str) -> str | None:
    """Version of an installed package, None if it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_project(folder: Path) -> tuple[Project | None, list[Check]]:
    """Read a project and look for its tables; the project is None if it can't be read."""
    from pseg.project import read_project

    try:
        project = read_project(folder)
    except PsegError as error:
        return None, [from_error(error, "project")]
    checks = [Check("ok", "project", f"{project.name}: {len(project.goals)} goals, {len(project.segments)} segments")]
    partner: tuple[TableName, ...] = ("partner",) if project.tables.partner else ()
    for table in (*project.own_tables, *partner):
        try:
            project.location(table)
        except PsegError as error:
            checks.append(from_error(error, f"table {table}"))
    return project, checks


def closed_services() -> Iterator[Check]:
    """Name the services that AWS closed and that readers of its older guides may look for."""
    yield Check(
        "!",
        "closed",
        "Amazon Pinpoint's engagement features ended 2026-10-30; segment files keep its format",
        "send segments with Amazon Connect Customer Profiles",
    )
    yield Check("!", "closed", "SageMaker Model Monitor, Clarify and Debugger take no new customers; pseg uses none")
