"""Pipeline executions: steps run as real jobs, in the order of their dependencies, side by side where they can.

Chosen where AWS's behaviour is undocumented: when a step fails, steps that do not depend on it go on (the execution
then ends as Failed, "One or multiple steps failed"); a Fail step ends the execution at once and stops what runs. A step
that depends on a Condition step waits for its evaluation, not for its branch; a step that depends on a step which was
not run is not run either. A number where the API wants text (a bare ``Get`` of an Integer parameter) fails the step.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import string
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.validate import ParamValidator
from moto.core.utils import get_service_model

from pseg.local_aws.sagemaker_definition import KINDS, Kind, Plan, Step, exception_types, expiry
from pseg.local_aws.sagemaker_expressions import ExpressionError, Scope, as_text, holds, resolve
from pseg.local_aws.sagemaker_jobs import Job, Jobs
from pseg.local_aws.sagemaker_records import Record, SageMaker, now
from pseg.local_aws.wire import AwsError, Call

logger = logging.getLogger(__name__)

FAILURE = "Step failure: One or multiple steps failed."
DEFAULT_RETRY = {"ExceptionType": ["Step.SERVICE_FAULT", "Step.THROTTLING"], "MaxAttempts": 3, "IntervalSeconds": 1}
FAULT_OF_CODE = {
    "ThrottlingException": "Step.THROTTLING",
    "ResourceLimitExceeded": "SageMaker.RESOURCE_LIMIT",
    "InternalFailure": "Step.SERVICE_FAULT",
    "ServiceUnavailable": "Step.SERVICE_FAULT",
}
FAULT_OF_REASON = {"InternalServerError": "SageMaker.JOB_INTERNAL_ERROR", "CapacityError": "SageMaker.CAPACITY_ERROR"}


class StepFailed(Exception):
    """A step that ends as Failed: its reason, and the kind of fault if a retry policy may cover it."""

    def __init__(self, reason: str, fault: str = "") -> None:
        super().__init__(reason)
        self.fault = fault


class StepStopped(Exception):
    """A step that ends as Stopped, with the execution."""


@dataclass(frozen=True)
class CachedRun:
    """One successful run of a step."""

    finished: datetime
    execution_arn: str
    metadata: dict[str, Any]
    properties: dict[str, Any]


@dataclass
class Execution:
    """One execution: its Describe record, its steps' records, and what its threads share."""

    call: Call
    record: Record
    definition: str
    plan: Plan
    scope: Scope
    limit: int
    parameters: list[dict[str, str]]
    steps: dict[str, Record] = field(default_factory=dict)
    outcome: dict[str, str] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))
    ending: threading.Event = field(default_factory=threading.Event)
    jobs: dict[str, Job] = field(default_factory=dict)
    thread: threading.Thread | None = None

    @property
    def arn(self) -> str:
        """ARN of the execution."""
        return str(self.record["PipelineExecutionArn"])

    @property
    def id(self) -> str:
        """Last part of the ARN."""
        return self.arn.rsplit("/", 1)[-1]

    def reuse(self, source: Execution, names: frozenset[str]) -> None:
        """Take over what steps of another execution have made, as if they had succeeded here."""
        for name in names:
            self.outcome[name] = "Succeeded"
            self.scope.steps[name] = source.scope.steps[name]
            self.steps[name] = source.steps[name] | {
                "SelectiveExecutionResult": {"SourcePipelineExecutionArn": source.arn}
            }
        files = source.scope.property_files.items()
        self.scope.property_files.update({key: uri for key, uri in files if key[0] in names})

    def end(self) -> None:
        """Start nothing more and stop the jobs that run."""
        with self.changed:
            self.ending.set()
            for name, job in self.jobs.items():
                if not job.done.is_set():
                    self.steps[name]["StepStatus"] = "Stopping"
                    job.stop.set()
            self.changed.notify_all()


