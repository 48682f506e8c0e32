"""Every permission counts: taken away, the query is not started, the service refuses it, status names who must act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from clean_rooms.agreement import Party
from clean_rooms.collaboration import Half
from clean_rooms.list_query import build_list_query
from clean_rooms.lookup import associations, find, pages
from clean_rooms.protected_query import TemplateRun, find_membership, make_client
from clean_rooms.query_check import check_query, refuse_unread
from clean_rooms.readiness import Finding, find_missing
from clean_rooms.templates import find_template
from contracts.errors import ContractError, PsegError, ServiceError
from processing.query_clean_rooms import NEW_QUERY, ask_partner, query_clean_rooms
from pseg.aws_accounts import prepare_accounts
from pseg.collaboration_terms import Side, open_side
from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT
from pseg.project import Project
from tests.embedded_aws import TwoAccounts
from tests.unit.clean_rooms.test_custom_project import make_project

NUMBERS = count()
COMMANDS: dict[Party, str] = {"brand": "create", "partner": "join"}


@dataclass
class World:
    """A project whose two halves are complete, and the partner's ways to change theirs."""

    accounts: TwoAccounts
    project: Project
    side: Side
    rule: str

    def __post_init__(self) -> None:
        self.brand: Any = make_client(self.accounts.brand)
        self.partner: Any = make_client(self.accounts.partner)
        name = self.project.name
        membership = find_membership(self.partner, name)
        self.table = find(
            pages(self.partner, "list_configured_tables", "configuredTableSummaries"), name=f"{name}-partner_attributes"
        )
        link = find(associations(self.partner, membership), configuredTableId=str(self.table))
        self.link = {"membershipIdentifier": membership, "configuredTableAssociationIdentifier": link}

    def policy(self, **content: Any) -> dict[str, Any]:
        """A rule of this type."""
        return {"analysisRuleType": self.rule, "analysisRulePolicy": {"v1": {self.rule.lower(): content}}}

    def change_rule(self, **changes: Any) -> None:
        """Change members of the table's rule."""
        keys = {"configuredTableIdentifier": self.table, "analysisRuleType": self.rule}
        rule = self.partner.get_configured_table_analysis_rule(**keys)["analysisRule"]["policy"]["v1"][
            self.rule.lower()
        ]
        self.partner.update_configured_table_analysis_rule(**keys | self.policy(**rule | changes))

    def missing(self) -> list[Finding]:
        """What status says is missing, as the brand sees it."""
        found = find_missing(self.brand, self.side.agreement, "brand", COMMANDS)
        return [one for one in found if one.state == "x"]

    def refusal(self) -> str:
        """Why the query step can't run its query; none was started, so none is billed."""
        settings = self.project.run_settings()
        assert settings.query is not None
        with pytest.raises(PsegError) as caught:
            ask_partner(settings, settings.query, "refused")
        membership = find_membership(self.brand, self.project.name)
        assert self.brand.list_protected_queries(membershipIdentifier=membership)["protectedQueries"] == []
        return str(caught.value)

    def service_refusal(self) -> str:
        """Why the service itself refuses the same query, asked without our check."""
        settings = self.project.run_settings()
        query = settings.query
        assert query is not None
        membership = find_membership(self.brand, self.project.name)
        sql: dict[str, str] = (
            {"analysisTemplateArn": find_template(self.brand, membership, query.template)}
            if self.rule == "CUSTOM"
            else {"queryString": build_list_query(query)}
        )
        s3 = {"resultFormat": "PARQUET", "bucket": settings.results_bucket}
        with pytest.raises(ClientError) as caught:
            self.brand.start_protected_query(
                type="SQL",
                membershipIdentifier=membership,
                sqlParameters=sql,
                resultConfiguration={"outputConfiguration": {"s3": s3}},
            )
        return str(caught.value)


Taking = Callable[[World], None]


def make_world(accounts: TwoAccounts, folder: Path, rule: str, name: str = "") -> World:
    """Complete both halves of a project of its own."""
    make_project(folder, name or f"world-{next(NUMBERS)}")
    file = folder / "project.toml"
    text = file.read_text().replace("[query]\n", f'[query]\npartner_account = "{PARTNER_ACCOUNT}"\n')
    if rule == "LIST":
        text = text.replace('rule = "CUSTOM"\ntemplate = "visit_totals"\n', "").replace(
            '["visits", "spent"]', '["amount"]'
        )
    file.write_text(text)
    side = open_side(folder, BRAND_ACCOUNT)
    assert side.project is not None
    prepare_accounts(side.project, accounts.brand, accounts.partner)
    return World(accounts, side.project, side, rule)


def take_list_column(world: World) -> None:
    world.change_rule(listColumns=[])


