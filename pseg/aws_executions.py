"""SageMaker pipeline executions as people follow them: each step, its state, its own summary, and why it failed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import boto3
from botocore.exceptions import ClientError

from contracts.errors import SettingsError

FINAL_STATES = ("Succeeded", "Failed", "Stopped")
SHORTEST_ID = 4  # characters of an execution's id; of its 12, these tell a year's runs apart
PIPELINE_KINDS = ("-train", "-score")
TRAINED = {  # what a training job measures of itself, and how it is said
    "folds": "{:g}-fold",
    "rounds": "{:,.0f} rounds",
    "members": "{:g} members",
    "linear_percent": "{:g}% linear",
}
LOG_GROUPS = {
    "ProcessingJob": "/aws/sagemaker/ProcessingJobs",
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "TransformJob": "/aws/sagemaker/TransformJobs",
}


@dataclass(frozen=True)
class StepState:
    """One step of an execution; ``seconds`` runs on while it executes."""

    name: str
    status: str
    seconds: float
    summary: str
    reason: str
    log_group: str
    log_stream_prefix: str


@dataclass(frozen=True)
class ExecutionState:
    """One execution and its steps, in the order in which they started."""

    arn: str
    pipeline: str
    status: str
    reason: str
    seconds: float
    steps: tuple[StepState, ...]

    @property
    def execution_id(self) -> str:
        """Last part of the ARN."""
        return self.arn.rsplit("/", 1)[-1]

    @property
    def failed_step(self) -> StepState | None:
        """The first step that failed, None if none did."""
        return next((step for step in self.steps if step.status == "Failed"), None)


def follow(
    session: boto3.Session, arn: str, show: Callable[[ExecutionState], None], poll_seconds: float = 0.5
) -> ExecutionState:
    """Show an execution until it is in a final state; polls slow down to 15 s while nothing changes."""
    client, wait, before = session.client("sagemaker"), poll_seconds, ""
    ended: dict[str, StepState] = {}
    while True:
        state = read_execution(client, arn, ended)
        ended = {step.name: step for step in state.steps if step.status == "Succeeded"}
        show(state)
        if state.status in FINAL_STATES:
            return state
        now = str([(step.name, step.status) for step in state.steps])
        wait = poll_seconds if now != before else min(wait * 1.2, 15)
        before = now
        time.sleep(wait)


def stop(session: boto3.Session, arn: str, poll_seconds: float = 0.5) -> ExecutionState:
    """Stop an execution and wait until it is in a final state; its query, if one runs, is cancelled by its own step."""
    session.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=str(uuid.uuid4()))
    return follow(session, arn, lambda _: None, poll_seconds)


def read_execution(client: Any, arn: str, ended: Mapping[str, StepState] = MappingProxyType({})) -> ExecutionState:
    """Read an execution and its steps; of those known to have ``ended``, by name, nothing is asked again."""
    execution = client.describe_pipeline_execution(PipelineExecutionArn=arn)
    pages = client.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=arn, SortOrder="Ascending"
    )
    listed = [step for page in pages for step in page["PipelineExecutionSteps"]]
    steps = [ended.get(step["StepName"]) or read_step(client, step) for step in listed]
    end = execution["LastModifiedTime"] if execution["PipelineExecutionStatus"] in FINAL_STATES else datetime.now(UTC)
    return ExecutionState(
        arn=arn,
        pipeline=execution["PipelineArn"].rsplit("/", 1)[-1],
        status=execution["PipelineExecutionStatus"],
        reason=execution.get("FailureReason", ""),
        seconds=(end - execution["CreationTime"]).total_seconds(),
        steps=tuple(steps),
    )


def read_step(client: Any, step: Any) -> StepState:
    """Read one step; what a processing container said of its work is its summary."""
    metadata: dict[str, dict[str, Any]] = step.get("Metadata", {})
    kind, details = next(iter(metadata.items()), ("", {}))
    job = str(details.get("Arn", "")).rsplit("/", 1)[-1]
    end = step.get("EndTime") or datetime.now(UTC)
    started = step.get("StartTime") or end
    summary = summarise(client, kind, details, job) if step["StepStatus"] == "Succeeded" else ""
    if source := step.get("CacheHitResult", {}).get("SourcePipelineExecutionArn"):
        summary = f"{summary} (as in execution {source.rsplit('/', 1)[-1]}: cached)".strip()
    return StepState(
        name=step["StepName"],
        status=step["StepStatus"],
        seconds=(end - started).total_seconds(),
        summary=summary,
        reason=step.get("FailureReason", ""),
        log_group=LOG_GROUPS.get(kind, ""),
        log_stream_prefix=job,
    )


def summarise(client: Any, kind: str, details: dict[str, Any], job: str) -> str:
    """Say in one line what a finished step did."""
    if kind == "ProcessingJob":
        return str(client.describe_processing_job(ProcessingJobName=job).get("ExitMessage", ""))
    if kind == "TrainingJob":
        metrics = client.describe_training_job(TrainingJobName=job).get("FinalMetricDataList", [])
        values = {metric["MetricName"]: metric["Value"] for metric in metrics}
        return ", ".join(text.format(values[name]) for name, text in TRAINED.items() if values.get(name))
    if kind == "RegisterModel":
        package = client.describe_model_package(ModelPackageName=details["Arn"])
        return f"version {package['ModelPackageVersion']}, {package['ModelApprovalStatus']}"
    if kind == "Condition":
        return "passed" if str(details.get("Outcome")).lower() == "true" else "not passed"
    return ""


def read_log(session: boto3.Session, step: StepState, lines: int = 12) -> list[str]:
    """Read the last lines of a job's log beside its failure; empty if there is none or it may not be read."""
    try:
        return read_whole_log(session, step, lines)
    except (ClientError, SettingsError):
        return []


