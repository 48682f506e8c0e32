"""The two pipelines as graphs: which step runs when. What each step is stands in ``builder``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sagemaker.core.workflow.conditions import ConditionEquals
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import Parameter, ParameterString
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import Step

from contracts.errors import SettingsError
from contracts.naming import camel, package_parameter
from contracts.run_settings import Goal
from pipelines.builder import Builder, folder, output_of
from pipelines.steps import RequestStep

MAX_STEPS = 50  # commonly quoted quota of one pipeline; AWS states it in Service Quotas only


@dataclass(frozen=True)
class GoalSteps:
    """One goal's steps in the train pipeline, and what comes after all goals needs of them.

    ``publish`` is the last step, ``evaluation`` where the evaluation lies, ``is_passed`` 1 if the gate is passed.
    """

    steps: list[Step]
    publish: RequestStep
    evaluation: Join
    is_passed: JsonGet


def train_goal(builder: Builder, goal: Goal, features: RequestStep) -> GoalSteps:
    """Train, evaluate, gate, score and publish one goal.

    Only registration stands behind the gate's condition: a pipeline can't come together again after a condition,
    and the report comes after all goals. Publish reads the same evaluation and writes nothing if a check failed.
    """
    train = builder.train(goal, features)
    evaluate, file = builder.evaluate(goal, features, train)
    artifact = train.properties.ModelArtifacts.S3ModelArtifacts
    model = builder.create_model(goal, builder.container(artifact), evaluate)
    score = builder.score(goal, model, features)
    publish = builder.publish(goal, score, features, "candidate", artifact, evaluate)
    is_passed = JsonGet(step_name=evaluate.name, property_file=file, json_path="gate.is_passed")
    gate = ConditionStep(
        name=f"Gate{camel(goal.name)}",
        conditions=[ConditionEquals(left=is_passed, right=1)],
        if_steps=[builder.register(goal, train, evaluate)],
        else_steps=[],
    )
    evaluation = folder(output_of(evaluate, "evaluation"))
    return GoalSteps([train, evaluate, gate, model, score, publish], publish, evaluation, is_passed)


def build_train_pipeline(builder: Builder, session: Any) -> Pipeline:
    """Wire query, features, and for each goal training to candidate segments; then the report, and the last word.

    A goal that fails its gate stops neither the others nor the report; the last step fails the run and lists them.
    """
    query = builder.query() if builder.settings.query else None
    features = builder.features(query, "train")
    goals = {goal.name: train_goal(builder, goal, features) for goal in builder.settings.goals}
    evaluations = {name: goal.evaluation for name, goal in goals.items()}
    report = builder.report("train", features, evaluations, [goal.publish for goal in goals.values()])
    last = ConditionStep(
        name="AllGoals",
        conditions=[ConditionEquals(left=goal.is_passed, right=1) for goal in goals.values()],
        if_steps=[],
        else_steps=[FailStep("FailedGoals", error_message=Join(on="", values=[report.properties.ExitMessage]))],
        depends_on=[report],
    )
    own = [step for goal in goals.values() for step in goal.steps]
    steps: list[Step] = [*([query] if query else []), features, *own, report, last]
    return make_pipeline(f"{builder.settings.project}-train", builder.parameters("train"), steps, session)


def build_score_pipeline(builder: Builder, session: Any) -> Pipeline:
    """Wire query, features, and for each goal scoring with exactly the model package that the caller names."""
    query = builder.query() if builder.settings.query else None
    features = builder.features(query, "score")
    steps: list[Step] = [*([query] if query else []), features]
    parameters = builder.parameters("score")
    publishes = {}
    for goal in builder.settings.goals:
        package = ParameterString(package_parameter(goal.name))
        parameters.append(package)
        model = builder.create_model(goal, {"ModelPackageName": package}, features)
        score = builder.score(goal, model, features)
        publishes[goal.name] = builder.publish(goal, score, features, "approved", package)
        steps += [model, score, publishes[goal.name]]
    evaluations = {name: folder(output_of(publish, "evaluation")) for name, publish in publishes.items()}
    steps.append(builder.report("score", features, evaluations, [*publishes.values()]))
    return make_pipeline(f"{builder.settings.project}-score", parameters, steps, session)


def count_steps(steps: list[Step]) -> int:
    """Count the steps of a pipeline, those behind conditions too."""
    return sum(
        1 + (count_steps([*step.if_steps, *step.else_steps]) if isinstance(step, ConditionStep) else 0)
        for step in steps
    )


def make_pipeline(name: str, parameters: list[Parameter], steps: list[Step], session: Any) -> Pipeline:
    """Make the SDK's own pipeline; without an experiment, whose creation would need rights that nothing here uses.

    Raises
    ------
    SettingsError
        If there are more steps than a pipeline may have.
    """
    if (count := count_steps(steps)) > MAX_STEPS:
        raise SettingsError(
            f"the pipeline {name} would have {count} steps, {MAX_STEPS} are allowed",
            where="project.toml [[goals]]",
            why="each goal of a train pipeline takes seven",
            fix="split the goals over two projects",
        )
    return Pipeline(
        name=name, parameters=parameters, steps=steps, sagemaker_session=session, pipeline_experiment_config=None
    )
