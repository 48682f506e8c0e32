"""project.toml: whatever is wrong with it is an error that names the file and the key."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import SettingsError
from contracts.run_settings import Goal, Segment, Words
from pseg.project import read_project

BASE = {
    "name": 'name = "spring"',
    "as_of": "as_of = 2026-06-30",
    "tables": '[tables]\nevents = "data/events.parquet"\ncontacts = "s3://lake/contacts/"',
    "query": '[query]\ncolumns = ["age", "attribute_date"]',
    "goals": '[[goals]]\nname = "buy"\nevent = "purchase"\nhorizon_days = 90',
    "segments": '[[segments]]\nname = "likely"\ngoal = "buy"\ntop_percent = 10',
}
GOAL, SEGMENT = BASE["goals"], BASE["segments"]


def written(folder: Path, **changes: str) -> Path:
    """Write a project.toml, parts of it changed."""
    (folder / "project.toml").write_text("\n".join((BASE | changes).values()) + "\n", encoding="utf-8")
    return folder


def test_project_becomes_run_settings_with_defaults_filled_in(tmp_path: Path) -> None:
    project = read_project(written(tmp_path))
    assert project.as_of == date(2026, 6, 30)
    assert project.folder == tmp_path
    settings = project.run_settings()
    assert settings.goals == (Goal("buy", "purchase", 90, 0.60, words=Words(title="Buy within 90 days")),)
    assert settings.segments == (Segment("likely", "buy", 10.0),)
    assert (settings.data_bucket, settings.results_bucket) == ("pseg-spring-data", "pseg-spring-results")
    assert settings.query is not None
    assert (settings.query.collaboration, settings.query.partner_columns) == ("spring", ("age", "attribute_date"))
    assert settings.to_json() == read_project(tmp_path / "project.toml").run_settings().to_json()


def test_what_is_set_wins_over_every_default(tmp_path: Path) -> None:
    query = BASE["query"] + '\ncollaboration = "shared"\nmatch_keys_table = "keys"\npartner_table = "people"'
    query += "\npartner_columns_are_static = true\nmax_duplicate_percent = 7.5\ndeadline_seconds = 120"
    query += '\nworker_type = "CR.4X"\nworkers = 3'
    aws = '[aws]\nregion = "eu-central-1"\ndata_bucket = "mine"\nresults_bucket = "theirs"'
    training = "[training]\nsnapshots = 3\nseed = 11"
    settings = read_project(written(tmp_path, query=query, aws=aws, training=training)).run_settings()
    assert settings.query is not None
    assert (settings.query.collaboration, settings.query.match_keys_table) == ("shared", "keys")
    assert (settings.query.partner_table, settings.query.deadline_seconds) == ("people", 120)
    assert (settings.query.worker_type, settings.query.workers) == ("CR.4X", 3)
    assert (settings.partner_columns_are_static, settings.max_duplicate_percent) == (True, 7.5)
    assert (settings.region, settings.data_bucket, settings.results_bucket) == ("eu-central-1", "mine", "theirs")
    assert (settings.training_snapshots, settings.seed) == (3, 11)


def test_budget_is_none_unless_set_and_is_money(tmp_path: Path) -> None:
    assert read_project(written(tmp_path)).budget.max_dollars is None
    assert read_project(written(tmp_path, budget="[budget]\nmax_dollars = 12.5")).budget.max_dollars == 12.5


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"budget": "[budget]\nmax_dollars = 0.0"}, "budget.max_dollars"),
        ({"budget": "[budget]\nmax_euros = 1.0"}, "budget.max_euros"),
        ({"more": "[colour]"}, "colour"),
        ({"tables": BASE["tables"] + '\ncolour = "red"'}, "tables.colour"),
        ({"goals": GOAL + '\ncolour = "red"'}, "goals.0.colour"),
        ({"aws": '[aws]\ncolour = "red"'}, "aws.colour"),
        ({"name": ""}, "name"),
        ({"tables": '[tables]\nevents = "e.parquet"'}, "tables"),
        ({"goals": ""}, "goals"),
        ({"segments": "segments = []", "tables": "", "query": "", "goals": ""}, "tables"),
        ({"goals": GOAL.replace("90", '"90"')}, "goals.0.horizon_days"),
        ({"goals": GOAL.replace("90", "90.5")}, "goals.0.horizon_days"),
        ({"as_of": 'as_of = "2026-06-30"'}, "as_of"),
        ({"as_of": "as_of = 2026-06-30T12:00:00"}, "as_of"),
        ({"query": BASE["query"] + "\npartner_columns_are_static = 1"}, "query.partner_columns_are_static"),
        ({"query": '[query]\ncolumns = "age"'}, "query.columns"),
        ({"query": '[query]\ncolumns = ["age; DROP TABLE x"]'}, "query.columns.0"),
        ({"query": BASE["query"] + "\ndeadline_seconds = 5"}, "query.deadline_seconds"),
        ({"query": BASE["query"] + "\nmax_duplicate_percent = 101.0"}, "query.max_duplicate_percent"),
        ({"goals": GOAL.replace("90", "-1")}, "goals.0.horizon_days"),
        ({"goals": GOAL + "\nminimum_auc = 1.0"}, "goals.0.minimum_auc"),
        ({"goals": GOAL + "\nminimum_auc = 0.4"}, "goals.0.minimum_auc"),
        ({"goals": GOAL.replace("buy", "Buy")}, "goals.0.name"),
        ({"goals": GOAL.replace("purchase", "buy' OR '1'='1")}, "goals.0.event"),
        ({"segments": SEGMENT.replace("10", "0")}, "segments.0.top_percent"),
        ({"segments": SEGMENT.replace("10", "100.1")}, "segments.0.top_percent"),
        ({"segments": SEGMENT.replace("10", "nan")}, "segments.0.top_percent"),
        ({"segments": f"{SEGMENT}\n{SEGMENT.replace('likely', '../likely')}"}, "segments.1.name"),
        ({"name": 'name = "Spring Sale"'}, "name"),
        ({"name": "name = 5"}, "name"),
        ({"query": BASE["query"] + '\nrule = "ANY"'}, "query.rule"),
        ({"segments": SEGMENT + '\nchannel = "email"'}, "segments.0.channel"),
        ({"segments": SEGMENT + "\nminimum_score = 1.5"}, "segments.0.minimum_score"),
        ({"segments": SEGMENT + "\nmax_size = -1"}, "segments.0.max_size"),
        ({"segments": SEGMENT + "\nholdout_percent = 100"}, "segments.0.holdout_percent"),
        ({"goals": GOAL + "\nbetter = 0"}, "goals.0.better"),
        ({"goals": GOAL + f"\nverb = '{'x' * 41}'"}, "goals.0.verb"),
        ({"money": "[money]\ncost_per_contact = -0.01"}, "money.cost_per_contact"),
        ({"money": '[money]\ncurrency = ""'}, "money.currency"),
        ({"privacy": '[privacy]\nname_partner_columns = "no"'}, "privacy.name_partner_columns"),
        ({"report": "[report]\nbrand = 5"}, "report.brand"),
        ({"aws": "[aws]\nprocessing_instances = 0"}, "aws.processing_instances"),
        ({"training": "[training]\nsnapshots = 13"}, "training.snapshots"),
        ({"training": "[training]\nseed = -1"}, "training.seed"),
        ({"aws": '[aws]\ndata_bucket = "My Bucket"'}, "aws.data_bucket"),
        ({"aws": "[aws]\ntransform_vcpus = 0"}, "aws.transform_vcpus"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_key_is_named_with_its_file(tmp_path: Path, changes: dict[str, str], key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_project(written(tmp_path, **changes))
    assert caught.value.what.startswith(f"{key}: ")
    assert re.fullmatch(rf"{re.escape(str(tmp_path / 'project.toml'))}(:\d+)?", caught.value.where)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"goals": f"{GOAL}\n{GOAL}"}, "two goals have the same name: ['buy', 'buy']"),
        (
            {"goals": f"{GOAL.replace('buy', 'buy_1')}\n{GOAL.replace('buy', 'buy1')}"},
            "two goals have the same name: ['buy_1', 'buy1']",
        ),
        ({"segments": f"{SEGMENT}\n{SEGMENT}"}, "two segments have the same name: ['likely', 'likely']"),
        ({"segments": SEGMENT.replace("buy", "leave")}, "segment likely names the goal leave; there are: buy"),
        ({"query": '[query]\ncolumns = ["age", "age"]'}, "query.columns: age is named more than once"),
        (
            {"query": '[query]\ncolumns = ["age", "customer_key"]'},
            "query.columns: customer_key is not a column of the partner's to ask for",
        ),
        (
            {"query": '[query]\ncolumns = ["hashed_id"]'},
            "query.columns: hashed_id is not a column of the partner's to ask for",
        ),
    ],
    ids=[
        "goal twice",
        "goals alike as steps",
        "segment twice",
        "unknown goal",
        "column twice",
        "our key",
        "join column",
    ],
)
def test_contradiction_is_named_with_its_file(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_project(written(tmp_path, **changes))
    assert words in caught.value.what
    assert caught.value.where.startswith(str(tmp_path / "project.toml"))


def test_all_problems_are_counted_and_the_first_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_project(written(tmp_path, name="name = 5", more="[colour]"))
    assert caught.value.why == "2 problems in all"


@pytest.mark.parametrize(
    "content", [b"name = ", b"[tables\n", b"name = 'caf\xe9'\n"], ids=["half a line", "half a table", "Latin-1"]
)
def test_file_that_is_not_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "project.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"project.toml is not TOML") as caught:
        read_project(tmp_path)
    assert caught.value.where == str(tmp_path / "project.toml")
    assert caught.value.why


def test_folder_without_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no project at") as caught:
        read_project(tmp_path / "nowhere")
    assert "pseg init NAME" in caught.value.fix


def test_table_is_a_file_beside_the_project_or_a_prefix(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "events.parquet").write_bytes(b"PAR1")
    project = read_project(written(tmp_path))
    assert project.location("events") == tmp_path / "data" / "events.parquet"
    assert project.location("contacts") == "s3://lake/contacts/"


@pytest.mark.parametrize("table", ["events", "partner"], ids=["file missing", "not named"])
def test_table_that_is_not_there_is_named_with_file_and_key(tmp_path: Path, table: Any) -> None:
    project = read_project(written(tmp_path))
    with pytest.raises(SettingsError, match=f"tables.{table} = .* is not there") as caught:
        project.location(table)
    assert caught.value.where == str(tmp_path / "project.toml")
    assert "Parquet file" in caught.value.fix


@pytest.mark.parametrize(
    "text", ["\\u202eabc", "line\\nbreak", "\\u2067x"], ids=["right to left", "line break", "isolate"]
)
def test_words_that_would_turn_or_break_what_stands_beside_them_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"goals.0.past: has a character that may not be there"):
        read_project(written(tmp_path, goals=GOAL + f'\npast = "{text}"'))
    assert read_project(written(tmp_path, goals=GOAL + '\npast = "קנה שוב, «déjà» 買"')).goals[0].past.startswith("קנה")


def test_channel_without_contacts_is_refused_before_anything_runs(tmp_path: Path) -> None:
    goal = '[[goals]]\nname = "buy"\nlabel = "y"'
    segment = '[[segments]]\nname = "mail"\ngoal = "buy"\nchannel = "EMAIL"'
    with pytest.raises(SettingsError, match=r"segment mail: without tables.contacts nobody has an EMAIL address"):
        read_project(
            written(tmp_path, tables='[tables]\ncustomers = "c.parquet"', query="", goals=goal, segments=segment)
        )
