"""SageMaker Pipelines' operations: definitions are checked when they are stored, executions when they start."""

from __future__ import annotations

import json
import string
import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pseg.local_aws.sagemaker_data import JobFailed, split_uri
from pseg.local_aws.sagemaker_definition import Plan, read_definition
from pseg.local_aws.sagemaker_executor import Execution, Executor, random_text
from pseg.local_aws.sagemaker_expressions import ExpressionError, Scope, as_text
from pseg.local_aws.sagemaker_jobs import Jobs
from pseg.local_aws.sagemaker_records import Record, SageMaker, invalid, now, page
from pseg.local_aws.sagemaker_selection import select_steps
from pseg.local_aws.wire import AwsError, Call


def to_boolean(text: str) -> bool:
    """Read a Boolean parameter."""
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


PARSERS: dict[str, Callable[[str], Any]] = {"String": str, "Integer": int, "Float": float, "Boolean": to_boolean}


def typed_parameters(plan: Plan, given: list[dict[str, str]]) -> dict[str, Any]:
    """Values of all parameters of an execution.

    Raises
    ------
    AwsError
        ``ValidationException`` for a name that the pipeline does not have, a missing value, a value of another type or
        outside the enumeration.
    """
    values = {item["Name"]: item["Value"] for item in given}
    if unknown := sorted(set(values) - set(plan.parameters)):
        raise invalid(f"Pipeline does not have the parameters: {', '.join(unknown)}")
    found: dict[str, Any] = {}
    for name, parameter in plan.parameters.items():
        value: Any = values.get(name, parameter.get("DefaultValue"))
        if value is None:
            raise invalid(f"Assigned value missing for required parameter: {name}")
        if name in values:
            try:
                value = PARSERS[parameter["Type"]](value)
            except ValueError as error:
                raise invalid(f"Parameter {name}: {value!r} is not a value of type {parameter['Type']}") from error
        if value not in (parameter.get("EnumValues") or [value]):
            raise invalid(f"Parameter {name}: {value!r} is not one of {', '.join(map(str, parameter['EnumValues']))}")
        found[name] = value
    return found