def take_join_column(world: World) -> None:
    world.change_rule(listColumns=["hashed_id"], joinColumns=["amount"])


def take_allowed_column(world: World) -> None:
    if world.rule == "LIST":
        take_list_column(world)
    world.partner.update_configured_table(configuredTableIdentifier=world.table, allowedColumns=["hashed_id"])


def take_association_rule(world: World) -> None:
    world.partner.delete_configured_table_association_analysis_rule(**world.link, analysisRuleType=world.rule)


def take_association(world: World) -> None:
    take_association_rule(world)
    world.partner.delete_configured_table_association(**world.link)


def take_table_rule(world: World) -> None:
    world.partner.delete_configured_table_analysis_rule(
        configuredTableIdentifier=world.table, analysisRuleType=world.rule
    )


def receive(accounts: list[str]) -> Taking:
    def change(world: World) -> None:
        world.partner.update_configured_table_association_analysis_rule(
            **world.link | world.policy(allowedResultReceivers=accounts)
        )

    return change


def ask_for_more(world: World) -> None:
    world.change_rule(additionalAnalyses="REQUIRED")


def ask_for_privacy(world: World) -> None:
    world.change_rule(differentialPrivacy={"columns": [{"name": "hashed_id"}]})


def take_template(world: World) -> None:
    world.change_rule(allowedAnalyses=[])


def take_other_template(world: World) -> None:
    arn = f"arn:aws:cleanrooms:us-east-1:{BRAND_ACCOUNT}:membership/{'0' * 8}-0000-0000-0000-{'0' * 12}"
    world.change_rule(allowedAnalyses=[f"{arn}/analysistemplate/{'0' * 8}-0000-0000-0000-{'0' * 12}"])


# what is taken away, words of the refused query, words of what status finds, AWS's code
CASES: list[tuple[str, Taking, list[str], list[str], str]] = [
    ("LIST", take_list_column, ["amount", "list"], ["amount", "listColumns"], ""),
    ("LIST", take_join_column, ["hashed_id", "join"], ["hashed_id", "joinColumns"], ""),
    ("LIST", take_allowed_column, ["amount"], ["amount", "listColumns"], ""),
    ("CUSTOM", take_allowed_column, ["amount"], ["amount", "allowed columns"], ""),
    (
        "CUSTOM",
        ask_for_privacy,
        ["DIFFERENTIAL_PRIVACY_POLICY_NOT_CONFIGURED"],
        ["privacy budget"],
        "DIFFERENTIAL_PRIVACY_POLICY_NOT_CONFIGURED",
    ),
    (
        "CUSTOM",
        take_template,
        ["ANALYSIS_TEMPLATES_NOT_CONFIGURED"],
        ["analysistemplate/"],
        "ANALYSIS_TEMPLATES_NOT_CONFIGURED",
    ),
    (
        "CUSTOM",
        take_other_template,
        ["custom-template-not-allowed", "partner_attributes"],
        ["does not allow", "analysistemplate/"],
        "",
    ),
]
for kind in ("LIST", "CUSTOM"):
    CASES += [
        (kind, take_association, ["partner_attributes", "unknown-table"], ["not associated"], ""),
        (
            kind,
            take_association_rule,
            ["COLLABORATION_ANALYSIS_RULE_NOT_CONFIGURED"],
            ["not ready"],
            "COLLABORATION_ANALYSIS_RULE_NOT_CONFIGURED",
        ),
        (kind, take_table_rule, ["ANALYSIS_RULE_MISSING"], ["no analysis rule"], "ANALYSIS_RULE_MISSING"),
        (kind, receive([]), ["RESULT_RECEIVERS_NOT_CONFIGURED"], ["receive"], "RESULT_RECEIVERS_NOT_CONFIGURED"),
        (kind, receive([PARTNER_ACCOUNT]), [BRAND_ACCOUNT, "allowedResultReceivers"], ["receive"], ""),
        (kind, ask_for_more, ["RESULT_RECEIVERS_NOT_ALLOWED"], ["not ready"], "RESULT_RECEIVERS_NOT_ALLOWED"),
    ]


@pytest.mark.parametrize(
    ("rule", "rows"),
    [("LIST", [("ann", 1), ("ann", 2), ("bob", 5)]), ("CUSTOM", [("ann", 3), ("bob", 5)])],
    ids=["LIST", "CUSTOM"],
)
def test_with_every_permission_the_query_runs(
    accounts: TwoAccounts, tmp_path: Path, rule: str, rows: list[tuple[str, int]]
) -> None:
    world = make_world(accounts, tmp_path, rule)
    assert world.missing() == []
    inputs = tmp_path / "inputs" / "contacts"
    inputs.mkdir(parents=True)
    (inputs / "contacts.parquet").write_bytes((tmp_path / "contacts.parquet").read_bytes())
    query_clean_rooms(world.project.run_settings(), inputs.parent, tmp_path / "out", "run-1", NEW_QUERY)
    result = pq.read_table(tmp_path / "out" / "query_result.parquet").to_pylist()
    assert [(row["customer_key"], row["amount" if rule == "LIST" else "spent"]) for row in result] == rows


