"""What a run leaves in the project's ``output`` folder: fetched from S3 whole or not at all, and read back."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import boto3

from contracts.errors import ContractError
from contracts.model_artifact import unpack
from contracts.run_manifest import RunManifest, read_run_manifest
from contracts.segment_manifest import SegmentManifest, verify_files
from pseg.project import Project


def fetch_results(session: boto3.Session, project: Project, execution_id: str) -> RunManifest:
    """Fetch an execution's report and segments, with the models that chose them, and verify them.

    The folder ``output`` is replaced in one move, so that it never holds half a run.

    Raises
    ------
    ContractError, VerificationError
        If something is missing or is not what was published. ``output`` is then as it was.
    """
    settings = project.run_settings()
    base = f"s3://{settings.data_bucket}/{settings.project}/runs/{execution_id}"
    try:
        with tempfile.TemporaryDirectory(prefix="output.new-", dir=project.folder) as folder:
            fresh = Path(folder)
            fetch_prefix(session, f"{base}/report/", fresh)
            run = read_run_manifest(fresh)
            for manifest in run.manifests:
                place = "candidates" if manifest.status == "candidate" else "published"
                fetch_segments(session, manifest, f"{base}/{place}/{manifest.goal}", fresh)
                fetch_model(session, manifest, fresh / "model" / manifest.goal)
            replace_folder(project.output_dir, fresh)
            return run
    except OSError as error:
        raise ContractError(
            "the results can't be written",
            where=str(project.output_dir),
            why=str(error),
            fix=f"make room or give rights there, then fetch again: the run itself is done ({execution_id})",
        ) from error


def fetch_segments(session: boto3.Session, manifest: SegmentManifest, uri: str, fresh: Path) -> None:
    """Fetch the files that a manifest names, and verify them."""
    for segment in manifest.segments:
        held_back = [segment.holdout_file] if segment.holdout_file else []
        for file in (*segment.files, *held_back):
            fetch_prefix(session, f"{uri}/{file.key}", (fresh / file.key).parent)
    verify_files(manifest, fresh)


def fetch_model(session: boto3.Session, manifest: SegmentManifest, target: Path) -> None:
    """Fetch and unpack the artifact of the model that chose; of an approved one, by its package."""
    artifact = manifest.model
    if not artifact.startswith("s3://"):
        package = session.client("sagemaker").describe_model_package(ModelPackageName=manifest.model)
        artifact = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    fetch_prefix(session, artifact, target)
    unpack(target / "model.tar.gz", target)


def fetch_prefix(session: boto3.Session, uri: str, folder: Path) -> None:
    """Download everything under a prefix that ends in ``/``, or the one object of a key."""
    s3 = session.client("s3")
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    base = prefix[: prefix.rindex("/") + 1]
    keys = [
        item["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for item in page.get("Contents", [])
        if prefix.endswith("/") or item["Key"] == prefix
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
    """Put the content of ``fresh`` in the place of ``target``, in one move; of two at a time one waits."""
    ready, old = fresh.with_name(f"{fresh.name}.ready"), fresh.with_name(f"{fresh.name}.old")
    shutil.copytree(fresh, ready)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if target.exists():
            target.replace(old)
        ready.replace(target)
    finally:
        os.close(folder)
    shutil.rmtree(old, ignore_errors=True)


def read_results(project: Project) -> RunManifest:
    """Read what the last run left in ``output``.

    Raises
    ------
    ContractError
        If there is no run yet.
    """
    if not project.output_dir.is_dir():
        raise ContractError(
            "there is no run yet",
            where=str(project.output_dir),
            fix=f"run the project first: pseg run {project.folder}",
        )
    return read_run_manifest(project.output_dir)
