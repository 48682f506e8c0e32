"""What a run would cost: prices times sizes, before it runs, and a budget that stops it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from contracts.errors import SettingsError
from contracts.prices import CRPU_PER_WORKER, instance_hour, query_dollars
from pseg.estimate import Estimate, Line, Size, count_rows, embedded_cost, estimate, refuse_over_budget
from pseg.project import Project, read_project
from tests.worlds import write_project

SIZE = Size(customers=1.0, source_rows=10.0, partner_rows=1.0)
NOWHERE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


def project(folder: Path, **changes: str) -> Project:
    return read_project(write_project(folder / "spring", customers=30, **changes))


def line(found: Estimate, name: str) -> Line:
    return next(one for one in found.lines if one.name == name)


@pytest.mark.parametrize(
    ("worker_type", "workers", "seconds", "dollars"),
    [
        ("CR.1X", 16, 1, 32 / 60 * 2),
        ("CR.1X", 16, 60, 32 / 60 * 2),
        ("CR.1X", 16, 3600, 64.0),
        ("CR.1X", 4, 90, 8 * 90 / 3600 * 2),
        ("CR.4X", 2, 3600, 32.0),
        ("CR.8X", 2, 3600, 64.0),
    ],
    ids=["minimum", "a minute", "an hour", "few", "larger", "largest"],
)
def test_query_costs_its_workers_by_time_and_a_minute_at_least(
    worker_type: str, workers: int, seconds: float, dollars: float
) -> None:
    assert query_dollars(worker_type, workers, seconds) == pytest.approx(dollars)
    assert query_dollars(worker_type, workers, seconds, has_differential_privacy=True) == pytest.approx(2 * dollars)


def test_embedded_aws_bills_by_the_same_sizes() -> None:
    from pseg.local_aws.clean_rooms_engine import CRPU_PER_WORKER as EMBEDDED

    assert EMBEDDED == CRPU_PER_WORKER


def test_small_query_costs_what_the_minimum_says(tmp_path: Path) -> None:
    found = estimate(project(tmp_path), Size(0.001, 0.01, 0.001))
    assert line(found, "Clean Rooms").dollars == pytest.approx((1.07, 1.60, 4.27), abs=0.01)
    assert found.cheaper is not None
    assert found.cheaper.dollars == pytest.approx((0.27, 0.40, 1.07), abs=0.01)


def test_total_is_the_sum_and_every_range_is_in_order(tmp_path: Path) -> None:
    found = estimate(project(tmp_path), SIZE)
    assert found.total == pytest.approx([sum(one.dollars[end] for one in found.lines) for end in range(3)])
    for one in found.lines:
        assert 0 < one.dollars[0] < one.dollars[1] < one.dollars[2]


@pytest.mark.parametrize("part", ["customers", "source_rows", "partner_rows"])
def test_more_rows_never_cost_less(tmp_path: Path, part: str) -> None:
    opened = project(tmp_path)
    more = replace(SIZE, **{part: 20.0})
    assert all(high > low for low, high in zip(estimate(opened, SIZE).total, estimate(opened, more).total, strict=True))


def test_second_goal_is_trained_and_scored_but_asks_no_second_query(tmp_path: Path) -> None:
    one = project(tmp_path / "one")
    goal = '\n[[goals]]\nname = "lapse"\nevent = "purchase"\nhorizon_days = 90\nis_absent = true'
    two = project(tmp_path / "two", segments=goal)
    first, both = estimate(one, SIZE), estimate(two, SIZE)
    assert line(both, "Training").dollars == pytest.approx([2 * end for end in line(first, "Training").dollars])
    assert line(both, "Score").dollars == pytest.approx([2 * end for end in line(first, "Score").dollars])
    assert line(both, "Clean Rooms") == line(first, "Clean Rooms")


def test_score_run_trains_nothing_and_costs_less(tmp_path: Path) -> None:
    opened = project(tmp_path)
    score = estimate(opened, SIZE, "score")
    assert "Training" not in [one.name for one in score.lines]
    assert score.total[1] < estimate(opened, SIZE).total[1]


def test_paid_result_and_missing_partner_cost_no_query(tmp_path: Path) -> None:
    opened = project(tmp_path / "with")
    alone = project(tmp_path / "without", partner="", query="")
    for found in (estimate(opened, SIZE, has_query=False), estimate(alone, SIZE)):
        assert [one.name for one in found.lines] == ["Processing", "Training", "Score", "S3"]
        assert found.cheaper is None


def test_dearer_instance_costs_more_and_one_without_a_price_is_refused(tmp_path: Path) -> None:
    plain = estimate(project(tmp_path / "one"), SIZE)
    large = estimate(project(tmp_path / "two", aws='[aws]\ntraining_instance = "ml.m5.4xlarge"'), SIZE)
    ratio = instance_hour("ml.m5.4xlarge") / instance_hour("ml.m5.xlarge")
    assert line(large, "Training").dollars[1] == pytest.approx(ratio * line(plain, "Training").dollars[1])
    with pytest.raises(SettingsError, match=r"no price of ml\.p9\.huge"):
        estimate(project(tmp_path / "three", aws='[aws]\ntraining_instance = "ml.p9.huge"'), SIZE)


def test_rows_are_counted_in_the_projects_own_files(tmp_path: Path) -> None:
    opened = project(tmp_path)
    rows = {name: pq.read_metadata(opened.location(name)).num_rows for name in ("contacts", "events", "partner")}
    assert count_rows(opened) == Size(rows["contacts"] / 1e6, rows["events"] / 1e6, rows["partner"] / 1e6)
    assert count_rows(opened, 2_000_000) == Size(2.0, 20.0, 2.0)


def test_table_that_is_no_parquet_is_refused_by_key(tmp_path: Path) -> None:
    found = project(tmp_path)
    (found.folder / "data" / "events.parquet").write_text("customer_key,event_time\n")
    with pytest.raises(SettingsError, match=r"tables.events = 'data/events.parquet' is not a Parquet file"):
        count_rows(found)


def test_tables_elsewhere_need_the_number_of_customers(tmp_path: Path) -> None:
    elsewhere = '[tables]\nevents = "s3://lake/events/"\ncontacts = "s3://lake/contacts/"'
    opened = project(tmp_path, tables=elsewhere, partner="")
    with pytest.raises(SettingsError, match="--rows"):
        count_rows(opened)
    assert count_rows(opened, 1_000_000) == Size(1.0, 10.0, 1.0)


def test_budget_stops_what_is_likely_to_cost_more_and_nothing_else(tmp_path: Path) -> None:
    found = Estimate((Line("Clean Rooms", "32 CRPU", (1.0, 5.0, 50.0)),), None)
    refuse_over_budget(found, project(tmp_path / "none"))
    refuse_over_budget(found, project(tmp_path / "enough", budget="[budget]\nmax_dollars = 5.0"))
    with pytest.raises(SettingsError, match=r"about \$5\.00, the budget is \$4\.99") as raised:
        refuse_over_budget(found, project(tmp_path / "short", budget="[budget]\nmax_dollars = 4.99"))
    assert "nothing was started" in raised.value.why


def pseg(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"XDG_STATE_HOME": str(folder), "HOME": str(folder)} | variables
    return subprocess.run(
        [sys.executable, "-m", "pseg", *words],
        cwd=Path(__file__).parents[3],
        env=environment,
        capture_output=True,
        text=True,
    )


def test_run_on_the_embedded_aws_says_that_it_costs_nothing_and_that_the_budget_is_for_aws(tmp_path: Path) -> None:
    assert embedded_cost(project(tmp_path / "none")) == "estimate $0.00 (embedded)"
    said = embedded_cost(project(tmp_path / "small", budget="[budget]\nmax_dollars = 0.01"))
    assert said == "estimate $0.00 (embedded) · [budget] max_dollars = 0.01 stops runs in AWS only"


def test_command_prints_lines_total_and_budget(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "spring", customers=30, budget="[budget]\nmax_dollars = 1.5")
    done = pseg(tmp_path, "estimate", str(folder))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["Clean", "Rooms", "32", "CRPU,", "1-4", "min", "$1.07", "$1.60", "$4.27"]
    assert lines[2].endswith("<- saves 75%")
    assert "budget $1.50, a start stops at it" in lines[-2]
    assert lines[-2].endswith("over budget")
    document = json.loads(pseg(tmp_path, "estimate", str(folder), "--rows", "1000000", "--json").stdout)
    assert document["schema"] == "pseg.estimate/1"
    total = sum(step["likely"] for step in document["steps"])
    assert document["total"]["likely"] == pytest.approx(total, abs=1e-3)


def test_start_over_budget_is_refused_before_anything_is_asked_of_aws(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "spring", customers=30, budget="[budget]\nmax_dollars = 0.5")
    done = pseg(tmp_path, "pipeline", "start", "spring-train", "--project", str(folder), "--yes", "--json", **NOWHERE)
    assert done.returncode == 2, done.stderr
    error = json.loads(done.stdout)["error"]
    assert "the budget is $0.50" in error["what"]
    assert "[budget] max_dollars" in error["where"]


def test_start_says_what_it_is_likely_to_cost_before_it_asks(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "spring", customers=30)
    done = pseg(tmp_path, "pipeline", "start", "spring-train", "--project", str(folder), "--json", **NOWHERE)
    assert done.returncode == 2, done.stderr
    assert "about $1." in json.dumps(json.loads(done.stdout)["error"])


@pytest.mark.parametrize(
    ("options", "is_query"),
    [
        (("--query-result-uri", "none"), True),
        (("--set", "QueryResultUri=s3://bucket/run/query_result/"), False),
        (("--query-result-uri", "s3://bucket/run/query_result/"), False),
        (("--from-step", "TrainBuy"), False),
    ],
    ids=["none means a new one", "by name", "by option", "later step"],
)
def test_start_asks_about_the_query_that_it_would_run_and_no_other(
    tmp_path: Path, options: tuple[str, str], is_query: bool
) -> None:
    folder = write_project(tmp_path / "spring", customers=30)
    start = ("pipeline", "start", "spring-train", "--project", str(folder), "--json")
    done = pseg(tmp_path, *start, *options, **NOWHERE)
    assert done.returncode == 2, done.stderr
    assert ("Clean Rooms query" in json.dumps(json.loads(done.stdout)["error"])) is is_query
