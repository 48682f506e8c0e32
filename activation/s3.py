"""What publish does in S3: put a manifest's files, compare what arrived, and write the manifest last."""

from __future__ import annotations

import tempfile
from pathlib import Path

import awswrangler as wr
from awswrangler.exceptions import ServiceApiError
from botocore.exceptions import BotoCoreError, ClientError

from contracts.errors import ServiceError, VerificationError
from contracts.evaluation import FILE_NAME as EVALUATION_NAME
from contracts.evaluation import Evaluation, read_evaluation
from contracts.segment_manifest import FILE_NAME, SegmentManifest, verify_files

S3_ERRORS = (BotoCoreError, ClientError, ServiceApiError)


def upload(folder: Path, manifest: SegmentManifest, uri: str) -> None:
    """Put the files under ``uri``, read each back and compare, and write the manifest last.

    What an earlier attempt left there is removed first, its manifest before anything else could count as published.

    Raises
    ------
    ServiceError
        If S3 refuses or can't be reached; there is then no manifest.
    VerificationError
        If what lies there is not what was written; there is then no manifest.
    """
    keys = [file.key for segment in manifest.segments for file in segment.all_files]
    try:
        wr.s3.delete_objects(f"{uri}/")
        for key in keys:
            wr.s3.upload(local_file=str(folder / key), path=f"{uri}/{key}")
        with tempfile.TemporaryDirectory(dir=folder) as copy:
            for key in keys:
                (Path(copy) / key).parent.mkdir(parents=True, exist_ok=True)
                wr.s3.download(path=f"{uri}/{key}", local_file=str(Path(copy) / key))
            verify_files(manifest, Path(copy))
        if sorted(wr.s3.list_objects(f"{uri}/")) != sorted(f"{uri}/{key}" for key in keys):
            raise VerificationError(
                "other files lie where the segments were written", where=uri, fix="publish the run again"
            )
        wr.s3.upload(local_file=str(folder / FILE_NAME), path=f"{uri}/{FILE_NAME}")
    except S3_ERRORS as error:
        raise ServiceError(
            "the segments can't be uploaded",
            where=uri,
            why=str(error),
            fix="mend that and publish the run again; without a manifest nothing counts as published",
        ) from error


def download_evaluation(uri: str) -> Evaluation:
    """Read the evaluation that a model package points to.

    Raises
    ------
    ServiceError
        If it can't be downloaded.
    ContractError
        If it is not of its form.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / EVALUATION_NAME
        try:
            wr.s3.download(path=uri, local_file=str(path))
        except S3_ERRORS as error:
            raise ServiceError(
                "the evaluation of the model can't be downloaded",
                where=uri,
                why=str(error),
                fix="give the role s3:GetObject on it, or train and approve a new model",
            ) from error
        return read_evaluation(path)