class Executor:
    """Runs executions, one thread each and one for each step that runs."""

    def __init__(self, sagemaker: SageMaker, jobs: Jobs) -> None:
        self.sagemaker = sagemaker
        self.jobs = jobs
        self.cache: dict[tuple[str, str, str], CachedRun] = {}
        self.executions: dict[str, Execution] = {}
        sagemaker.aws.on_close.append(self.close)
        sagemaker.aws.busy_checks.append(lambda: bool(self.alive()))

    def alive(self) -> list[Execution]:
        """List the executions that have not ended."""
        return [one for one in list(self.executions.values()) if one.thread and one.thread.is_alive()]

    def close(self) -> None:
        """Stop all executions."""
        for execution in self.alive():
            for job in execution.jobs.values():
                job.grace_seconds = 2.0
            execution.end()
            if execution.thread:
                execution.thread.join(5)

    def run(self, execution: Execution) -> None:
        """Run the steps in the order of their dependencies, as many at a time as allowed."""
        pending = dict(execution.plan.steps)
        with execution.changed:
            while pending or "Executing" in execution.outcome.values():
                moved = False
                for step in list(pending.values()):
                    verdict = self.verdict(execution, step)
                    running = sum(status == "Executing" for status in execution.outcome.values())
                    if verdict == "skip" or (verdict == "run" and running < execution.limit):
                        moved = True
                        del pending[step.name]
                        execution.outcome[step.name] = "Skipped" if verdict == "skip" else "Executing"
                        if verdict == "run":
                            self.start_step(execution, step)
                if not moved:
                    execution.changed.wait()
            statuses = {record["StepStatus"] for record in execution.steps.values()}
            if "Failed" in statuses:
                execution.record |= {"PipelineExecutionStatus": "Failed", "FailureReason": FAILURE}
            else:
                status = "Stopped" if execution.ending.is_set() else "Succeeded"
                execution.record["PipelineExecutionStatus"] = status
            execution.record["LastModifiedTime"] = now()

    def start_step(self, execution: Execution, step: Step) -> None:
        """Note that a step begins, and run it in a thread of its own."""
        execution.steps[step.name] = {
            "StepName": step.name,
            "StepStatus": "Starting",
            "StartTime": now(),
            "CreationTime": now(),
            "StepDisplayName": step.source.get("DisplayName"),
            "StepDescription": step.source.get("Description"),
        }
        name = f"step-{execution.id}-{step.name}"
        threading.Thread(target=self.run_step, args=(execution, step), name=name, daemon=True).start()

    def verdict(self, execution: Execution, step: Step) -> str:
        """Tell if a step may ``run``, must ``wait``, or will never run (``skip``)."""
        if execution.ending.is_set():
            return "skip"
        outcomes = {execution.outcome.get(name, "Pending") for name in step.after}
        if outcomes & {"Skipped", "Failed", "Stopped"}:
            return "skip"
        if outcomes & {"Pending", "Executing"}:
            return "wait"
        if step.branch and execution.scope.steps[step.branch[0]]["Outcome"] != str(step.branch[1]):
            return "skip"
        return "run"

    def run_step(self, execution: Execution, step: Step) -> None:
        """Run one step and note how it ended."""
        record = execution.steps[step.name]
        record["StepStatus"] = "Executing"
        status = "Succeeded"
        try:
            execution.scope.steps[step.name] = self.act(execution, step, record)
        except StepStopped:
            status = "Stopped"
        except (StepFailed, ExpressionError) as failed:
            status = "Failed"
            reason = str(failed) if isinstance(failed, StepFailed) else f"ClientError: {failed}"
            record["FailureReason"] = reason[:1024]
        except Exception:
            logger.exception("step %s failed inside the embedded AWS", step.name)
            status = "Failed"
            record["FailureReason"] = "InternalServerError: the embedded AWS failed; see its log"
        if status == "Failed" and step.type == "Fail":
            execution.end()
        with execution.changed:
            record |= {"StepStatus": status, "EndTime": now()}
            execution.outcome[step.name] = status
            execution.record["LastModifiedTime"] = now()
            execution.changed.notify_all()

    def act(self, execution: Execution, step: Step, record: Record) -> dict[str, Any]:
        """Do what one step is for; its properties."""
        if step.type == "Condition":
            outcome = str(all(holds(condition, execution.scope) for condition in step.arguments["Conditions"]))
            record["Metadata"] = {"Condition": {"Outcome": outcome}}
            return {"Outcome": outcome}
        if step.type == "Fail":
            message = as_text(resolve(step.arguments["ErrorMessage"], execution.scope))
            record["Metadata"] = {"Fail": {"ErrorMessage": message[:3072]}}
            raise StepFailed(message)
        return self.call_service(execution, step, record, KINDS[step.type])

    def call_service(self, execution: Execution, step: Step, record: Record, kind: Kind) -> dict[str, Any]:
        """Run a step that stands for an operation, again and again as its retry policies allow."""
        name = job_name(execution, step, step.arguments.get(kind.name))
        variables = {f"Execution.{kind.name}": name}
        arguments = resolve(with_variables(step.arguments, variables), execution.scope)
        if kind.name:
            arguments[kind.name] = name
        cache_key = ""
        if kind.is_job:
            cache_key = json.dumps({key: arguments.get(key) for key in kind.cache_keys}, sort_keys=True)
            if hit := self.cached(execution, step, cache_key):
                record["CacheHitResult"] = {"SourcePipelineExecutionArn": hit.execution_arn}
                record["Metadata"] = hit.metadata
                self.note_property_files(execution, step, hit.properties)
                return hit.properties
        started, attempts = time.monotonic(), 0
        while True:
            attempts += 1
            record["AttemptCount"] = attempts
            try:
                properties = self.attempt(execution, step, record, kind, arguments)
                break
            except StepFailed as failed:
                delay = retry_delay(step, failed.fault, attempts, time.monotonic() - started)
                if delay is None:
                    raise
                logger.info("step %s: attempt %d failed (%s), next in %.1f s", step.name, attempts, failed, delay)
                if execution.ending.wait(delay):
                    raise StepStopped from failed
                if kind.name:
                    arguments[kind.name] = job_name(execution, step, step.arguments.get(kind.name))
        if cache_key:
            run = CachedRun(now(), execution.arn, record["Metadata"], properties)
            self.cache[execution.record["PipelineArn"], step.name, cache_key] = run
        self.note_property_files(execution, step, properties)
        return properties

    def attempt(
        self, execution: Execution, step: Step, record: Record, kind: Kind, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        """Call the operation once and, for a job, wait for its end; the Describe answer."""
        failed = f"ClientError: Failed to invoke sagemaker:{kind.create}. Error Details: "
        shape = get_service_model("sagemaker").operation_model(kind.create).input_shape
        report = ParamValidator().validate(arguments, shape)
        if report.has_errors():
            raise StepFailed(failed + report.generate_report())
        call = self.sagemaker.call
        try:
            if step.type == "RegisterModel":
                self.make_group(execution.call, arguments.get("ModelPackageGroupName"))
            with execution.changed:
                if execution.ending.is_set():
                    raise StepStopped
                arn = call(execution.call, kind.create, json.loads(json.dumps(arguments)))[kind.arn]
                record["Metadata"] = {kind.metadata: {"Arn": arn}}
                job = self.jobs.by_arn.get(arn)
                if job:
                    execution.jobs[step.name] = job
        except AwsError as error:
            raise StepFailed(failed + error.message, FAULT_OF_CODE.get(error.code, "")) from error
        describe = {kind.name: arguments[kind.name]} if kind.name else {"ModelPackageName": arn}
        if job is None:
            return call(execution.call, kind.describe, describe)
        job.done.wait()
        properties = call(execution.call, kind.describe, describe)
        status, reason = properties[f"{job.lead}JobStatus"], properties.get("FailureReason", "")
        if status == "Completed":
            return properties
        if status == "Stopped" and execution.ending.is_set():
            raise StepStopped
        if status == "Stopped":
            raise StepFailed(f"ClientError: {job.lead} job {job.name} was stopped. {reason}".strip())
        raise StepFailed(reason, FAULT_OF_REASON.get(reason.split(":")[0], ""))

    def make_group(self, call: Call, name: str | None) -> None:
        """Make the model package group of a RegisterModel step if it is missing, as the service does."""
        if name and self.sagemaker.records("model-package-group").find(call, name) is None:
            self.sagemaker.call(call, "CreateModelPackageGroup", {"ModelPackageGroupName": name})

    def cached(self, execution: Execution, step: Step, key: str) -> CachedRun | None:
        """Last successful run of this step of this pipeline with the same cache key attributes, if young enough."""
        if not (step.source.get("CacheConfig") or {}).get("Enabled"):
            return None
        run = self.cache.get((execution.record["PipelineArn"], step.name, key))
        limit = expiry(step)
        return run if run and (limit is None or now() - run.finished <= limit) else None

    def note_property_files(self, execution: Execution, step: Step, properties: dict[str, Any]) -> None:
        """Remember where the step's property files lie."""
        outputs = {
            output["OutputName"]: output["S3Output"]["S3Uri"]
            for output in properties.get("ProcessingOutputConfig", {}).get("Outputs", [])
        }
        for item in step.source.get("PropertyFiles") or []:
            uri = f"{outputs[item['OutputName']].rstrip('/')}/{item['FilePath']}"
            execution.scope.property_files[step.name, item["PropertyFileName"]] = uri


def with_variables(value: Any, variables: dict[str, str]) -> Any:
    """Fill in the execution variables that only the step itself knows (its job's name)."""
    if isinstance(value, list):
        return [with_variables(item, variables) for item in value]
    if isinstance(value, dict):
        if set(value) == {"Get"} and value["Get"] in variables:
            return variables[value["Get"]]
        return {key: with_variables(item, variables) for key, item in value.items()}
    return value


def random_text(alphabet: str, length: int) -> str:
    """Make a part of a name that nobody else has."""
    return "".join(secrets.choice(alphabet) for _ in range(length))


def job_name(execution: Execution, step: Step, prefix: Any) -> str:
    """Name of a step's job: ``pipelines-<execution>-<step>-<random>``; a name in the definition replaces the front."""
    front = resolve(prefix, execution.scope) if prefix else f"pipelines-{execution.id}-{step.name}"
    tail = random_text(string.ascii_letters + string.digits, 10)
    return f"{re.sub('[^A-Za-z0-9-]+', '-', str(front)).strip('-')[:52].strip('-')}-{tail}"


def retry_delay(step: Step, fault: str, attempts: int, elapsed: float) -> float | None:
    """Seconds until the next attempt; None if no policy covers this fault or its attempts are used up."""
    for policy in [*(step.source.get("RetryPolicies") or []), DEFAULT_RETRY]:
        if fault in exception_types(policy):
            delay = float(policy.get("IntervalSeconds", 1)) * float(policy.get("BackoffRate", 2.0)) ** (attempts - 1)
            if attempts > policy.get("MaxAttempts", attempts):
                return None
            over = elapsed + delay > 60 * policy["ExpireAfterMin"] if "ExpireAfterMin" in policy else False
            return None if over else delay
    return None
