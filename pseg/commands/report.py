"""``pseg report``: the report of the last run, written again. Needs no AWS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from pseg.commands.options import AsJson
from pseg.console import answer, print_json, say, warn, working

NAME = "report.html"


def report(
    project: Annotated[Path, typer.Argument(metavar="[PROJECT]", help="Project folder of the run.")] = Path(),
    is_opened: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the report of the last run again, from output/manifest.json and output/evaluation.json.

    Example: pseg report examples/cdnow --open
    """
    from contracts.run_manifest import read_run_manifest

    output = (project.parent if project.is_file() else project) / "output"
    manifest = read_run_manifest(output)
    from insights.report import render_report

    with working("writing the report", if_interrupted="the report is as it was"):
        path = replace_text(output / NAME, render_report(manifest))
    if as_json:
        print_json("report", {"report": str(path)})
    else:
        answer.print(str(path), markup=False)
    if is_opened:
        open_in_browser(path)
    elif not as_json:
        say(f"Next  open it, or: pseg report {project} --open")


def replace_text(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        return fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def open_in_browser(path: Path) -> None:
    """Open a file in the browser, or say that there is none."""
    import webbrowser

    if not webbrowser.open(path.resolve().as_uri()):
        warn(f"no browser can be opened here; open {path.resolve()} yourself")
