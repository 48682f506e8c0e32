"""A project with rule = CUSTOM: its template is made from the file beside project.toml, and the query step runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clean_rooms.identity import hash_email
from contracts.errors import ContractError, ServiceError, SettingsError
from processing.query_clean_rooms import NEW_QUERY, query_clean_rooms
from pseg.aws_accounts import prepare_accounts
from pseg.local_aws.session import PARTNER_ACCOUNT
from pseg.project import Project, read_project
from tests.embedded_aws import TwoAccounts

PROJECT = """
name = "{name}"
[tables]
events = "events.parquet"
contacts = "contacts.parquet"
partner = "visits.parquet"
[query]
rule = "CUSTOM"
template = "{template}"
columns = ["visits", "spent"]
partner_columns_are_static = true
[[goals]]
name = "buy"
event = "purchase"
horizon_days = 30
[[segments]]
name = "buyers"
goal = "buy"
top_percent = 10
"""
SQL = """
WITH totals AS (
    SELECT hashed_id, COUNT(*) AS visits, SUM(amount) AS spent FROM partner_attributes GROUP BY hashed_id
)
SELECT k.customer_key, t.visits, t.spent
FROM match_keys k JOIN totals t ON k.hashed_id = t.hashed_id
"""
PEOPLE = ["ann", "bob", "cyd"]


def make_project(folder: Path, name: str, template: str = "visit_totals", sql: str | None = SQL) -> Project:
    """A brand with three customers, and a partner who saw two of them (and a stranger) several times."""
    folder.mkdir(exist_ok=True)
    (folder / "project.toml").write_text(PROJECT.format(name=name, template=template))
    if sql is not None:
        (folder / f"{template}.sql").write_text(sql)
    size = len(PEOPLE)
    contacts = {
        "customer_key": PEOPLE,
        "channel_type": ["EMAIL"] * size,
        "address": [f"{who}@example.com" for who in PEOPLE],
        "may_match": [True] * size,
        "may_contact": [True] * size,
    }
    pq.write_table(pa.table(contacts), folder / "contacts.parquet")
    seen = ["ann", "ann", "bob", "eve"]
    visits = {"hashed_id": [hash_email(f"{who}@example.com") for who in seen], "amount": pa.array([1, 2, 5, 9])}
    pq.write_table(pa.table(visits), folder / "visits.parquet")
    return read_project(folder)


def run_step(project: Project, folder: Path) -> list[dict[str, object]]:
    """Run the query step as its container would; rows of what it leaves."""
    inputs = folder / "inputs" / "contacts"
    inputs.mkdir(parents=True, exist_ok=True)
    (inputs / "contacts.parquet").write_bytes((folder / "contacts.parquet").read_bytes())
    query_clean_rooms(project.run_settings(), folder / "inputs", folder / "out", "run-1", NEW_QUERY)
    assert json.loads((folder / "out" / "query.json").read_text())["rule"] == "CUSTOM"
    return list(pq.read_table(folder / "out" / "query_result.parquet").to_pylist())


def test_query_step_runs_the_template_and_reads_what_it_computed(accounts: TwoAccounts, tmp_path: Path) -> None:
    project = make_project(tmp_path / "totals", "totals")
    prepare_accounts(project, accounts.brand, accounts.partner)
    assert run_step(project, tmp_path / "totals") == [
        {"customer_key": "ann", "visits": 2, "spent": 3},
        {"customer_key": "bob", "visits": 1, "spent": 5},
    ]


def test_changed_sql_needs_a_new_name_and_then_runs(accounts: TwoAccounts, tmp_path: Path) -> None:
    folder, longer = tmp_path / "renamed", SQL.replace("COUNT(*)", "10 * COUNT(*)")
    prepare_accounts(make_project(folder, "renamed"), accounts.brand, accounts.partner)
    with pytest.raises(ServiceError, match="visit_totals exists with another text"):
        prepare_accounts(make_project(folder, "renamed", sql=longer), accounts.brand, accounts.partner)
    project = make_project(folder, "renamed", "visit_totals_2", longer)
    prepare_accounts(project, accounts.brand, accounts.partner)
    assert [row["visits"] for row in run_step(project, folder)] == [20, 10]


def test_missing_sql_file_is_named_before_anything_is_made(accounts: TwoAccounts, tmp_path: Path) -> None:
    project = make_project(tmp_path / "fileless", "fileless", sql=None)
    with pytest.raises(SettingsError, match="analysis template visit_totals can't be read") as caught:
        prepare_accounts(project, accounts.brand, accounts.partner)
    assert caught.value.where == str(tmp_path / "fileless" / "visit_totals.sql")
    names = [one["name"] for one in accounts.brand.client("cleanrooms").list_collaborations()["collaborationList"]]
    assert "fileless" not in names


def test_template_that_lets_an_identifier_out_is_refused_before_anything_is_made(
    accounts: TwoAccounts, tmp_path: Path
) -> None:
    leaky = SQL.replace("t.visits,", "t.hashed_id AS visits,")
    project = make_project(tmp_path / "leaky", "leaky", sql=leaky)
    with pytest.raises(
        ContractError, match="the template's text breaks analysis rules, so it was not stored"
    ) as caught:
        prepare_accounts(project, accounts.brand, accounts.partner)
    named = ["hashed_id of partner_attributes may not contribute to the output", PARTNER_ACCOUNT, "line 5, column"]
    assert all(words in caught.value.why for words in [*named, "disallowedOutputColumns", "custom-disallowed-output"])
    assert "drop it here" in caught.value.fix
    names = [one["name"] for one in accounts.brand.client("cleanrooms").list_collaborations()["collaborationList"]]
    assert "leaky" not in names


def test_stored_template_that_breaks_a_rule_is_refused_before_it_is_started(
    accounts: TwoAccounts, tmp_path: Path
) -> None:
    folder = tmp_path / "later"
    project = make_project(folder, "later", "later_totals")
    prepare_accounts(project, accounts.brand, accounts.partner)
    tables = accounts.partner.client("cleanrooms")
    own = [
        one for one in tables.list_configured_tables()["configuredTableSummaries"] if one["name"].startswith("later")
    ]
    keys: dict[str, Any] = {"configuredTableIdentifier": own[0]["id"], "analysisRuleType": "CUSTOM"}
    rule = tables.get_configured_table_analysis_rule(**keys)["analysisRule"]["policy"]["v1"]["custom"]
    closer = rule | {"disallowedOutputColumns": ["hashed_id", "amount"]}
    tables.update_configured_table_analysis_rule(**keys, analysisRulePolicy={"v1": {"custom": closer}})
    with pytest.raises(ContractError, match="the query breaks analysis rules, so it was not started") as caught:
        run_step(project, folder)
    assert "amount of partner_attributes may not contribute to the output" in caught.value.why


def test_partner_files_whose_types_do_not_fit_together_are_named(accounts: TwoAccounts, tmp_path: Path) -> None:
    project = make_project(tmp_path / "types", "types")
    table = pq.read_table(tmp_path / "types" / "visits.parquet")
    (tmp_path / "types" / "visits.parquet").unlink()
    (tmp_path / "types" / "visits.parquet").mkdir()
    whole, half = (tmp_path / "types" / "visits.parquet" / name for name in ("a.parquet", "b.parquet"))
    pq.write_table(table, whole)
    pq.write_table(table.set_column(1, "amount", table.column("amount").cast(pa.float64())), half)
    with pytest.raises(SettingsError, match="types that don't fit together") as caught:
        prepare_accounts(project, accounts.brand, accounts.partner)
    assert caught.value.where == f"{whole} and {half}"
    assert "amount" in caught.value.why
