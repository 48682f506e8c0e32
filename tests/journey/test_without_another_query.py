"""A query that is paid for once serves again: from a step on, or as a result that another execution reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.journey.conftest import Pseg
from tests.worlds import write_project

TEMPLATE = """SELECT DISTINCT m.customer_key, p.affinity, p.band, p.attribute_date
FROM match_keys m INNER JOIN partner_attributes p ON m.hashed_id = p.hashed_id
WHERE p.affinity >= -100
"""


def client(exports: dict[str, str], service: str) -> Any:
    """A client of the brand's on the embedded AWS."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=exports["AWS_ENDPOINT_URL"],
        aws_access_key_id=exports["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=exports["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )


def queries(exports: dict[str, str], collaboration: str) -> list[dict[str, Any]]:
    """List the protected queries that were run in a collaboration."""
    rooms = client(exports, "cleanrooms")
    (membership,) = (
        one["id"]
        for one in rooms.list_memberships()["membershipSummaries"]
        if one["collaborationName"] == collaboration
    )
    found: list[dict[str, Any]] = rooms.list_protected_queries(membershipIdentifier=membership)["protectedQueries"]
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, pseg: Pseg) -> Path:
    """A project that was run once."""
    folder = write_project(tmp_path_factory.mktemp("again") / "again", name='name = "again"')
    done = pseg("run", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def start(pseg: Pseg, project: Path, *options: str) -> dict[str, Any]:
    """Start the train pipeline and return what it says."""
    done = pseg("pipeline", "start", "again-train", "--project", str(project), "--json", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_from_a_step_on_runs_that_and_what_follows_and_no_query(
    project: Path, pseg: Pseg, exports: dict[str, str]
) -> None:
    before = (project / "output" / "segments" / "likely_buyers" / "part-0000.csv").read_bytes()
    asked = len(queries(exports, "again"))
    answer = start(pseg, project, "--from-step", "TrainBuy")
    assert len(queries(exports, "again")) == asked
    steps = client(exports, "sagemaker").list_pipeline_execution_steps(PipelineExecutionArn=answer["execution"])
    ran = {step["StepName"] for step in steps["PipelineExecutionSteps"] if "SelectiveExecutionResult" not in step}
    assert {"TrainBuy", "EvaluateBuy", "PublishBuy", "Report"} <= ran
    assert not {"QueryCleanRooms", "BuildFeatures"} & ran
    assert (project / "output" / "segments" / "likely_buyers" / "part-0000.csv").read_bytes() == before
    manifest = json.loads((project / "output" / "manifest.json").read_text())
    assert manifest["run"]["execution_id"] == answer["execution"].rsplit("/", 1)[-1]
    unknown = pseg("pipeline", "start", "again-train", "--project", str(project), "--from-step", "TrainBy")
    assert unknown.returncode == 2
    assert "there is no step TrainBy" in unknown.stderr


def test_from_a_step_on_goes_back_to_the_execution_that_has_the_results(project: Path, pseg: Pseg) -> None:
    done = pseg("pipeline", "start", "again-train", "--project", str(project), "--from-step", "PublishBuy")
    assert done.returncode == 0, done.stderr
    assert "goes on from execution" in done.stderr
    assert "later ones lack BuildFeatures" in done.stderr


@pytest.mark.parametrize(
    ("options", "step"),
    [
        (("--from-step", "PublishBuy", "--as-of", "2026-05-01"), "BuildFeatures"),
        (("--from-step", "BuildFeatures", "--query-result-uri", "s3://pseg-again-data/other/"), "QueryCleanRooms"),
    ],
    ids=["date", "query result"],
)
def test_parameter_of_a_step_that_is_not_repeated_can_not_change(
    project: Path, pseg: Pseg, options: tuple[str, ...], step: str
) -> None:
    done = pseg("pipeline", "start", "again-train", "--project", str(project), "--no-wait", *options)
    assert done.returncode == 2
    assert f"can't change in a run that begins after {step}" in done.stderr
    assert f"--from-step {step}" in done.stderr


def test_model_that_is_named_scores_and_its_scores_are_published_under_no_other_name(
    project: Path, pseg: Pseg, exports: dict[str, str]
) -> None:
    packages = client(exports, "sagemaker").list_model_packages(
        ModelPackageGroupName="again--buy", SortOrder="Ascending"
    )
    first = packages["ModelPackageSummaryList"][0]["ModelPackageArn"]
    for version in ("1", "2"):
        assert pseg("model", "approve", "buy", "--version", version, "--project", str(project)).returncode == 0
    score = ("pipeline", "start", "again-score", "--project", str(project))
    done = pseg(*score, "--set", f"BuyModelPackageArn={first}")
    assert done.returncode == 0, done.stderr
    assert first in done.stdout
    published = pseg(*score, "--from-step", "PublishBuy")
    assert published.returncode == 2
    assert "BuyModelPackageArn can't change in a run that begins after CreateModelBuy" in published.stderr


def test_goal_that_the_project_does_not_have_is_wrong_use(project: Path, pseg: Pseg) -> None:
    done = pseg("model", "show", "sell", "--project", str(project))
    assert done.returncode == 2
    assert "again has no goal sell" in done.stderr
    assert "one of: buy" in done.stderr


def test_result_that_is_paid_for_is_read_instead_of_a_new_query(
    project: Path, pseg: Pseg, exports: dict[str, str]
) -> None:
    before = (project / "output" / "segments" / "likely_buyers" / "part-0000.csv").read_bytes()
    execution = json.loads((project / "output" / "manifest.json").read_text())["run"]["execution_id"]
    first = client(exports, "s3").list_objects_v2(Bucket="pseg-again-data", Prefix="again/runs/")
    execution = next(item["Key"].split("/")[2] for item in first["Contents"] if "/query_result/" in item["Key"])
    asked = len(queries(exports, "again"))
    uri = f"s3://pseg-again-data/again/runs/{execution}/query_result/"
    start(pseg, project, "--query-result-uri", uri)
    assert len(queries(exports, "again")) == asked
    assert (project / "output" / "segments" / "likely_buyers" / "part-0000.csv").read_bytes() == before
    nowhere = pseg(
        *("pipeline", "start", "again-train", "--project", str(project)),
        *("--query-result-uri", "s3://pseg-again-data/again/runs/nothing/query_result/"),
    )
    assert nowhere.returncode == 1
    assert "there is no query result" in nowhere.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--set", "Nope=1"), "again-train has no parameter Nope"),
        (("--set", "ProcessingInstanceCount=two"), "ProcessingInstanceCount = 'two' is no count"),
        (("--set", "ProcessingInstanceCount=0"), "ProcessingInstanceCount = '0' is no count"),
        (("--query-result-uri", "nonsense"), "'nonsense' is not an s3:// address"),
    ],
    ids=["unknown", "no number", "nobody", "no address"],
)
def test_parameter_that_can_not_be_is_refused_before_anything_starts(
    project: Path, pseg: Pseg, options: tuple[str, str], words: str
) -> None:
    done = pseg("pipeline", "start", "again-train", "--project", str(project), "--no-wait", *options)
    assert done.returncode == 2
    assert words in done.stderr


def test_custom_rule_runs_the_template_that_the_partner_allowed(
    tmp_path: Path, pseg: Pseg, exports: dict[str, str]
) -> None:
    query = '[query]\nrule = "CUSTOM"\ntemplate = "match_attributes"\ncolumns = ["affinity", "band", "attribute_date"]'
    project = write_project(tmp_path / "custom", name='name = "custom"', query=query)
    missing = pseg("run", str(project))
    assert missing.returncode == 2
    assert "match_attributes.sql" in missing.stderr
    (project / "match_attributes.sql").write_text(TEMPLATE)
    done = pseg("run", str(project), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads((project / "output" / "manifest.json").read_text())["run"]["facts"]
    assert facts["query"]["rule"] == "CUSTOM"
    assert facts["matched"] > 300
    rooms = client(exports, "cleanrooms")
    (query_run,) = queries(exports, "custom")
    details = rooms.get_protected_query(
        membershipIdentifier=query_run["membershipId"], protectedQueryIdentifier=query_run["id"]
    )["protectedQuery"]
    assert details["sqlParameters"]["analysisTemplateArn"].rsplit("/", 1)[-1]
    assert "queryString" not in details["sqlParameters"]