@pytest.mark.parametrize(
    ("rule", "take", "refused", "said", "code"),
    CASES,
    ids=[f"{rule}-{take.__qualname__.split('.')[0]}-{'-'.join(refused)[:40]}" for rule, take, refused, _, _ in CASES],
)
def test_permission_taken_away_stops_the_query_before_it_starts_and_status_names_it(
    accounts: TwoAccounts, tmp_path: Path, rule: str, take: Taking, refused: list[str], said: list[str], code: str
) -> None:
    world = make_world(accounts, tmp_path, rule)
    take(world)
    for text in (world.refusal(), world.service_refusal()):
        assert all(word in text for word in refused), text
    assert "was not started" in world.refusal()
    missing = world.missing()
    named = [one for one in missing if all(word in one.what for word in said) and one.code == code]
    assert len(named) == 1, missing
    assert {one.who for one in missing} == {"partner"}
    as_partner = find_missing(world.partner, world.side.agreement, "partner", COMMANDS)
    assert [one for one in as_partner if one.state == "x"] == missing


def test_template_that_its_author_deleted_is_the_brands_to_make_again(accounts: TwoAccounts, tmp_path: Path) -> None:
    world = make_world(accounts, tmp_path, "CUSTOM")
    brand: Any = make_client(accounts.brand)
    keys = {"membershipIdentifier": find_membership(brand, world.project.name)}
    (template,) = brand.list_analysis_templates(**keys)["analysisTemplateSummaries"]
    brand.delete_analysis_template(**keys, analysisTemplateIdentifier=template["id"])
    assert "0 analysis templates named visit_totals" in world.refusal()
    (missing,) = world.missing()
    assert (missing.who, missing.fix) == ("brand", "create")
    assert "visit_totals" in missing.what


def test_rules_that_cannot_be_read_are_named_and_nothing_is_started(accounts: TwoAccounts, tmp_path: Path) -> None:
    world = make_world(accounts, tmp_path, "LIST")
    membership = find_membership(world.brand, world.project.name)
    absent = f"arn:aws:cleanrooms:us-east-1:{BRAND_ACCOUNT}:membership/{membership}/analysistemplate/{'0' * 8}"
    with pytest.raises(ServiceError, match=rf"so it was not started.*{absent}.*cleanrooms:BatchGetSchemaAnalysisRule"):
        check_query(world.brand, membership, TemplateRun(absent))
    unread = [{"name": "people", "type": "LIST", "code": "AccessDeniedException", "message": "no"}]
    with pytest.raises(ServiceError, match=r"the analysis rule of people can't be read.*people: AccessDeniedException"):
        refuse_unread("analysis rule", unread, "room")


