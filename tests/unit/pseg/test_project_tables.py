"""project.toml: events or a ready table, with a partner or without, and where the tables lie."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from contracts.errors import SettingsError
from contracts.feature_table import LABEL_PREFIX
from contracts.run_settings import Money, Query, ReadyTable, Segment
from pseg.project import TableName, read_project

EVENTS = """
name = "spring"
as_of = 2026-06-30
[tables]
events = "data/events.parquet"
contacts = "s3://lake/contacts/"
[[goals]]
name = "buy"
event = "purchase"
horizon_days = 90
"""
READY = """
name = "bank"
[tables]
customers = "data/customers.parquet"
[columns]
customer_key = "customer_id"
ignore = ["duration"]
[[goals]]
name = "subscribes"
label = "y"
"""
PARTNER = '[query]\ncolumns = ["age", "attribute_date"]\n'
STATIC = '[query]\ncolumns = ["age"]\n'


def written(folder: Path, text: str) -> Path:
    """Write a project.toml."""
    (folder / "project.toml").write_text(text, encoding="utf-8")
    return folder


def refused(folder: Path, text: str) -> SettingsError:
    """The error that a project.toml is refused with."""
    with pytest.raises(SettingsError) as caught:
        read_project(written(folder, text))
    assert caught.value.where.startswith(str(folder / "project.toml"))
    return caught.value


def line_of(text: str, line: str) -> str:
    """The end of ``where`` for the first line that starts so."""
    return f"project.toml:{next(n for n, each in enumerate(text.splitlines(), 1) if each.startswith(line))}"


def test_ten_lines_are_a_project_of_a_ready_table(tmp_path: Path) -> None:
    assert len(READY.strip().splitlines()) <= 10
    settings = read_project(written(tmp_path, READY)).run_settings()
    assert settings.customers == ReadyTable("customer_id", ignore=("duration",))
    assert settings.query is None
    assert settings.partner_columns == ()
    assert not settings.has_contacts
    assert settings.segments == (Segment("subscribes", "subscribes", 10.0),)
    assert (settings.goals[0].label, settings.goals[0].words.title) == ("y", "Subscribes")


def test_no_query_and_no_partner_table_mean_no_partner(tmp_path: Path) -> None:
    project = read_project(written(tmp_path, EVENTS))
    assert not project.has_partner
    assert project.run_settings().query is None
    assert project.own_tables == ("events", "contacts")


@pytest.mark.parametrize(
    "more", [PARTNER, '[query]\ncollaboration = "shared"\n'], ids=["columns", "a named collaboration"]
)
def test_whoever_asks_for_something_has_a_partner(tmp_path: Path, more: str) -> None:
    assert read_project(written(tmp_path, EVENTS + more)).has_partner


def test_all_columns_of_a_local_partner_file_but_the_identifier_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    columns = ["band", "hashed_id", "attribute_date", "age"]
    pd.DataFrame(columns=columns, data=[["x"] * 4]).to_parquet(tmp_path / "data" / "partner.parquet")
    text = EVENTS.replace("[[goals]]", 'partner = "data/partner.parquet"\n[[goals]]')
    settings = read_project(written(tmp_path, text)).run_settings()
    assert settings.query == Query(
        "spring", "match_keys", "partner_attributes", ("band", "attribute_date", "age"), 3600
    )
    named = read_project(written(tmp_path, f"{text}{STATIC}partner_columns_are_static = true\n"))
    assert named.run_settings().partner_columns == ("age",)


def test_partner_in_s3_says_which_columns_it_has(tmp_path: Path) -> None:
    text = EVENTS.replace("[[goals]]", 'partner = "s3://theirs/people/"\n[[goals]]')
    with pytest.raises(SettingsError, match="nobody said which columns to ask the partner for") as caught:
        read_project(written(tmp_path, text)).run_settings()
    assert "[query] columns" in caught.value.fix


def test_partner_file_that_is_no_parquet_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "partner.parquet").write_text("age,band\n")
    text = EVENTS.replace("[[goals]]", 'partner = "partner.parquet"\n[[goals]]')
    with pytest.raises(SettingsError, match=r"tables.partner = 'partner.parquet' is not a Parquet") as caught:
        read_project(written(tmp_path, text)).run_settings()
    assert str(tmp_path / "partner.parquet") in caught.value.where


@pytest.mark.parametrize("column", ["Age", "AGE BAND", "customer_key", f"{LABEL_PREFIX}buy"])
def test_partner_column_that_can_not_be_asked_for_is_refused_by_name(tmp_path: Path, column: str) -> None:
    pd.DataFrame(columns=["hashed_id", "age", column], data=[["x"] * 3]).to_parquet(tmp_path / "partner.parquet")
    text = EVENTS.replace("[[goals]]", 'partner = "partner.parquet"\n[[goals]]')
    project = read_project(written(tmp_path, text))
    with pytest.raises(SettingsError, match=f"can't be asked for: {column}") as caught:
        project.run_settings()
    assert caught.value.where == str(tmp_path / "partner.parquet")
    assert "[query] columns" in caught.value.fix
    named = read_project(written(tmp_path, f"{text}{STATIC}partner_columns_are_static = true\n"))
    assert named.run_settings().partner_columns == ("age",)


@pytest.mark.parametrize("table", ["events", "contacts", "partner"])
@pytest.mark.parametrize("is_folder", [False, True], ids=["file", "folder"])
def test_table_that_is_no_parquet_is_refused_by_key_and_file(tmp_path: Path, table: TableName, is_folder: bool) -> None:
    path = tmp_path / "here" / "table.csv" if is_folder else tmp_path / "here"
    path.parent.mkdir(exist_ok=True)
    path.write_text("customer_key,event_time\n")
    text = EVENTS.replace("data/events.parquet", "here").replace("s3://lake/contacts/", "here")
    project = read_project(written(tmp_path, text.replace("[[goals]]", 'partner = "here"\n[[goals]]')))
    words = "holds no" if is_folder else "is not a"
    with pytest.raises(SettingsError, match=f"tables.{table} = 'here' {words} Parquet file") as caught:
        project.location(table)
    assert caught.value.where == str(tmp_path / "here")
    assert "as Parquet" in caught.value.fix


def test_every_role_of_a_ready_table_reaches_the_steps(tmp_path: Path) -> None:
    roles = {"hashed_id": "hash", "split": "part", "time": "seq", "may_match": "m", "may_contact": "c"}
    lines = "\n".join(f'{role} = "{name}"' for role, name in roles.items())
    text = READY.replace('ignore = ["duration"]', f'ignore = ["a b", "שם"]\n{lines}')
    settings = read_project(written(tmp_path, text)).run_settings()
    assert settings.customers == ReadyTable("customer_id", **roles, ignore=("a b", "שם"))


def test_segments_words_money_and_names_reach_the_steps(tmp_path: Path) -> None:
    text = (
        EVENTS
        + 'title = "Buy again"\nverb = "buy"\npast = "bought"\nnoun = "buyers"\none = "buyer"\nbetter = -1\n'
        + 'is_absent = true\n[[segments]]\nname = "best"\ngoal = "buy"\ntop_percent = 5\nchannel = "EMAIL"\n'
        + "minimum_score = 0.2\nmax_size = 500\nholdout_percent = 10\n"
        + '[report]\nbrand = "Spring Ltd"\npartner = "Acme"\n[privacy]\nname_partner_columns = false\n'
        + '[money]\ncurrency = "€"\ncost_per_contact = 0.05\nvalue_per_conversion = 12\npartner_fee_per_1000 = 20.0\n'
    )
    settings = read_project(written(tmp_path, text)).run_settings()
    words = settings.goals[0].words
    assert (words.title, words.verb, words.past, words.noun) == ("Buy again", "buy", "bought", "buyers")
    assert (words.one, words.better, settings.goals[0].is_absent) == ("buyer", -1, True)
    assert settings.segments == (Segment("best", "buy", 5.0, "EMAIL", 0.2, 500, 10.0),)
    assert (settings.brand, settings.partner, settings.may_name_partner_columns) == ("Spring Ltd", "Acme", False)
    assert settings.money == Money("€", 0.05, 12.0, 20.0)


def test_brand_is_named_after_the_project_unless_it_says_otherwise(tmp_path: Path) -> None:
    settings = read_project(written(tmp_path, EVENTS)).run_settings()
    assert (settings.brand, settings.partner) == ("spring", "the partner")


def test_two_goals_may_look_ahead_differently_far(tmp_path: Path) -> None:
    text = EVENTS + '[[goals]]\nname = "lapse"\nevent = "purchase"\nhorizon_days = 180\nis_absent = true\n'
    goals = read_project(written(tmp_path, text)).run_settings().goals
    assert [(goal.name, goal.horizon_days, goal.is_absent) for goal in goals] == [
        ("buy", 90, False),
        ("lapse", 180, True),
    ]
    assert goals[1].words.title == "Lapse within 180 days"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (EVENTS.replace("[[goals]]", 'customers = "c.parquet"\n[[goals]]'), "name either events or customers"),
        (EVENTS.replace('events = "data/events.parquet"\n', ""), "name either events or customers"),
        (EVENTS.replace('contacts = "s3://lake/contacts/"\n', ""), "events need contacts"),
        (EVENTS.replace('event = "purchase"', 'label = "y"'), "goal buy: with tables.events a goal has event and"),
        (EVENTS + 'label = "y"\n', "goal buy: with tables.events a goal has event and horizon_days, no label"),
        (EVENTS.replace("horizon_days = 90\n", ""), "goal buy: with tables.events a goal has event and horizon_days"),
        (EVENTS + '[columns]\ncustomer_key = "id"\n', "[columns] describes a ready table"),
        (READY.replace('label = "y"', ""), "goal subscribes: with tables.customers a goal has a label"),
        (READY + 'event = "purchase"\n', "goal subscribes: with tables.customers a goal has a label, no event"),
        (READY + "horizon_days = 90\n", "goal subscribes: with tables.customers a goal has a label"),
        (READY + "is_absent = true\n", "goal subscribes: with tables.customers a goal has a label"),
        (READY.replace("ignore", 'split = "duration"\nignore'), "duration is named for two things"),
        (READY.replace("ignore", 'time = "customer_id"\nignore'), "customer_id is named for two things"),
        (READY.replace('["duration"]', '["a", "b", "a"]'), "a is named for two things"),
        (READY.replace('["duration"]', '["y"]'), "y is the label of a goal and something else in [columns]"),
        (READY.replace('"y"', '"customer_id"'), "customer_id is the label of a goal and something else"),
        (READY + '[[goals]]\nname = "again"\nlabel = "y"\n', "two goals have the same label: ['y', 'y']"),
        (READY + "[training]\nsnapshots = 2\n", "training.snapshots: a ready table is one snapshot"),
        (
            READY.replace("ignore", 'time = "seq"\nignore') + "[aws]\nprocessing_instances = 2\n",
            "aws.processing_instances: no instance sees all times",
        ),
        (READY + STATIC, "a partner needs columns.hashed_id"),
        (EVENTS + STATIC, "without attribute_date nobody knows whether the partner's values come from after"),
        (EVENTS + PARTNER + 'rule = "CUSTOM"\n', "CUSTOM"),
        (EVENTS + PARTNER + 'template = "people"\n', "LIST has none"),
        (EVENTS + '[[segments]]\nname = "a"\ngoal = "buy"\nchannel = "E-MAIL"\n', "'E-MAIL' is not a channel; one of"),
        (EVENTS + '[[segments]]\nname = "a"\ngoal = "by"\n', "names the goal by; did you mean buy?"),
        (EVENTS + '[[segments]]\nname = "a"\ngoal = "leave"\n', "names the goal leave; there are: buy"),
    ],
    ids=[
        *("events and customers", "neither", "events without contacts"),
        *("event replaced by label", "label with events", "event without horizon", "columns with events"),
        *("ready without label", "ready with event", "ready with horizon", "ready with absence"),
        *("ignored split", "key as time", "ignored twice", "label ignored", "label is the key", "same label twice"),
        *("snapshots of a ready table", "time on two instances", "partner of a ready table without identifiers"),
        *("undated partner", "CUSTOM without template", "template with LIST", "unknown channel"),
        *("goal misspelt", "unknown goal"),
    ],
)
def test_contradiction_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tmp_path, text).what


@pytest.mark.parametrize(
    ("more", "template"),
    [(PARTNER, ""), (PARTNER + 'rule = "CUSTOM"\ntemplate = "people"\n', "people")],
    ids=["LIST", "CUSTOM"],
)
def test_rule_of_the_query_reaches_the_steps(tmp_path: Path, more: str, template: str) -> None:
    query = read_project(written(tmp_path, EVENTS + more)).run_settings().query
    assert query is not None
    assert (query.rule, query.template) == ("CUSTOM" if template else "LIST", template)


@pytest.mark.parametrize(
    "text",
    [
        EVENTS + STATIC + "partner_columns_are_static = true\n",
        READY.replace("ignore", 'hashed_id = "hash"\nignore') + STATIC,
        READY.replace("[columns]", 'contacts = "c.parquet"\n[columns]') + STATIC,
    ],
    ids=["static", "ready with identifiers", "ready with contacts"],
)
def test_partner_without_dates_is_taken_where_dates_decide_nothing(tmp_path: Path, text: str) -> None:
    assert read_project(written(tmp_path, text)).run_settings().partner_columns == ("age",)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (EVENTS.replace("contacts =", "contact ="), "contact =", "tables.contact: unknown key; did you mean contacts?"),
        (EVENTS + "horizn_days = 1\n", "horizn_days", "goals.0.horizn_days: unknown key; did you mean horizon_days?"),
        ("asof = 2026-01-01\n" + EVENTS, "asof", "asof: unknown key; did you mean as_of?"),
        (EVENTS + '[[segments]]\nname = "a"\ngoal = "buy"\nchanel = "SMS"', "chanel", "did you mean channel?"),
        (READY.replace("customer_key", "customer_ky"), "customer_ky", "did you mean customer_key?"),
        (READY + "[colour]\n", "[colour]", "colour: unknown key"),
        (READY + "[aws]\ntransform_vcpus = 9\n", "transform_vcpus", "aws.transform_vcpus"),
        (READY.replace('["duration"]', "[5]"), "ignore", "columns.ignore.0: must be text in quotes, got 5"),
        (EVENTS + PARTNER.replace('"age"', '"Age"'), "columns", "query.columns.0"),
        (EVENTS + '[[goals]]\nname = "leave"\nhorizon_days = "9"\n', 'horizon_days = "9"', "goals.1.horizon_days"),
        (EVENTS + '[[goals]]\nevent = "x"\nhorizon_days = 5\n', "[[goals]]\nevent", "goals.1.name: is missing"),
        (EVENTS.replace("[tables]", "[ tables ]").replace("contacts", "kontakt"), "kontakt", "did you mean contacts?"),
        (EVENTS.replace('"s3://lake/contacts/"', "true"), "contacts", "tables.contacts: must be text in quotes"),
    ],
    ids=[
        *("key of tables", "key of goals", "top-level key", "key of segments", "key of columns", "table"),
        *("number", "list item", "column", "second goal", "missing in the second goal", "spaced header", "type"),
    ],
)
def test_wrong_line_is_named_by_number(tmp_path: Path, text: str, line: str, words: str) -> None:
    error = refused(tmp_path, text)
    assert words in error.what
    if "\n" in line:
        number = text[: text.index(line)].count("\n") + 1
        assert error.where.endswith(f"project.toml:{number}")
    else:
        assert error.where.endswith(line_of(text, line))


def test_missing_name_of_the_project_points_at_no_other_name(tmp_path: Path) -> None:
    error = refused(tmp_path, EVENTS.replace('name = "spring"', ""))
    assert error.what == "name: is missing"
    assert error.where == str(tmp_path / "project.toml")


def test_two_goals_of_one_name_are_refused(tmp_path: Path) -> None:
    text = READY + '[[goals]]\nname = "subscribes"\nlabel = "z"\n'
    assert "two goals have the same name: ['subscribes', 'subscribes']" in refused(tmp_path, text).what


def test_table_may_be_a_glue_table_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "data" / "events.parquet").mkdir(parents=True)
    (tmp_path / "data" / "events.parquet" / "part-0").write_bytes(b"PAR1")
    project = read_project(written(tmp_path, EVENTS.replace("s3://lake/contacts/", "glue://lake_db/contacts-1")))
    assert project.location("contacts") == "glue://lake_db/contacts-1"
    assert project.location("events") == tmp_path / "data" / "events.parquet"


@pytest.mark.parametrize("address", ["glue://lake_db", "glue://lake/a/b", "glue://Lake/a", "s3://lake", "https://a/b"])
def test_address_of_another_form_is_a_file_that_is_not_there(tmp_path: Path, address: str) -> None:
    project = read_project(written(tmp_path, EVENTS.replace("s3://lake/contacts/", address)))
    with pytest.raises(SettingsError, match="is not there") as caught:
        project.location("contacts")
    assert "glue://database/table" in caught.value.fix


def test_own_feature_query_reaches_the_steps_as_it_is_written(tmp_path: Path) -> None:
    text = EVENTS.replace("[[goals]]", 'features = "features.sql"\n[[goals]]')
    with pytest.raises(SettingsError, match=r"tables.features = 'features.sql' can't be read"):
        read_project(written(tmp_path, text)).run_settings()
    (tmp_path / "features.sql").write_text("SELECT customer_key, 1 AS é FROM events\n", encoding="utf-8")
    settings = read_project(tmp_path).run_settings()
    assert settings.features_sql == "SELECT customer_key, 1 AS é FROM events\n"
    assert read_project(written(tmp_path, EVENTS)).run_settings().features_sql == ""
