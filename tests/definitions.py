"""Pipeline definitions of test projects, as ``pipelines`` makes them, against the embedded AWS in this process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

from tests.worlds import write_project

ROLE = "arn:aws:iam::111111111111:role/pseg-spring-pipeline"
KINDS = ("train", "score")
TWO_GOALS = {
    "goals": "\n".join(
        f'[[goals]]\nname = "{name}"\nevent = "{event}"\nhorizon_days = 90'
        for name, event in (("buy", "purchase"), ("big_spender", "order.large"))
    ),
    "segments": "\n".join(
        f'[[segments]]\nname = "{name}"\ngoal = "{goal}"\ntop_percent = 10'
        for name, goal in (("likely_buyers", "buy"), ("spenders", "big_spender"))
    ),
}


def make_project(folder: Path, **changes: str) -> Path:
    """Write the project of tests' world, and its bucket into the embedded AWS."""
    project = write_project(folder, 20, 1, **changes)
    boto3.client("s3").create_bucket(Bucket="pseg-spring-data")
    return project


def define(project: Path, kind: str) -> str:
    """Definition of one of a project's pipelines, as JSON text."""
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    from pipelines import score_pipeline, train_pipeline

    session = PipelineSession(boto_session=boto3.Session(), default_bucket="pseg-spring-data")
    build = train_pipeline if kind == "train" else score_pipeline
    return str(build(project, session=session, role=ROLE).definition())


def steps_of(definition: str | dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every step of a definition, those behind conditions too."""
    document: dict[str, Any] = json.loads(definition) if isinstance(definition, str) else definition
    for step in document.get("Steps", []):
        yield step
        if step["Type"] == "Condition":
            yield from steps_of({"Steps": step["Arguments"]["IfSteps"] + step["Arguments"]["ElseSteps"]})


def without_hashes(definition: str) -> str:
    """A definition to compare: indented, its code bundle and tables (Parquet, of any writer) without their hashes."""
    text = json.dumps(json.loads(definition), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    text = re.sub(r"(/tables/\w+/)[0-9a-f]{64}/", r"\1SHA256/", text)
    code = re.search(r"/code/([0-9a-f]{64})/", text)
    return text.replace(code[1], "SHA256") if code else text
