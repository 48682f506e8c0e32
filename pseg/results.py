"""What a run leaves in the project's ``output`` folder: fetched from S3 whole or not at all, and read back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import boto3

from contracts.errors import ContractError
from contracts.evaluation import Evaluation, read_evaluation
from contracts.model_artifact import unpack
from contracts.segment_manifest import FILE_NAME, SegmentManifest, parse_manifest, verify_files
from pseg.project import Project

MANIFESTS_SCHEMA = "pseg.segment_manifests/1"


def fetch_results(session: boto3.Session, project: Project, execution_id: str, status: str) -> list[SegmentManifest]:
    """Fetch an execution's segments, with the model that chose them and its evaluation, and verify them.

    The folder ``output`` is replaced in one move, so that it never holds half a run.

    Raises
    ------
    ContractError, VerificationError
        If something is missing or is not what was published. ``output`` is then as it was.
    """
    settings = project.run_settings()
    fresh = project.output_dir.with_name("output.new")
    shutil.rmtree(fresh, ignore_errors=True)
    folder = "candidates" if status == "candidate" else "published"
    base = f"s3://{settings.data_bucket}/{settings.project}/runs/{execution_id}/{folder}"
    manifests = []
    for goal in settings.goals:
        fetch_prefix(session, f"{base}/{goal.name}/", fresh)
        manifest = read_manifest_file(fresh / FILE_NAME)
        (fresh / FILE_NAME).unlink()
        verify_files(manifest, fresh)
        fetch_model(session, manifest.model, fresh, goal.name)
        manifests.append(manifest)
    documents = [json.loads(manifest.to_json()) for manifest in manifests]
    (fresh / FILE_NAME).write_text(
        json.dumps({"schema": MANIFESTS_SCHEMA, "manifests": documents}, indent=1, ensure_ascii=False)
    )
    replace_folder(project.output_dir, fresh)
    return manifests


def fetch_model(session: boto3.Session, package_arn: str, fresh: Path, goal: str) -> None:
    """Fetch the artifact and the evaluation of one registered model."""
    package = session.client("sagemaker").describe_model_package(ModelPackageName=package_arn)
    target = fresh / "model" / goal
    fetch_prefix(session, package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"], target)
    unpack(target / "model.tar.gz", target)
    fetch_prefix(session, package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"], fresh / "evaluation" / goal)


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
    """Put ``fresh`` in the place of ``target``."""
    old = target.with_name(f"{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.replace(old)
    fresh.replace(target)
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
    """Read the evaluations of the last training run."""
    return [read_evaluation(path) for path in sorted((project.output_dir / "evaluation").glob("*/evaluation.json"))]
