"""``pseg lint`` as a command: what it prints, its JSON document, and exit codes 0, 1, 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.errors import PsegError
from pseg.cli import app
from tests.clean_room_tables import BRAND, PARTNER, ROOMS, TEMPLATE_ARN
from tests.unit.pseg.test_command_line import failure, pseg

GOOD = "SELECT DISTINCT m.customer_key, p.age\nFROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id\n"
BAD = GOOD.replace("DISTINCT ", "").replace("p.age", "p.hashed_id")
UNSURE = GOOD + "WHERE p.age BETWEEN 18 AND 30\n"


def write(folder: Path, sql: str, room: str = "list", **more: Any) -> list[str]:
    """Write the files of a call; returns its arguments."""
    (folder / "query.sql").write_text(sql, encoding="utf-8")
    (folder / "schemas.json").write_text(json.dumps(ROOMS[room]), encoding="utf-8")
    for name, document in more.items():
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return ["lint", "query.sql", "--schemas", "schemas.json"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Any:
    """Run the command in this process."""
    return CliRunner().invoke(app, arguments)


def refusal(result: Any) -> PsegError:
    """The error with which a command ended; ``pseg.cli.main`` prints it."""
    assert isinstance(result.exception, PsegError)
    return result.exception


def test_allowed_query_is_said_to_be_allowed_and_by_whom_it_is_run(tmp_path: Path) -> None:
    done = run(*write(tmp_path, GOOD))
    assert done.exit_code == 0
    assert done.stdout == (
        "query.sql: allowed  LIST on match_keys, people\n"
        "0 rejections, 0 unsure. Clean Rooms would run this query. Nothing was sent or billed.\n"
    )
    assert done.stderr == f"runner {BRAND}, the only account that every table lets receive results\n"


def test_refused_query_is_shown_with_carets_rules_and_remedies(tmp_path: Path) -> None:
    done = run(*write(tmp_path, BAD), "--runner", BRAND)
    assert done.exit_code == 1
    assert done.stdout == (
        "query.sql:1:1: rejected  list-needs-distinct\n"
        "  1 | SELECT m.customer_key, p.hashed_id\n"
        "    | ^^^^^^ SELECT without DISTINCT\n"
        "  rule   LIST query structure: SELECT DISTINCT ... FROM ... INNER JOIN ... ON ... [WHERE ...] [LIMIT n]\n"
        "  fix    write SELECT DISTINCT\n"
        "query.sql:1:24: rejected  list-select-join-column\n"
        "  1 | SELECT m.customer_key, p.hashed_id\n"
        "    |                        ^^^^^^^^^^^ a join column may not be selected\n"
        f"  rule   LIST on people, owned by {PARTNER}: joinColumns [hashed_id, phone_hash]\n"
        "  fix    drop it; select match_keys.customer_key (list column of your own) to keep one row per customer\n"
        "2 rejections, 0 unsure. Clean Rooms would refuse this query. Nothing was sent or billed.\n"
    )
    assert done.stderr == ""


def test_query_that_the_documents_leave_open_ends_with_exit_code_2(tmp_path: Path) -> None:
    done = run(*write(tmp_path, UNSURE), "--runner", BRAND)
    assert done.exit_code == 2
    assert "query.sql:3:7: unsure  list-where-operator\n" in done.stdout
    assert done.stdout.endswith("can't be told. Nothing was sent or billed.\n")


def test_long_line_is_cut_around_the_place(tmp_path: Path) -> None:
    sql = (
        GOOD.replace("\n", " ")
        + "WHERE "
        + " AND ".join(["p.age > 1"] * 30)
        + " AND LOWER(p.city) = 'x'"
        + " AND p.age > 2" * 30
    )
    done = run(*write(tmp_path, sql), "--runner", BRAND)
    line, carets = done.stdout.split("\n")[1:3]
    at = carets.index("^")
    assert line[at : at + 5] == "LOWER"
    assert carets[at : at + 6] == "^^^^^ "
    assert line.startswith("  1 | ... ")
    assert line.endswith(" ...")


def test_json_document_holds_the_verdict(tmp_path: Path) -> None:
    done = run(*write(tmp_path, BAD), "--json")
    document = json.loads(done.stdout)
    assert done.exit_code == 1
    assert document["schema"] == "pseg.lint/1"
    assert document["allowed"] is False
    assert document["runner"] == BRAND
    assert document["tables"] == ["match_keys", "people"]
    (one,) = [one for one in document["violations"] if one["column"]]
    assert one["code"] == "list-select-join-column"
    assert one["place"] == {"line": 1, "column": 24, "length": 11}
    assert (one["table"], one["owner"], one["column"]) == ("people", PARTNER, "hashed_id")


def test_what_the_result_will_lack_is_said(tmp_path: Path) -> None:
    sql = "SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id"
    done = run(*write(tmp_path, sql, "aggregation"))
    assert done.exit_code == 0
    assert "result rows built from fewer than 100 sales.hashed_id are left out\n" in done.stdout


def test_receivers_can_be_named(tmp_path: Path) -> None:
    done = run(*write(tmp_path, GOOD), "--runner", BRAND, "--receiver", BRAND, "--receiver", PARTNER)
    assert done.exit_code == 1
    assert "receiver-not-allowed" in done.stdout


def test_template_is_checked_with_its_values(tmp_path: Path) -> None:
    sql = "SELECT email FROM users WHERE spend > :low"
    declared = [{"name": "low", "type": "INTEGER"}]
    answer = {"arn": TEMPLATE_ARN, "creatorAccountId": BRAND, "source": {"text": sql}, "analysisParameters": declared}
    template = {"collaborationAnalysisTemplate": answer}
    arguments = [*write(tmp_path, sql, "custom-templates", template=template), "--template", "template.json"]
    assert run(*arguments, "--parameter", "low=3").exit_code == 0
    assert "parameter-value" in run(*arguments, "--parameter", "low=x").stdout
    assert "custom-query-not-allowed" in run(*arguments[:4]).stdout
    assert refusal(run(*arguments, "--parameter", "low")).fix == "write --parameter NAME=VALUE"


def test_budget_that_is_too_small_refuses(tmp_path: Path) -> None:
    aggregations = [{"type": "COUNT", "maxCount": 3, "remainingCount": 0}]
    budgets = {"privacyBudgetSummaries": [{"budget": {"differentialPrivacy": {"aggregations": aggregations}}}]}
    arguments = write(tmp_path, "SELECT COUNT(*) FROM users", "dp", budgets=budgets)
    assert run(*arguments).exit_code == 0
    assert "dp-budget" in run(*arguments, "--budgets", "budgets.json").stdout


@pytest.mark.parametrize(
    ("file", "text", "what"),
    [
        ("query.sql", None, "query.sql can't be read"),
        ("schemas.json", None, "schemas.json can't be read"),
        ("schemas.json", "[", "schemas.json is not JSON"),
        ("schemas.json", "{}", "not a list"),
        ("schemas.json", "[{}]", "schema is missing"),
        ("schemas.json", "[]", "who runs the query is not said"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, file: str, text: str | None, what: str) -> None:
    arguments = write(tmp_path, GOOD)
    (tmp_path / file).unlink() if text is None else (tmp_path / file).write_text(text, encoding="utf-8")
    assert what in refusal(run(*arguments)).what


def test_bad_input_ends_with_exit_code_2_and_one_json_document(tmp_path: Path) -> None:
    done = pseg(tmp_path, *write(tmp_path, GOOD)[:2], "--schemas", "nowhere.json", "--json")
    assert done.returncode == 2
    assert failure(done)["what"] == "nowhere.json can't be read"


def test_runner_that_could_be_several_must_be_named(tmp_path: Path) -> None:
    arguments = write(tmp_path, GOOD)
    room = json.loads((tmp_path / "schemas.json").read_text())
    for entry in room:
        entry["analysisRules"][0]["collaborationPolicy"]["v1"]["list"]["allowedResultReceivers"] = [BRAND, PARTNER]
    (tmp_path / "schemas.json").write_text(json.dumps(room))
    assert refusal(run(*arguments)).fix == "add --runner ACCOUNT"
    assert run(*arguments, "--runner", BRAND).exit_code == 0
