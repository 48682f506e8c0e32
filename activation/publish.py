"""Step Publish: scored CSVs become the segments of one goal.

Comes in: every scored CSV of the run (``*.out``), the run's facts, the model's evaluation. Goes out:
``segments/<name>/*.csv``, ``holdouts/<name>.csv`` and, last of all, ``manifest.json`` beside them; of an approved model
also its evaluation, for the report. Whole populations are ranked exactly, and chosen lines are copied byte for byte.
All or nothing: without its manifest nothing was published, and what a broken attempt left is removed by the next.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from activation.population import read_population
from activation.s3 import download_evaluation, upload
from activation.sagemaker_registry import require_approved
from activation.segment_files import write_segment
from activation.selection import expected_reach
from contracts.errors import ContractError, ServiceError
from contracts.evaluation import FILE_NAME as EVALUATION_NAME
from contracts.evaluation import Evaluation, read_evaluation
from contracts.job import run_job
from contracts.run_facts import read_run_facts
from contracts.run_settings import RunSettings, read_run_settings
from contracts.segment_file import ENDPOINT_COLUMNS, check_columns, score_column
from contracts.segment_manifest import FILE_NAME, STATUSES, SegmentManifest


def evaluation_of(settings: RunSettings, goal: str, status: str, model: str, inputs: Path) -> Evaluation:
    """Read the evaluation of the model: a candidate's is an input, an approved one's lies where its package says.

    Raises
    ------
    VerificationError
        If the model of an ``approved`` publish is not approved now.
    ContractError
        If the evaluation can't be read or is another goal's.
    """
    if status == "approved":
        evaluation = download_evaluation(require_approved(model, settings.project, goal))
        output = inputs.parent / "evaluation"  # the report of a score run finds it there
        output.mkdir(exist_ok=True)
        (output / EVALUATION_NAME).write_bytes(evaluation.to_json())
    else:
        evaluation = read_evaluation(inputs / "evaluation" / EVALUATION_NAME)
    if evaluation.goal != goal:
        raise ContractError(
            f"the evaluation is of goal {evaluation.goal}, not {goal}", where=model, fix="give the goal's own model"
        )
    return evaluation


def refusal(evaluation: Evaluation) -> str:
    """Say why a candidate is not published: the checks that it failed."""
    failed = [check for check in evaluation.checks if check.is_stop]
    reasons = (f"{check.name} {check.found:.3f}, {check.comparison} {check.allowed:.3f}" for check in failed)
    return f"nothing published: {'; '.join(reasons)}"


def publish(ml_dir: Path, goal: str, status: str, model: str, as_of: str, execution_id: str, uri: str) -> str:
    """Do the step's work and return its summary."""
    inputs = ml_dir / "processing" / "input"
    settings = read_run_settings(inputs / "settings")
    segments = settings.segments_of(settings.goal(goal).name)
    check_columns([*ENDPOINT_COLUMNS, *(score_column(each.name) for each in settings.goals)])
    evaluation = evaluation_of(settings, goal, status, model, inputs)
    if status == "candidate" and not evaluation.is_passed:
        return refusal(evaluation)
    facts = read_run_facts(inputs / "run_facts")
    population = read_population(inputs / "scored", goal)
    try:
        with tempfile.TemporaryDirectory(prefix="publish-", dir=ml_dir / "processing") as temporary:
            folder = Path(temporary)
            published = tuple(
                write_segment(folder, segment, population, facts, evaluation, settings.seed) for segment in segments
            )
            reach = expected_reach(population, evaluation)
            manifest = SegmentManifest(
                settings.project, goal, status, as_of, execution_id, model, settings.notice, published, reach
            )
            (folder / FILE_NAME).write_bytes(manifest.to_json())
            upload(folder, manifest, uri.rstrip("/"))
    except OSError as error:
        raise ServiceError(
            "the segments can't be written to the step's own disk",
            where=str(error.filename or ml_dir / "processing"),
            why=error.strerror or str(error),
            fix="give the step more disk (VolumeSizeInGB, twice the size of the segments) and publish the run again",
        ) from error
    return ", ".join(f"{segment.name} {segment.people:,} people" for segment in published) or "no segment asks for it"


def main(argv: list[str]) -> int:
    """Run the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ml-dir", type=Path, required=True)
    parser.add_argument("--goal", required=True)
    parser.add_argument("--status", choices=STATUSES, required=True)
    parser.add_argument("--model", required=True, help="the artifact's S3 URI, or the package's ARN if it is approved")
    parser.add_argument("--as-of", required=True)
    parser.add_argument("--execution-id", required=True)
    parser.add_argument("--uri", required=True)
    a = parser.parse_args(argv)
    return run_job(
        lambda: publish(a.ml_dir, a.goal, a.status, a.model, a.as_of, a.execution_id, a.uri),
        note=a.ml_dir / "output" / "message",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
