"""The template that ``pseg init`` writes: it names every key, and what it shows as a default is the default."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pseg import project as form
from pseg.project import Project, read_project

TEMPLATE = files("pseg").joinpath("project_template.toml").read_text(encoding="utf-8").replace("PROJECT_NAME", "spring")
TABLES = {
    "": form.Project,
    "tables": form.Tables,
    "columns": form.Columns,
    "query": form.QueryTable,
    "goals": form.GoalTable,
    "segments": form.SegmentTable,
    "privacy": form.PrivacyTable,
    "report": form.ReportTable,
    "money": form.MoneyTable,
    "budget": form.BudgetTable,
    "training": form.TrainingTable,
    "aws": form.AwsTable,
}
# shown by an example, as their default is empty, or follows from another key
EXAMPLES = {
    *("notice", "features", "customers", "collaboration", "partner_account", "title", "brand", "processing_image"),
    *(
        "cost_per_contact",
        "value_per_conversion",
        "partner_fee_per_1000",
        "max_dollars",
        "data_bucket",
        "results_bucket",
    ),
}


def commented_keys() -> Iterator[tuple[str, str, Any]]:
    """Yield table, key and value of every key that the template shows behind a comment sign."""
    table = ""
    for line in TEMPLATE.splitlines():
        text = line.removeprefix("# ")
        if header := re.match(r"\[\[?(\w+)\]", text):
            table = header[1]
        elif line.startswith("# ") and re.match(r"\w+ = ", text):
            ((key, value),) = tomllib.loads(text).items()
            yield table, key, value


def uncommented(left_out: str) -> str:
    """The template with its comment signs removed, but for the lines that belong to the other form of a project."""
    kept, is_kept = [], True
    for line in TEMPLATE.splitlines():
        text = line.removeprefix("# ")
        if re.match(r"\[", text):
            is_kept = text.split("]")[0].strip("[") != left_out
        is_key = re.match(r"\[|\w+ = ", text) and not re.match(r"customers|features", text)
        kept.append(text if is_key and is_kept else "")
    return "\n".join(kept)


@pytest.mark.parametrize("table", TABLES)
def test_every_key_of_a_table_is_in_its_section(table: str) -> None:
    head, *sections = re.split(r"^(?:# )?\[\[?(\w+)\]", TEMPLATE, flags=re.MULTILINE)
    text = dict(zip(sections[::2], sections[1::2], strict=True)).get(table, head)
    keys = set(TABLES[table].model_fields) - TABLES.keys()
    assert keys, table
    assert {key for key in keys if not re.search(rf"\b{key} = ", text)} == set()


def test_no_table_of_a_project_is_left_out() -> None:
    nested = {name for name in Project.model_fields if name in TABLES}
    assert nested == TABLES.keys() - {""}
    assert {re.sub(r"\W", "", header) for header in re.findall(r"^(?:# )?\[\[?\w+\]", TEMPLATE, re.MULTILINE)} == nested


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [shown for shown in commented_keys() if shown[1] not in EXAMPLES],
    ids=lambda value: str(value)[:20],
)
def test_what_is_shown_as_a_default_is_the_default(table: str, key: str, value: Any) -> None:
    assert key not in TABLES
    default = TABLES[table].model_fields[key].default
    assert value == (list(default) if isinstance(default, tuple) else default)


def test_examples_are_of_keys_that_have_no_value_to_show() -> None:
    shown = {key: (table, value) for table, key, value in commented_keys() if key in EXAMPLES}
    assert shown.keys() == EXAMPLES
    assert {TABLES[table].model_fields[key].default for key, (table, _) in shown.items()} == {"", None}


def test_template_parses_and_so_it_does_with_every_comment_sign_removed(tmp_path: Path) -> None:
    for name, text in (("plain", TEMPLATE), ("shown", uncommented("columns"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "project.toml").write_text(text, encoding="utf-8")
    plain, shown = read_project(tmp_path / "plain"), read_project(tmp_path / "shown")
    assert shown.goals == tuple(goal.model_copy(update={"title": "Buy within 90 days"}) for goal in plain.goals)
    assert shown.run_settings().goals == plain.run_settings().goals
    assert (shown.segments, shown.training, shown.privacy) == (plain.segments, plain.training, plain.privacy)
    settings = plain.run_settings()
    assert (settings.data_bucket, settings.results_bucket) == (shown.aws.data_bucket, shown.aws.results_bucket)
    assert shown.money.value_per_conversion == 12.0
