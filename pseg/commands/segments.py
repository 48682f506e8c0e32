"""``pseg segments``: the files of the last run, from the project's output folder. Needs no AWS."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from contracts.errors import SettingsError
from pseg.commands.options import AsJson, ProjectOption, SegmentArgument
from pseg.console import answer, print_json, print_table, say

app = typer.Typer(help="Published segments: list, show, verify.", no_args_is_help=True)


@app.command("list")
def list_segments(project: ProjectOption = Path(), as_json: AsJson = False) -> None:
    """List the segments of the last run.

    Example: pseg segments list --project examples/cdnow
    """
    from pseg.project import read_project
    from pseg.results import read_results

    manifests = read_results(read_project(project)).manifests
    if as_json:
        print_json("segments.list", {"manifests": [json.loads(manifest.to_json()) for manifest in manifests]})
        return
    print_table(
        ("segment", "status", "people", "expected", "file"),
        [
            (s.name, m.status, f"{s.people:,}", f"{s.expected:,.0f}", ", ".join(file.key for file in s.files))
            for m in manifests
            for s in m.segments
        ],
        right=(2, 3),
    )
    names = [s.name for m in manifests for s in m.segments]
    say(f"Next  pseg segments show {names[0]} --project {project}" if names else f"Next  pseg report {project}")


@app.command()
def show(
    name: SegmentArgument,
    project: ProjectOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Show one segment: who is in it, where everyone else went, which model chose.

    Example: pseg segments show likely_buyers --project examples/cdnow
    """
    from pseg.project import read_project
    from pseg.results import read_results

    manifests = read_results(read_project(project)).manifests
    found = [(m, s) for m in manifests for s in m.segments if s.name == name]
    if not found:
        names = [s.name for m in manifests for s in m.segments]
        raise SettingsError(f"there is no segment {name}", where=str(project), fix=f"one of: {', '.join(names)}")
    manifest, segment = found[0]
    if as_json:
        document = json.loads(manifest.to_json())
        document["segments"] = [s for s in document["segments"] if s["name"] == name]
        print_json("segments.show", document)
        return
    answer.print(f"{segment.name} · {manifest.status} · goal {segment.goal} · as of {manifest.as_of}")
    answer.print(f"  model      {manifest.model}", markup=False)
    answer.print(
        f"  people     {segment.people:,} on {segment.endpoints:,} addresses   "
        f"expected {segment.expected:,.0f} ({segment.expected_low:,.0f} to {segment.expected_high:,.0f})   "
        f"lowest score {segment.lowest_score:.3f}"
    )
    (_, start), *drops = segment.waterfall
    left_out = " · ".join(f"{why} {count:,}" for why, count in drops)
    answer.print(f"  customers  {start:,}, of them left out: {left_out}")
    if manifest.notice:
        answer.print(f"  {manifest.notice}", markup=False)
    after = f"pseg model approve {segment.goal}" if manifest.status == "candidate" else "pseg segments verify"
    say(f"Next  {after} --project {project}")


@app.command()
def verify(project: ProjectOption = Path(), as_json: AsJson = False) -> None:
    """Compare the files with what was published; exit code 1 if one was changed, lost or added.

    Example: pseg segments verify --project examples/cdnow
    """
    from contracts.segment_manifest import verify_folder
    from pseg.project import read_project
    from pseg.results import read_results

    opened = read_project(project)
    rows = verify_folder(read_results(opened).manifests, opened.output_dir)
    if as_json:
        print_json("segments.verify", {"is_verified": True, "rows": rows})
    else:
        answer.print(f"{rows:,} rows are what was published")
        say(f"Files  {opened.output_dir / 'segments'}")
