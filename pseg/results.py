"""What a run leaves in the project's ``output`` folder: fetched from S3 whole or not at all, and read back."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3

from contracts.errors import ContractError
from contracts.evaluation import FILE_NAME as EVALUATION_NAME
from contracts.evaluation import Evaluation, parse_evaluation, read_evaluation
from contracts.model_artifact import unpack
from contracts.segment_manifest import FILE_NAME, SegmentManifest, parse_manifest, verify_files
from pseg.project import Project


def fetch_results(session: boto3.Session, project: Project, execution_id: str, status: str) -> list[SegmentManifest]:
    """Fetch an execution's segments, with the model that chose them and its evaluation, and verify them.

    The folder ``output`` is replaced in one move, so that it never holds half a run.

    Raises
    ------
    ContractError, VerificationError
        If something is missing or is not what was published. ``output`` is then as it was.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="output.new-", dir=project.folder) as fresh:
            return fetch_into(session, project, execution_id, status, Path(fresh))
    except OSError as error:
        raise ContractError(
            "the results can't be written",
            where=str(project.output_dir),
            why=str(error),
            fix=f"make room or give rights there, then fetch again: the run itself is done ({execution_id})",
        ) from error


def fetch_into(
    session: boto3.Session, project: Project, execution_id: str, status: str, fresh: Path
) -> list[SegmentManifest]:
    """Fetch an execution's results into a fresh folder and put it in the place of ``output``."""
    settings = project.run_settings()
    folder = "candidates" if status == "candidate" else "published"
    base = f"s3://{settings.data_bucket}/{settings.project}/runs/{execution_id}/{folder}"
    manifests, evaluations = [], []
    for goal in settings.goals:
        fetch_prefix(session, f"{base}/{goal.name}/", fresh)
        manifest = read_manifest_file(fresh / FILE_NAME)
        (fresh / FILE_NAME).unlink()
        verify_files(manifest, fresh)
        manifests.append(manifest)
        evaluations.append(fetch_model(session, manifest.model, fresh, goal.name))
    write_documents(fresh / FILE_NAME, "manifests", manifests)
    write_documents(fresh / EVALUATION_NAME, "evaluations", evaluations)
    replace_folder(project.output_dir, fresh)
    return manifests


def write_documents(path: Path, kind: str, documents: Sequence[SegmentManifest | Evaluation]) -> None:
    """Write what each goal has into one document."""
    content = {"schema": f"pseg.{kind}/1", kind: [json.loads(document.to_json()) for document in documents]}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def fetch_model(session: boto3.Session, package_arn: str, fresh: Path, goal: str) -> Evaluation:
    """Fetch the artifact of one registered model; return its evaluation."""
    package = session.client("sagemaker").describe_model_package(ModelPackageName=package_arn)
    target = fresh / "model" / goal
    fetch_prefix(session, package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"], target)
    unpack(target / "model.tar.gz", target)
    fetch_prefix(session, package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"], fresh)
    evaluation = read_evaluation(fresh / EVALUATION_NAME)
    (fresh / EVALUATION_NAME).unlink()
    return evaluation


def fetch_prefix(session: boto3.Session, uri: str, folder: Path) -> None:
    """Download everything under a prefix that ends in ``/``, or the one object of a key."""
    s3 = session.client("s3")
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    base = prefix[: prefix.rindex("/") + 1]
    keys = [
        item["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for item in page.get("Contents", [])
    ]
    if not keys:
        raise ContractError(f"nothing lies under {uri}", fix="check that the run succeeded")
    for key in keys:
        path = folder / key.removeprefix(base)
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ContractError(f"the key {key!r} points out of its folder", where=bucket, fix="find out who wrote it")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(path))


def replace_folder(target: Path, fresh: Path) -> None:
    """Put the content of ``fresh`` in the place of ``target``, in one move."""
    ready, old = fresh.with_name(f"{fresh.name}.ready"), fresh.with_name(f"{fresh.name}.old")
    shutil.copytree(fresh, ready)
    if target.exists():
        target.replace(old)
    ready.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def read_manifest_file(path: Path) -> SegmentManifest:
    """Read one manifest."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContractError(
            "there is no manifest", where=str(path), why=str(error), fix="nothing was published; run again"
        ) from error
    return parse_manifest(document, where=str(path))


def read_manifests(project: Project) -> list[SegmentManifest]:
    """Read what the last run published into ``output``.

    Raises
    ------
    ContractError
        If there is no run yet.
    """
    path = project.output_dir / FILE_NAME
    try:
        documents = json.loads(path.read_text(encoding="utf-8"))["manifests"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContractError(
            "there are no segments yet", where=str(path), why=str(error), fix=f"pseg run {project.folder}"
        ) from error
    return [parse_manifest(document, where=str(path)) for document in documents]


def read_evaluations(project: Project) -> list[Evaluation]:
    """Read the evaluations of the models that chose the segments in ``output``."""
    path = project.output_dir / EVALUATION_NAME
    document = json.loads(path.read_text(encoding="utf-8"))
    return [parse_evaluation(evaluation, where=str(path)) for evaluation in document["evaluations"]]
