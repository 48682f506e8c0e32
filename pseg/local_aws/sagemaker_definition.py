"""Pipeline definitions: read, checked, and put in order before anything is stored.

Comes in: the JSON text of CreatePipeline (schema 2020-12-01). Goes out: a Plan. Refused, each by name: step types and
keys that the embedded AWS does not run, arguments that the API of the step would not take, unknown references, cycles.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter
from typing import Any

from botocore.validate import ParamValidator
from moto.core.utils import get_service_model

from pseg.local_aws.sagemaker_expressions import (
    COMPARISONS,
    EXECUTION_VARIABLES,
    ExpressionError,
    is_expression,
    references,
)
from pseg.local_aws.sagemaker_records import invalid, refuse
from pseg.local_aws.wire import AwsError

MAX_STEPS = 50  # commonly quoted quota, not verified
STEP_NAME = re.compile(r"[A-Za-z0-9\-_]{1,64}")
TOP_KEYS = frozenset(["Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps"])
STEP_KEYS = frozenset(["Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description"]) | frozenset(
    ["CacheConfig", "RetryPolicies", "PropertyFiles"]
)
STEP_FAULTS = frozenset({"Step.SERVICE_FAULT", "Step.THROTTLING"})
JOB_FAULTS = frozenset({"SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT"})
PARAMETER_TYPES: dict[str, tuple[type, ...]] = {
    "String": (str,),
    "Integer": (int,),
    "Float": (float, int),
    "Boolean": (bool,),
}
PLACEHOLDERS: dict[str, Any] = {"boolean": True, "timestamp": 0, "blob": b""}
DURATION = re.compile(r"P?(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    """One type of step that calls an operation of SageMaker."""

    create: str
    describe: str
    name: str
    arn: str
    metadata: str
    cache_keys: tuple[str, ...] = ()  # AWS: default cache key attributes by pipeline step type

    @property
    def is_job(self) -> bool:
        """Jobs run for a while and can be cached; the others are done when the call returns."""
        return bool(self.cache_keys)


KINDS = {
    "Processing": Kind(
        "CreateProcessingJob",
        "DescribeProcessingJob",
        "ProcessingJobName",
        "ProcessingJobArn",
        "ProcessingJob",
        ("AppSpecification", "Environment", "ProcessingInputs"),
    ),
    "Training": Kind(
        "CreateTrainingJob",
        "DescribeTrainingJob",
        "TrainingJobName",
        "TrainingJobArn",
        "TrainingJob",
        ("AlgorithmSpecification", "CheckpointConfig", "Environment", "HyperParameters", "InputDataConfig"),
    ),
    "Transform": Kind(
        "CreateTransformJob",
        "DescribeTransformJob",
        "TransformJobName",
        "TransformJobArn",
        "TransformJob",
        ("DataProcessing", "Environment", "ModelName", "TransformInput"),
    ),
    "Model": Kind("CreateModel", "DescribeModel", "ModelName", "ModelArn", "Model"),
    "RegisterModel": Kind("CreateModelPackage", "DescribeModelPackage", "", "ModelPackageArn", "RegisterModel"),
}


@dataclass(frozen=True)
class Step:
    """One step: its JSON, what must have succeeded before it, and the branch of a condition it stands in."""

    name: str
    type: str
    arguments: dict[str, Any]
    source: dict[str, Any]
    needs: frozenset[str]
    branch: tuple[str, bool] | None

    @property
    def after(self) -> frozenset[str]:
        """Steps that come before it: those it needs, and the condition whose branch it stands in."""
        return self.needs | ({self.branch[0]} if self.branch else frozenset())


@dataclass(frozen=True)
class Plan:
    """A checked definition."""

    parameters: dict[str, dict[str, Any]]
    steps: dict[str, Step]


def read_definition(text: str) -> Plan:
    """Read and check a definition.

    Raises
    ------
    AwsError
        ``ValidationException`` that names the step and what is wrong with it.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise invalid(f"Pipeline definition is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("Version") != "2020-12-01":
        raise invalid("Pipeline definition must have Version 2020-12-01")
    for key in document:
        if key not in TOP_KEYS or (key == "MlflowConfig" and document[key]):
            raise invalid(f"the embedded AWS does not provide {key} in a pipeline definition")
    parameters = {item.get("Name", ""): item for item in document.get("Parameters", [])}
    for name, parameter in parameters.items():
        check_parameter(name, parameter)
    if len(parameters) != len(document.get("Parameters", [])):
        raise invalid("Pipeline parameter names must be unique")
    steps: dict[str, Step] = {}
    try:
        collect(document.get("Steps") or [], None, steps)
        if not 1 <= len(steps) <= MAX_STEPS:
            raise invalid(f"A pipeline has 1 to {MAX_STEPS} steps, this one {len(steps)}")
        for step in steps.values():
            check_step(step, steps, parameters)
    except ExpressionError as error:
        raise invalid(f"Pipeline definition: {error}") from error
    try:
        TopologicalSorter({step.name: step.after for step in steps.values()}).prepare()
    except CycleError as error:
        raise invalid(f"Pipeline steps form a cycle: {' -> '.join(error.args[1])}") from error
    return Plan(parameters, steps)


def check_parameter(name: str, parameter: dict[str, Any]) -> None:
    """Check one parameter's declaration."""
    if not STEP_NAME.fullmatch(name) or parameter.get("Type") not in PARAMETER_TYPES:
        raise invalid(f"Pipeline parameter {name!r}: name or type {parameter.get('Type')!r} is not valid")
    default = parameter.get("DefaultValue")
    if default is not None and not (
        isinstance(default, PARAMETER_TYPES[parameter["Type"]])
        and (parameter["Type"] == "Boolean" or not isinstance(default, bool))
        and default in (parameter.get("EnumValues") or [default])
    ):
        raise invalid(f"Pipeline parameter {name}: default {default!r} is not a {parameter['Type']} of its EnumValues")


def collect(items: list[dict[str, Any]], branch: tuple[str, bool] | None, steps: dict[str, Step]) -> None:
    """Gather all steps, those inside conditions too."""
    for item in items:
        name, kind = item.get("Name", ""), item.get("Type", "")
        if not STEP_NAME.fullmatch(name):
            raise invalid(f"Step name {name!r} does not match {STEP_NAME.pattern}")
        if name in steps:
            raise invalid(f"Step names must be unique; {name} is used twice")
        if kind not in KINDS and kind not in ("Condition", "Fail"):
            raise invalid(f"the embedded AWS does not provide the step type {kind} (step {name})")
        if unknown := sorted(set(item) - STEP_KEYS):
            raise invalid(f"the embedded AWS does not provide {', '.join(unknown)} (step {name})")
        arguments = item.get("Arguments") or {}
        own = arguments.get("Conditions") if kind == "Condition" else arguments
        used = {str(path[1]) for path in references(own) if path[0] == "Steps"} | set(item.get("DependsOn") or [])
        steps[name] = Step(name, kind, arguments, item, frozenset(used), branch)
        if kind == "Condition":
            collect(arguments.get("IfSteps") or [], (name, True), steps)
            collect(arguments.get("ElseSteps") or [], (name, False), steps)


def check_step(step: Step, steps: dict[str, Step], parameters: dict[str, dict[str, Any]]) -> None:
    """Check one step: what it refers to, its arguments, its policies."""
    if unknown := sorted(step.needs - set(steps)):
        raise invalid(f"Step {step.name} refers to unknown steps: {', '.join(unknown)}")
    own = step.arguments.get("Conditions") if step.type == "Condition" else step.arguments
    for path in references(own):
        check_reference(step, path, steps, parameters)
    if step.type in KINDS:
        check_arguments(step)
    elif step.type == "Fail" and set(step.arguments) != {"ErrorMessage"}:
        raise invalid(f"Step {step.name}: a Fail step has exactly one argument, ErrorMessage")
    elif step.type == "Condition":
        if unknown := sorted(set(step.arguments) - {"Conditions", "IfSteps", "ElseSteps"}):
            raise invalid(f"Step {step.name}: unknown arguments {', '.join(unknown)}")
        if not step.arguments.get("Conditions"):
            raise invalid(f"Step {step.name}: Conditions is empty")
        for condition in step.arguments["Conditions"]:
            check_condition(step.name, condition)
    check_policies(step)
    outputs = step.arguments.get("ProcessingOutputConfig", {}).get("Outputs", []) if step.type == "Processing" else []
    for item in step.source.get("PropertyFiles") or []:
        if set(item) != {"PropertyFileName", "OutputName", "FilePath"}:
            raise invalid(f"Step {step.name}: a property file has PropertyFileName, OutputName and FilePath")
        if item["OutputName"] not in [output.get("OutputName") for output in outputs]:
            raise invalid(f"Step {step.name}: property file {item['PropertyFileName']} names no output of it")


def check_reference(step: Step, path: list[str | int], steps: dict[str, Step], parameters: dict[str, Any]) -> None:
    """Check what one ``Get`` points to: a parameter, a known variable, a member of a step's Describe answer."""
    root, name, *rest = [*path, "", ""][: max(len(path), 2)]
    shown = ".".join(map(str, path))
    if root == "Parameters" and name in parameters and not rest:
        return
    if root == "Execution" and name in EXECUTION_VARIABLES and not rest:
        return
    if root != "Steps" or name not in steps or not rest:
        raise invalid(f"Step {step.name} refers to {shown}, which the pipeline does not define")
    target = steps[str(name)]
    if rest[0] == "PropertyFiles":
        known = [item["PropertyFileName"] for item in target.source.get("PropertyFiles") or []]
        if len(rest) != 2 or rest[1] not in known:
            raise invalid(f"Step {step.name} refers to {shown}; step {name} has the property files {known}")
        return
    if target.type == "Condition" and rest == ["Outcome"]:
        return
    shape: Any = (
        get_service_model("sagemaker").operation_model(KINDS[target.type].describe).output_shape
        if target.type in KINDS
        else None
    )
    for part in rest:
        kind = shape.type_name if shape is not None else ""
        shape = (
            shape.members.get(part)
            if kind == "structure"
            else shape.member
            if kind == "list"
            else shape.value
            if kind == "map"
            else None
        )
        if shape is None:
            raise invalid(f"Step {step.name} refers to {shown}; a {target.type} step has no property {part}")


def check_arguments(step: Step) -> None:
    """Hold a step's arguments against the request of its operation; expressions count as values of the right type."""
    kind = KINDS[step.type]
    shape = get_service_model("sagemaker").operation_model(kind.create).input_shape
    request = substitute(shape, {**({kind.name: "name"} if kind.name else {}), **step.arguments})
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise invalid(f"Step {step.name}: arguments of {kind.create} are not valid: {report.generate_report()}")
    try:
        refuse(kind.create, step.arguments)
    except AwsError as error:
        raise invalid(f"Step {step.name}: {error.message}") from error


def substitute(shape: Any, value: Any) -> Any:
    """Replace expressions by values of the type that stands there; anything else stays for the validator to judge."""
    kind = shape.type_name
    if is_expression(value):
        least = shape.metadata.get("min", 1)
        numbers = {"string": "x" * max(1, least), "integer": max(1, least), "long": max(1, least)}
        return {**numbers, **PLACEHOLDERS, "float": 1.0, "double": 1.0}.get(kind, value)
    if kind == "structure" and isinstance(value, dict):
        return {
            key: substitute(shape.members[key], item) if key in shape.members else item for key, item in value.items()
        }
    if kind == "map" and isinstance(value, dict):
        return {key: substitute(shape.value, item) for key, item in value.items()}
    if kind == "list" and isinstance(value, list):
        return [substitute(shape.member, item) for item in value]
    return value


def check_condition(step: str, condition: dict[str, Any]) -> None:
    """Check the form of one condition."""
    kind = condition.get("Type")
    if kind in COMPARISONS or kind == "Equals":
        expected = {"LeftValue", "RightValue"}
    elif kind in ("In", "Not", "Or"):
        expected = {"In": {"QueryValue", "Values"}, "Not": {"Condition"}, "Or": {"Conditions"}}[kind]
    else:
        raise invalid(f"Step {step}: unknown condition type {kind}")
    if set(condition) != expected | {"Type"}:
        raise invalid(f"Step {step}: a condition {kind} has {', '.join(sorted(expected))}")
    for inner in [condition["Condition"]] if kind == "Not" else condition["Conditions"] if kind == "Or" else []:
        check_condition(step, inner)


def check_policies(step: Step) -> None:
    """Check RetryPolicies and CacheConfig."""
    allowed = STEP_FAULTS | (JOB_FAULTS if step.type in KINDS and KINDS[step.type].is_job else frozenset())
    for policy in step.source.get("RetryPolicies") or []:
        kinds = exception_types(policy)
        if step.type not in KINDS or not kinds or kinds - allowed:
            raise invalid(
                f"Step {step.name}: a {step.type} step cannot be retried on {', '.join(sorted(kinds)) or 'nothing'}"
            )
        if ("MaxAttempts" in policy) == ("ExpireAfterMin" in policy):
            raise invalid(f"Step {step.name}: a retry policy has either MaxAttempts or ExpireAfterMin")
        if not 1 <= policy.get("MaxAttempts", 1) <= 20 or not 0 <= policy.get("ExpireAfterMin", 0) <= 14_400:
            raise invalid(f"Step {step.name}: MaxAttempts is 1 to 20, ExpireAfterMin 0 to 14400")
    if step.source.get("CacheConfig"):
        if step.type not in KINDS or not KINDS[step.type].is_job:
            raise invalid(f"Step {step.name}: a {step.type} step has no CacheConfig")
        expiry(step)


def exception_types(policy: dict[str, Any]) -> frozenset[str]:
    """Kinds of failure that a retry policy is for (one text, or a list as the SDK writes it)."""
    kinds = policy.get("ExceptionType") or []
    return frozenset([kinds] if isinstance(kinds, str) else kinds)


def expiry(step: Step) -> timedelta | None:
    """How old a cached run may be; None if there is no limit. A month counts 30 days, a year 365."""
    text = step.source["CacheConfig"].get("ExpireAfter")
    if text is None:
        return None
    match = DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise invalid(f"Step {step.name}: ExpireAfter {text!r} is not an ISO 8601 duration")
    years, months, weeks, days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(days=365 * years + 30 * months + 7 * weeks + days, hours=hours, minutes=minutes)