def read_whole_log(session: boto3.Session, step: StepState, lines: int) -> list[str]:
    """Read the last lines of each of a job's hosts; with several hosts, each line names its own.

    Parameters
    ----------
    step : StepState
        A step that runs a job.
    lines : int
        1 to 10,000: what GetLogEvents gives at once (CloudWatch Logs API reference).

    Raises
    ------
    SettingsError
        If the step has no log (yet).
    """
    logs = session.client("logs")
    where = f"{step.log_group} {step.log_stream_prefix}"
    try:
        if not step.log_group or not step.log_stream_prefix:
            streams = []
        else:
            pages = logs.get_paginator("describe_log_streams").paginate(
                logGroupName=step.log_group, logStreamNamePrefix=f"{step.log_stream_prefix}/"
            )
            streams = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    except logs.exceptions.ResourceNotFoundException:
        streams = []
    if not streams:
        raise SettingsError(
            f"step {step.name} has no log",
            where=where,
            why=f"it is {step.status}; a job's log appears with its first line",
            fix="look again in a minute",
        )
    return [
        f"{stream.rsplit('/', 1)[-1]}  {line}" if len(streams) > 1 else line
        for stream in streams
        for event in logs.get_log_events(
            logGroupName=step.log_group, logStreamName=stream, limit=lines, startFromHead=False
        )["events"]
        for line in [event["message"].rstrip()]
    ]


def find_execution(session: boto3.Session, name: str) -> str:
    """Return the ARN that a pipeline's name (its latest execution), an execution's id or its start, or an ARN means.

    Raises
    ------
    SettingsError
        If there is none, or several ids start so.
    """
    if name.startswith("arn:"):
        return name
    if name.endswith(PIPELINE_KINDS):
        try:
            if arn := next(executions_of(session, name), None):
                return arn
        except session.client("sagemaker").exceptions.ResourceNotFound:
            pass
        raise SettingsError(
            f"{name} was never started",
            where=session.client("sagemaker").meta.endpoint_url,
            fix=f"pseg pipeline start {name} --project FOLDER",
        )
    if len(name) < SHORTEST_ID:
        raise SettingsError(
            f"{name!r} is too short for an execution's id", fix=f"give {SHORTEST_ID} characters or more"
        )
    pages = session.client("sagemaker").get_paginator("list_pipelines").paginate()
    pipelines = [summary["PipelineName"] for page in pages for summary in page["PipelineSummaries"]]
    ours = [pipeline for pipeline in pipelines if pipeline.endswith(PIPELINE_KINDS)]
    found = [
        arn for pipeline in ours for arn in executions_of(session, pipeline) if arn.rsplit("/", 1)[-1].startswith(name)
    ]
    if len(found) != 1:
        raise SettingsError(
            f"{len(found) or 'no'} executions have an id that starts with {name}",
            where=f"pipelines: {', '.join(ours) or 'none'}",
            fix="name a pipeline, PROJECT-train or PROJECT-score, or give the whole id",
        )
    return found[0]


def executions_of(session: boto3.Session, pipeline: str) -> Iterator[str]:
    """Yield a pipeline's executions, newest first."""
    client = session.client("sagemaker")
    for page in client.get_paginator("list_pipeline_executions").paginate(
        PipelineName=pipeline, SortBy="CreationTime", SortOrder="Descending"
    ):
        for summary in page["PipelineExecutionSummaries"]:
            yield summary["PipelineExecutionArn"]


def succeeded_steps(session: boto3.Session, arn: str) -> set[str]:
    """Name the steps that an execution itself ran, or found in the cache, to their end."""
    pages = session.client("sagemaker").get_paginator("list_pipeline_execution_steps")
    return {
        step["StepName"]
        for page in pages.paginate(PipelineExecutionArn=arn)
        for step in page["PipelineExecutionSteps"]
        if step["StepStatus"] == "Succeeded" and "SelectiveExecutionResult" not in step
    }


def parameters_of(session: boto3.Session, arn: str) -> dict[str, str]:
    """Return the parameters that an execution was started with, defaults among them."""
    pages = session.client("sagemaker").get_paginator("list_pipeline_parameters_for_execution")
    return {
        parameter["Name"]: parameter["Value"]
        for page in pages.paginate(PipelineExecutionArn=arn)
        for parameter in page["PipelineParameters"]
    }