def test_what_the_checker_cannot_tell_is_logged_and_left_to_the_service(
    accounts: TwoAccounts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(accounts, tmp_path, "LIST")
    query = world.project.run_settings().query
    assert query is not None
    sql = f"{build_list_query(query)} WHERE p.amount BETWEEN 1 AND 2"
    verdict = check_query(world.brand, find_membership(world.brand, world.project.name), sql)
    assert verdict.unsure
    assert not verdict.rejections
    assert "not known whether Clean Rooms runs this: " in caplog.text


def test_used_up_privacy_budget_and_rows_under_privacy_are_refused_before_the_query_starts(
    accounts: TwoAccounts, tmp_path: Path
) -> None:
    world = make_world(accounts, tmp_path, "CUSTOM")
    ask_for_privacy(world)
    world.partner.create_privacy_budget_template(
        membershipIdentifier=find_membership(world.partner, world.project.name),
        autoRefresh="NONE",
        privacyBudgetType="DIFFERENTIAL_PRIVACY",
        parameters={"differentialPrivacy": {"epsilon": 1, "usersNoisePerQuery": 10}},
    )
    for text in (world.refusal(), world.service_refusal()):
        assert "the final SELECT must aggregate" in text
    membership = find_membership(world.brand, world.project.name)
    world.change_rule(
        allowedAnalyses=["ANY_QUERY"],
        allowedAnalysisProviders=[BRAND_ACCOUNT],
        differentialPrivacy={"columns": [{"name": "hashed_id"}]},
    )
    totals = ", ".join(f"COUNT({number}) AS n{number}" for number in range(8))  # one more than the budget has
    with pytest.raises(ContractError, match="8 x COUNT, but the privacy budget has 7 left"):
        check_query(world.brand, membership, f"SELECT {totals} FROM partner_attributes")


def test_partners_threshold_leaves_every_row_of_the_template_out(accounts: TwoAccounts, tmp_path: Path) -> None:
    world = make_world(accounts, tmp_path, "CUSTOM")
    world.change_rule(
        aggregationThresholds=[
            {
                "identityColumns": ["hashed_id"],
                "minimumIdentityCount": 2,
                "type": "COUNT_DISTINCT",
                "allowedAggregateExpressionType": "ANY_EXPRESSION",
            }
        ]
    )
    inputs = tmp_path / "inputs" / "contacts"
    inputs.mkdir(parents=True)
    (inputs / "contacts.parquet").write_bytes((tmp_path / "contacts.parquet").read_bytes())
    with pytest.raises(ContractError, match="the query result is empty"):
        query_clean_rooms(world.project.run_settings(), inputs.parent, tmp_path / "out", "run-1", NEW_QUERY)


def test_plan_holds_a_template_against_what_the_partner_added_to_the_rule(
    accounts: TwoAccounts, tmp_path: Path
) -> None:
    world = make_world(accounts, tmp_path, "CUSTOM")
    keys = {"membershipIdentifier": find_membership(world.brand, world.project.name)}
    (template,) = world.brand.list_analysis_templates(**keys)["analysisTemplateSummaries"]
    world.brand.delete_analysis_template(**keys, analysisTemplateIdentifier=template["id"])
    half = Half(world.brand, world.side.agreement, "brand", world.side.table, world.side.template, is_plan=True)
    half.complete()
    world.change_rule(disallowedOutputColumns=["hashed_id", "amount"])
    with pytest.raises(ContractError, match=r"so it was not stored.*amount of partner_attributes may not contribute"):
        half.complete()


@pytest.mark.parametrize(
    ("abilities", "refused", "said"),
    [
        (["CAN_RECEIVE_RESULTS"], "CAN_QUERY", "CAN_QUERY"),
        (["CAN_QUERY"], "is not an active member who can receive results", "CAN_RECEIVE_RESULTS"),
    ],
    ids=["query", "receive"],
)
def test_brand_without_an_ability_is_refused_and_told_which(
    accounts: TwoAccounts, tmp_path: Path, abilities: list[str], refused: str, said: str
) -> None:
    name = f"world-{next(NUMBERS)}"
    brand: Any = make_client(accounts.brand)
    brand.create_collaboration(
        name=name,
        description="without an ability",
        creatorDisplayName="brand",
        creatorMemberAbilities=abilities,
        creatorPaymentConfiguration={"queryCompute": {"isResponsible": "CAN_QUERY" in abilities}},
        members=[{"accountId": PARTNER_ACCOUNT, "displayName": "partner", "memberAbilities": []}],
        queryLogStatus="DISABLED",
    )
    world = make_world(accounts, tmp_path, "LIST", name)
    assert refused in world.service_refusal()
    lacking = [one for one in world.missing() if said in one.what]
    assert [one.who for one in lacking] == ["brand"]
    found = find_missing(brand, world.side.agreement, "brand", COMMANDS)
    assert [one.what for one in found if one.state == "!"] == ["query log or metrics of the collaboration are off"]


def test_partner_does_not_join_where_it_would_pay_for_the_brands_queries(accounts: TwoAccounts, tmp_path: Path) -> None:
    name = f"world-{next(NUMBERS)}"
    brand: Any = make_client(accounts.brand)
    pays, does_not = ({"queryCompute": {"isResponsible": one}} for one in (True, False))
    partner = {"accountId": PARTNER_ACCOUNT, "displayName": "partner", "memberAbilities": []}
    brand.create_collaboration(
        name=name,
        description="the partner pays",
        creatorDisplayName="brand",
        creatorMemberAbilities=["CAN_QUERY", "CAN_RECEIVE_RESULTS"],
        creatorPaymentConfiguration=does_not,
        members=[partner | {"paymentConfiguration": pays}],
        queryLogStatus="ENABLED",
    )
    with pytest.raises(ServiceError, match="makes this account pay for its queries"):
        make_world(accounts, tmp_path, "LIST", name)
    agreement = open_side(tmp_path, BRAND_ACCOUNT).agreement
    found = find_missing(brand, agreement, "brand", COMMANDS)
    assert [one.who for one in found if "pays for queries and has not joined" in one.what] == ["partner"]
    joined = pages(make_client(accounts.partner), "list_memberships", "membershipSummaries")
    assert name not in {one["collaborationName"] for one in joined}
