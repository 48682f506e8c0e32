"""Step Report: everything that one run found, in one sealed HTML file and the two documents it was made from.

Comes in: run settings, run facts, the evaluation of every goal, and the manifests that Publish left beside the
segments. Goes out: ``report.html``, ``manifest.json``, ``evaluation.json``. A goal without a manifest made no segment;
the report says why, and the step's summary names every goal that failed its gate.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import awswrangler as wr

from contracts.errors import ContractError
from contracts.evaluation import FILE_NAME as EVALUATION_NAME
from contracts.evaluation import Evaluation, read_evaluation
from contracts.job import run_job
from contracts.partner_names import hide_partner_names
from contracts.run_facts import read_run_facts
from contracts.run_manifest import Run, RunManifest, write_run_manifest
from contracts.run_settings import RunSettings, read_run_settings
from contracts.segment_manifest import FILE_NAME as MANIFEST_NAME
from contracts.segment_manifest import SegmentManifest, parse_manifest
from insights.report import render_report
from insights.wording import figures_of

REPORT_NAME = "report.html"
FOLDERS = {"train": "candidates", "score": "published"}


def read_published(uri: str) -> SegmentManifest | None:
    """Read the manifest at an S3 address; None if there is none, as nothing was published.

    Raises
    ------
    ContractError
        If it is not a segment manifest.
    """
    if uri not in wr.s3.list_objects(uri):
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MANIFEST_NAME
        wr.s3.download(path=uri, local_file=str(path))
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ContractError(
                "this is not a segment manifest", where=uri, why=str(error), fix="publish again"
            ) from error
    return parse_manifest(document, where=uri)


def describe_run(settings: RunSettings, inputs: Path, arguments: argparse.Namespace) -> Run:
    """Put together what the report says of the run itself."""
    return Run(
        project=settings.project,
        kind=arguments.kind,
        execution_id=arguments.execution_id,
        brand=settings.brand,
        partner=settings.partner if settings.query else "",
        notice=settings.notice,
        may_name_partner_columns=settings.may_name_partner_columns,
        money=settings.money,
        facts=read_run_facts(inputs / "run_facts"),
        code_sha256=arguments.code_sha256,
        settings_sha256=arguments.settings_sha256,
        partner_columns_are_static=bool(settings.query) and settings.partner_columns_are_static,
    )


def summarise(manifest: RunManifest) -> str:
    """Say in one line what was made, or name every goal that failed with the first check, its value and its floor."""
    if manifest.failed:
        named = ", ".join(describe_failure(evaluation) for evaluation in manifest.failed)
        its = "its gate" if len(manifest.failed) == 1 else "their gates"
        return f"{len(manifest.failed)} of {len(manifest.evaluations)} goals failed {its}: {named}"
    segments = [segment for published in manifest.manifests for segment in published.segments]
    people = sum(segment.people for segment in segments)
    return f"{people:,} people in {len(segments)} segment(s), goals: {len(manifest.evaluations)}"


def describe_failure(evaluation: Evaluation) -> str:
    """Name a failed goal with its first failed check."""
    first, *others = [check for check in evaluation.checks if check.is_stop]
    found, allowed = figures_of(first)
    more = f", and {len(others)} more" if others else ""
    return f"{evaluation.goal} ({first.name} {found}, {first.comparison} {allowed}{more})"


def make_report(arguments: argparse.Namespace) -> str:
    """Do the step's work and return its summary."""
    processing = arguments.ml_dir / "processing"
    inputs = processing / "input"
    settings = read_run_settings(inputs / "settings")
    goals = [goal.name for goal in settings.goals]
    base = f"{arguments.project_uri.rstrip('/')}/{FOLDERS[arguments.kind]}"
    published = [read_published(f"{base}/{goal}/{MANIFEST_NAME}") for goal in goals]
    manifest = RunManifest(
        describe_run(settings, inputs, arguments),
        tuple(read_evaluation(inputs / f"evaluation-{goal}" / EVALUATION_NAME) for goal in goals),
        tuple(one for one in published if one),
    )
    if not settings.may_name_partner_columns:
        manifest = hide_partner_names(manifest)
    html = render_report(manifest)
    output = processing / "report"
    write_run_manifest(manifest, output)
    (output / REPORT_NAME).write_text(html, encoding="utf-8")
    return summarise(manifest)


def main(argv: list[str]) -> int:
    """Run the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ml-dir", type=Path, required=True)
    parser.add_argument("--kind", choices=sorted(FOLDERS), required=True)
    parser.add_argument("--execution-id", required=True)
    parser.add_argument("--project-uri", required=True, help="s3://bucket/project/runs/ID")
    parser.add_argument("--code-sha256", required=True)
    parser.add_argument("--settings-sha256", required=True)
    arguments = parser.parse_args(argv)
    return run_job(lambda: make_report(arguments), note=arguments.ml_dir / "output" / "message")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
