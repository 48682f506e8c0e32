"""Doorway *run manifest*: one run of a project in two files, from which people and the report read everything.

``manifest.json`` (what was published, and the facts of the run) and ``evaluation.json`` (the models, those that failed
their gate among them). Written by the report step; read by ``pseg``, notebooks and ``insights``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.document import read_document
from contracts.errors import ContractError
from contracts.evaluation import FILE_NAME as EVALUATION_NAME
from contracts.evaluation import Evaluation, parse_evaluation
from contracts.run_facts import RunFacts
from contracts.run_settings import Money
from contracts.segment_manifest import FILE_NAME as MANIFEST_NAME
from contracts.segment_manifest import SegmentManifest, parse_manifest


@dataclass(frozen=True)
class Run:
    """One run: who, when, what it counted, and how a report may speak of it.

    ``kind`` is train or score; ``code_sha256`` and ``settings_sha256`` are the hashes under which both lie in S3.
    ``partner`` is empty where there is none. ``partner_columns_are_static`` tells that partner values carry no date.
    """

    project: str
    kind: str
    execution_id: str
    brand: str
    partner: str
    notice: str
    may_name_partner_columns: bool
    money: Money
    facts: RunFacts
    code_sha256: str
    settings_sha256: str
    partner_columns_are_static: bool = False


@dataclass(frozen=True)
class RunManifest:
    """One run with its evaluations (in the order of the project's goals) and the manifests of what was published."""

    run: Run
    evaluations: tuple[Evaluation, ...]
    manifests: tuple[SegmentManifest, ...]

    @property
    def failed(self) -> tuple[Evaluation, ...]:
        """Evaluations that did not pass their gate."""
        return tuple(evaluation for evaluation in self.evaluations if not evaluation.is_passed)

    def manifest_of(self, goal: str) -> SegmentManifest | None:
        """Return what was published for one goal, None if nothing was."""
        return next((manifest for manifest in self.manifests if manifest.goal == goal), None)


def write_run_manifest(manifest: RunManifest, folder: Path) -> None:
    """Write both files."""
    documents = {
        MANIFEST_NAME: {
            "schema": "pseg.manifests/1",
            "run": asdict(manifest.run),
            "manifests": [json.loads(one.to_json()) for one in manifest.manifests],
        },
        EVALUATION_NAME: {
            "schema": "pseg.evaluations/1",
            "evaluations": [json.loads(one.to_json()) for one in manifest.evaluations],
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_run_manifest(folder: Path) -> RunManifest:
    """Read both files.

    Raises
    ------
    ContractError
        If one is missing or not of this form, or a waterfall does not sum up.
    """
    path = folder / MANIFEST_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        run = read_document(Run, document["run"], "run")
        manifests = tuple(parse_manifest(one, where=str(path)) for one in document["manifests"])
        path = folder / EVALUATION_NAME
        evaluations = json.loads(path.read_text(encoding="utf-8"))["evaluations"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContractError(
            "there is no run here", where=str(path), why=str(error), fix="run the project first: pseg run PROJECT"
        ) from error
    return RunManifest(run, tuple(parse_evaluation(one, where=str(path)) for one in evaluations), manifests)
