"""Two parties, each a process with keys of its own account: from plan to a trained model, and down again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awswrangler as wr
import boto3
import pytest

from pseg.aws_accounts import make_bucket, make_database, make_role
from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT
from tests.journey.conftest import Pseg
from tests.worlds import write_project

SQL = """
SELECT DISTINCT m.customer_key, p.affinity, p.band, p.attribute_date
FROM match_keys m JOIN partner_attributes p ON m.hashed_id = p.hashed_id
"""


@dataclass
class Parties:
    """A brand with a project, a partner with a table in Glue and a partner.toml; each runs commands as its account."""

    pseg: Pseg
    project: Path
    partner_file: Path
    brand_keys: dict[str, str]
    partner_keys: dict[str, str]

    def brand(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run a command on the project as the brand."""
        return self.run(self.brand_keys, *words, str(self.project), code=code)

    def partner(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run a command on partner.toml as the partner."""
        return self.run(self.partner_keys, *words, str(self.partner_file), code=code)

    def run(self, keys: dict[str, str], *words: str, code: int) -> dict[str, Any]:
        """Run a command; its document."""
        done = self.pseg(*words, "--json", **keys)
        assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def train(self, code: int = 0) -> dict[str, Any]:
        """Start the train pipeline as the brand and follow it to its end."""
        words = ("pipeline", "start", f"{self.project.name}-train", "--project")
        return self.brand(*words, code=code)

    def hand_over(self) -> None:
        """Print partner.toml as the brand, fill it in as the partner."""
        text = self.brand("collaboration", "plan", "--for-partner")["partner_file"]
        text = text.replace("<database>/<table>", f"{database_of(self.project)}/attributes").replace("<name>", "reader")
        self.partner_file.write_text(text)

    def missing(self, side: Callable[..., dict[str, Any]]) -> list[dict[str, str]]:
        """What status says is missing; its exit code is 1 then."""
        found = side("collaboration", "status", code=1)
        assert not found["is_ready"]
        return [one for one in found["findings"] if one["state"] == "x"]


def database_of(project: Path) -> str:
    """The partner's Glue database of a project."""
    return f"of_{project.name}".replace("-", "_")


def session_of(keys: dict[str, str]) -> boto3.Session:
    """A session of an account; its clients find the embedded AWS by AWS_ENDPOINT_URL."""
    return boto3.Session(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], region_name=keys["AWS_REGION"])