def install(sagemaker: SageMaker, jobs: Jobs) -> None:
    """Register the operations."""
    executor = Executor(sagemaker, jobs)
    pipelines = sagemaker.records("pipeline")
    answered: dict[tuple[str, str], tuple[str, str]] = {}
    operation = sagemaker.operation
    lock = threading.RLock()

    def find(call: Call, parameters: dict[str, Any]) -> Record:
        record = pipelines.find(call, parameters["PipelineName"])
        if record is None:
            raise AwsError(
                "ResourceNotFound", f"Pipeline '{pipelines.arn(call, parameters['PipelineName'])}' does not exist."
            )
        return record

    def find_execution(call: Call, parameters: dict[str, Any]) -> Execution:
        execution = executor.executions.get(parameters.get("PipelineExecutionArn", ""))
        if execution is None or execution.call.account != call.account:
            raise AwsError(
                "ResourceNotFound", f"Pipeline execution '{parameters.get('PipelineExecutionArn')}' does not exist."
            )
        return execution

    def definition_text(call: Call, parameters: dict[str, Any]) -> str | None:
        text, place = parameters.get("PipelineDefinition"), parameters.get("PipelineDefinitionS3Location")
        if text and place:
            raise invalid("Give either PipelineDefinition or PipelineDefinitionS3Location")
        if place:
            text = read_object(call, f"s3://{place['Bucket']}/{place['ObjectKey']}")
            if len(text) > 1_048_576:
                raise invalid("Pipeline definition is longer than 1048576 characters")
        return text

    def read_object(call: Call, uri: str) -> str:
        bucket, key = split_uri(uri)
        try:
            body = sagemaker.aws.client("s3", call.caller, call.region).get_object(Bucket=bucket, Key=key)["Body"]
            return str(body.read().decode())
        except (ClientError, BotoCoreError, UnicodeDecodeError) as error:
            raise invalid(f"Cannot read {uri}: {error}") from error

    def once(call: Call, parameters: dict[str, Any]) -> str | None:
        """ARN that an earlier request with this token got; another request with the same token is a conflict."""
        seen = answered.get((call.account, parameters["ClientRequestToken"]))
        if seen and seen[1] != fingerprint(parameters):
            raise AwsError("ConflictException", "ClientRequestToken was used with other parameters")
        return seen[0] if seen else None

    def fingerprint(parameters: dict[str, Any]) -> str:
        return json.dumps(parameters, sort_keys=True, default=str)

    @operation("CreatePipeline")
    def create_pipeline(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        with lock:
            if arn := once(call, parameters):
                return {"PipelineArn": arn}
            name = parameters["PipelineName"]
            if pipelines.find(call, name):
                raise invalid(
                    "Pipeline names must be unique within an AWS account and region. "
                    f"Pipeline with name ({name}) already exists."
                )
            text = definition_text(call, parameters)
            if not text:
                raise invalid("PipelineDefinition or PipelineDefinitionS3Location is required")
            read_definition(text)
            sagemaker.assume(call, parameters["RoleArn"])
            arn = pipelines.arn(call, name)
            record = {**parameters, "PipelineDefinition": text, "PipelineArn": arn, "PipelineStatus": "Active"}
            record |= {"CreationTime": now(), "LastModifiedTime": now(), "CreatedBy": {}, "LastModifiedBy": {}}
            record.setdefault("PipelineDisplayName", name)
            pipelines.of(call)[name] = record
            sagemaker.tag(arn, parameters.get("Tags"))
            answered[call.account, parameters["ClientRequestToken"]] = arn, fingerprint(parameters)
            return {"PipelineArn": arn}

    @operation("UpdatePipeline")
    def update_pipeline(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        record = find(call, parameters)
        text = definition_text(call, parameters)
        if text:
            read_definition(text)
        if parameters.get("RoleArn"):
            sagemaker.assume(call, parameters["RoleArn"])
        changes = {
            key: value
            for key, value in parameters.items()
            if key not in ("PipelineName", "PipelineDefinitionS3Location")
        }
        record |= {**changes, **({"PipelineDefinition": text} if text else {}), "LastModifiedTime": now()}
        return {"PipelineArn": record["PipelineArn"]}

    @operation("DescribePipeline")
    def describe_pipeline(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return find(call, parameters)

    @operation("ListPipelines")
    def list_pipelines(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        prefix = parameters.get("PipelineNamePrefix", "")
        records = [record for name, record in pipelines.of(call).items() if name.startswith(prefix)]
        found, more = page(records, parameters, name="PipelineName")
        return {
            "PipelineSummaries": [{**record, "LastExecutionTime": record.get("LastRunTime")} for record in found],
            **more,
        }

    @operation("DeletePipeline")
    def delete_pipeline(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        record = find(call, parameters)
        arn = record["PipelineArn"]
        own = [execution for execution in executor.executions.values() if execution.record["PipelineArn"] == arn]
        if any(execution.record["PipelineExecutionStatus"] in ("Executing", "Stopping") for execution in own):
            raise AwsError("ConflictException", f"Pipeline {arn} has running executions; stop them first")
        del pipelines.of(call)[record["PipelineName"]]
        for execution in own:
            del executor.executions[execution.arn]
        executor.cache = {key: run for key, run in executor.cache.items() if key[0] != arn}
        sagemaker.tags.pop(arn, None)
        return {"PipelineArn": arn}

    @operation("StartPipelineExecution")
    def start_pipeline_execution(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        with lock:
            if arn := once(call, parameters):
                return {"PipelineExecutionArn": arn}
            pipeline = find(call, parameters)
            plan = read_definition(pipeline["PipelineDefinition"])
            values = typed_parameters(plan, parameters.get("PipelineParameters") or [])
            selective = parameters.get("SelectiveExecutionConfig")
            source, reused = None, frozenset[str]()
            if selective:
                source = executor.executions.get(selective.get("SourcePipelineExecutionArn", ""))
                plan, reused = select_steps(plan, selective, source, pipeline["PipelineArn"])
            role = parameters.get("RoleArn") or pipeline["RoleArn"]
            actor = Call("sagemaker", "", call.region, sagemaker.assume(call, role))
            started = now()
            arn = f"{pipeline['PipelineArn']}/execution/{random_text(string.ascii_lowercase + string.digits, 12)}"
            variables = {
                "PipelineName": pipeline["PipelineName"],
                "PipelineArn": pipeline["PipelineArn"],
                "PipelineExecutionArn": arn,
                "PipelineExecutionId": arn.rsplit("/", 1)[-1],
                "StartDateTime": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }

            def variable(name: str) -> str:
                if name not in variables and name != "CurrentDateTime":
                    raise ExpressionError(f"Execution.{name} has no value here")
                return variables.get(name) or now().strftime("%Y-%m-%dT%H:%M:%SZ")

            def read_text(uri: str) -> str:
                try:
                    return read_object(actor, uri)
                except (AwsError, JobFailed) as error:
                    raise ExpressionError(str(error)) from error

            parallelism = parameters.get("ParallelismConfiguration") or pipeline.get("ParallelismConfiguration")
            record: Record = {
                "PipelineArn": pipeline["PipelineArn"],
                "PipelineExecutionArn": arn,
                "PipelineExecutionDisplayName": parameters.get("PipelineExecutionDisplayName")
                or f"execution-{int(started.timestamp() * 1000)}",
                "PipelineExecutionDescription": parameters.get("PipelineExecutionDescription"),
                "PipelineExecutionStatus": "Executing",
                "CreationTime": started,
                "LastModifiedTime": started,
                "CreatedBy": {},
                "LastModifiedBy": {},
                "ParallelismConfiguration": parallelism,
                "SelectiveExecutionConfig": selective,
                "RoleArn": role,
            }
            shown = [{"Name": name, "Value": as_text(value)} for name, value in values.items()]
            limit = (parallelism or {}).get("MaxParallelExecutionSteps") or len(plan.steps)
            execution = Execution(
                actor, record, pipeline["PipelineDefinition"], plan, Scope(values, variable, read_text), limit, shown
            )
            if source:
                execution.reuse(source, reused)
            executor.executions[arn] = execution
            pipeline["LastRunTime"] = started
            answered[call.account, parameters["ClientRequestToken"]] = arn, fingerprint(parameters)
            execution.thread = threading.Thread(
                target=executor.run, args=(execution,), name=f"execution-{execution.id}", daemon=True
            )
            execution.thread.start()
            return {"PipelineExecutionArn": arn}

    @operation("DescribePipelineExecution")
    def describe_pipeline_execution(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return dict(find_execution(call, parameters).record)

    @operation("ListPipelineExecutions")
    def list_pipeline_executions(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        arn = find(call, parameters)["PipelineArn"]
        records = [
            {
                **execution.record,
                "StartTime": execution.record["CreationTime"],
                "PipelineExecutionFailureReason": execution.record.get("FailureReason"),
            }
            for execution in list(executor.executions.values())
            if execution.record["PipelineArn"] == arn
        ]
        found, more = page(records, parameters, name="PipelineExecutionDisplayName")
        return {"PipelineExecutionSummaries": found, **more}

    @operation("ListPipelineExecutionSteps")
    def list_pipeline_execution_steps(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        execution = find_execution(call, parameters)
        with execution.changed:
            records = [dict(record) for record in execution.steps.values()]
        found, more = page(records, {**parameters, "SortBy": "StartTime"}, name="StepName")
        return {"PipelineExecutionSteps": found, **more}

    @operation("ListPipelineParametersForExecution")
    def list_pipeline_parameters(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        records = [
            {**item, "CreationTime": index} for index, item in enumerate(find_execution(call, parameters).parameters)
        ]
        found, more = page(records, {"MaxResults": 100, **parameters}, name="Name", order="Ascending")
        return {"PipelineParameters": found, **more}

    @operation("DescribePipelineDefinitionForExecution")
    def describe_definition(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        execution = find_execution(call, parameters)
        return {"PipelineDefinition": execution.definition, "CreationTime": execution.record["CreationTime"]}

    @operation("StopPipelineExecution")
    def stop_pipeline_execution(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        execution = find_execution(call, parameters)
        with execution.changed:
            status = execution.record["PipelineExecutionStatus"]
            if status not in ("Executing", "Stopping"):
                raise invalid(f"Pipeline execution {execution.arn} is in status {status} and cannot be stopped")
            execution.record["PipelineExecutionStatus"] = "Stopping"
            execution.end()
        return {"PipelineExecutionArn": execution.arn}