@pytest.fixture
def parties(pseg: Pseg, exports: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Parties:
    """What both parties' infrastructure provides: buckets, roles, the partner's table. No collaboration."""
    rule = request.param
    name = f"agreed-{rule.lower()}"
    more = 'rule = "CUSTOM"\ntemplate = "match_attributes"\n' if rule == "CUSTOM" else ""
    query = f'[query]\n{more}partner_account = "{PARTNER_ACCOUNT}"\ncolumns = ["affinity", "band", "attribute_date"]'
    project = write_project(tmp_path / name, name=f'name = "{name}"', query=query, partner="")
    (project / "match_attributes.sql").write_text(SQL)
    partner_keys = json.loads(pseg("local", "up", "--party", "partner", "--json").stdout)["exports"]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", exports["AWS_ENDPOINT_URL"])
        brand, partner = session_of(exports), session_of(partner_keys)
        for bucket in ("data", "results"):
            make_bucket(brand, f"pseg-{name}-{bucket}")
        make_role(brand, f"pseg-{name}-pipeline", "sagemaker")
        make_role(brand, f"pseg-{name}-match-keys", "cleanrooms")
        make_role(partner, "reader", "cleanrooms")
        make_bucket(partner, f"{name}-partner")
        make_database(partner, database_of(project))
        place = f"s3://{name}-partner/attributes/"
        wr.s3.upload(str(project / "data" / "partner.parquet"), f"{place}part.parquet", boto3_session=partner)
        types, _ = wr.s3.read_parquet_metadata(place, dataset=True, boto3_session=partner)
        wr.catalog.create_parquet_table(
            database_of(project), "attributes", place, columns_types=types, boto3_session=partner
        )
    (project / "data" / "partner.parquet").unlink()  # the brand has nothing of it
    return Parties(pseg, project, tmp_path / "partner.toml", exports, partner_keys)


@pytest.mark.parametrize("parties", ["LIST"], indirect=True)
def test_two_parties_agree_by_list_train_and_part(parties: Parties) -> None:
    plan = parties.brand("collaboration", "plan")
    assert {part["state"] for part in plan["parts"]} == {"missing"}
    assert "membership" in {part["kind"] for part in plan["theirs"]}
    parties.hand_over()
    too_early = parties.partner("collaboration", "join", code=3)["error"]
    assert "not invited" in too_early["what"]
    created = parties.brand("collaboration", "create")
    assert {one["who"] for one in created["findings"] if one["state"] == "x"} == {"partner"}
    assert {one["code"] for one in parties.missing(parties.brand)} == {""}
    assert parties.partner("collaboration", "join")["is_ready"]
    for side in (parties.brand, parties.partner):
        assert side("collaboration", "status")["is_ready"]
    assert parties.train()["status"] == "Succeeded"

    parties.partner("collaboration", "teardown", "--table-only", "--yes")
    refused = parties.train(code=1)["error"]
    assert refused["what"] == "QueryCleanRooms failed"
    assert "partner_attributes" in refused["why"]
    assert "unknown-table" in refused["why"]
    (gone,) = parties.missing(parties.brand)
    assert (gone["who"], gone["fix"]) == ("partner", "pseg collaboration join partner.toml")
    assert parties.partner("collaboration", "join")["is_ready"]

    asked = parties.partner("collaboration", "teardown", code=2)["error"]
    assert "deletes 5 things" in asked["what"]
    shown = parties.brand("collaboration", "teardown", "--dry-run")["removals"]
    assert parties.brand("collaboration", "status")["is_ready"]
    assert [one["kind"] for one in shown][-2:] == ["collaboration", "membership"]
    for side in (parties.brand, parties.partner):
        assert side("collaboration", "teardown", "--yes")["removals"]
    for side in (parties.brand, parties.partner):
        assert side("collaboration", "teardown", "--yes")["removals"] == []
        assert ["there is no collaboration" in one["what"] for one in parties.missing(side)] == [True]


@pytest.mark.long
@pytest.mark.parametrize("parties", ["CUSTOM"], indirect=True)
def test_two_parties_agree_by_template_and_each_new_text_is_allowed_anew(parties: Parties) -> None:
    parties.hand_over()
    parties.brand("collaboration", "create")
    joined = parties.partner("collaboration", "join")
    assert [one["who"] for one in joined["findings"] if one["state"] == "x"] == ["brand"]
    parties.brand("collaboration", "create")
    shown = parties.partner("collaboration", "plan")["templates"]
    assert list(shown.values()) == [SQL]
    assert parties.partner("collaboration", "join")["is_ready"]
    assert parties.train()["status"] == "Succeeded"

    file = parties.project / "project.toml"
    file.write_text(file.read_text().replace("match_attributes", "match_attributes_2"))
    (parties.project / "match_attributes_2.sql").write_text(SQL.replace("SELECT DISTINCT", "SELECT"))
    parties.brand("collaboration", "create")
    (missing,) = parties.missing(parties.brand)
    assert missing["who"] == "partner"
    arn = missing["what"].rpartition(", ")[2]
    assert arn.startswith(f"arn:aws:cleanrooms:us-east-1:{BRAND_ACCOUNT}:membership/")
    refused = parties.train(code=1)["error"]["why"]
    assert "partner_attributes" in refused
    assert arn in refused
    parties.hand_over()
    assert list(parties.partner("collaboration", "plan")["templates"]) == [arn]
    assert parties.partner("collaboration", "join")["is_ready"]
    parties.brand("collaboration", "status")
    for side in (parties.partner, parties.brand):
        side("collaboration", "teardown", "--yes")
        assert side("collaboration", "teardown", "--yes")["removals"] == []
