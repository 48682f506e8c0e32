"""A two-party collaboration as code: each party makes its own half, with its own credentials.

The brand creates the collaboration, queries and receives; the partner only provides. What exists by its name and agrees
is used, what is missing is made, what differs is an error that names it. Both tables carry a LIST rule, or a CUSTOM
rule that allows analysis templates and lets no join column out. Query logs and metrics are on. Order of calls and
names: AWS Clean Rooms API reference.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import boto3

from clean_rooms.agreement import Agreement, OfferedTable, Party, RuleType, TemplateText
from clean_rooms.lookup import associations, content_of, differs, find, find_collaboration, members_of, pages, policy
from clean_rooms.protected_query import make_client
from clean_rooms.query_check import check_template
from clean_rooms.template_sql import hash_sql
from clean_rooms.templates import check_text, create_template, templates_in
from contracts.errors import ServiceError

if TYPE_CHECKING:
    from mypy_boto3_cleanrooms import CleanRoomsServiceClient

logger = logging.getLogger(__name__)

BRAND_ABILITIES: tuple[Literal["CAN_QUERY"], Literal["CAN_RECEIVE_RESULTS"]] = ("CAN_QUERY", "CAN_RECEIVE_RESULTS")
State = Literal["there", "made", "changed", "missing", "waits"]


@dataclass(frozen=True)
class Collaboration:
    """What both parties ended up with."""

    id: str
    brand_membership_id: str
    partner_membership_id: str


@dataclass(frozen=True)
class Part:
    """One thing of a party's half; ``note`` says what it holds, what would change, or what it waits for."""

    kind: str
    name: str
    state: State
    note: str = ""


@dataclass
class Half:
    """One party's half: what it found and made, in the service's order. ``is_plan``: nothing is made or changed."""

    client: CleanRoomsServiceClient
    agreement: Agreement
    party: Party
    table: OfferedTable
    template: TemplateText | None = None
    is_plan: bool = False
    parts: list[Part] = field(default_factory=list)
    collaboration_id: str | None = None
    membership_id: str | None = None

    def complete(self) -> None:
        """Find every part, and make what is missing as far as the other party's half allows.

        Raises
        ------
        ContractError
            If the template's text breaks a rule; then nothing is made.
        ServiceError
            If something of the same name exists but differs, or the party is not invited.
        """
        self.parts.clear()
        if self.template:
            check_template(self.client, None, self.agreement, self.template.sql)
        self.collaboration_id, name = self.ensure_collaboration()
        self.membership_id = self.ensure_membership(name)
        table_id = self.ensure_table(f"{name}-{self.table.name}")
        association_id = self.ensure_association(table_id)
        arns = self.ensure_templates() if self.agreement.rule == "CUSTOM" else []
        self.ensure_table_rule(table_id, f"{name}-{self.table.name}", arns)
        self.ensure_association_rule(association_id)

    def ensure(self, kind: str, name: str, found: str | None, make: Callable[[], str], note: str = "") -> str | None:
        """Return the id of what is there, or of what was made now; None where it is only planned."""
        if found is None and not self.is_plan:
            found = make()
            self.parts.append(Part(kind, name, "made", note))
        else:
            self.parts.append(Part(kind, name, "there" if found else "missing", note))
        return found

    def ensure_collaboration(self) -> tuple[str | None, str]:
        """Return the collaboration's id and name; only the brand creates one."""
        agreed, other = self.agreement, self.agreement.accounts["partner" if self.party == "brand" else "brand"]
        found, name = find_collaboration(self.client, agreed.collaboration)
        if found and other not in (there := members_of(self.client, found)):
            raise differs("collaboration", name, "member accounts", there, [other])
        if self.party == "brand":

            def create() -> str:
                return self.client.create_collaboration(
                    name=name,
                    description=f"Predictive segments: {name}",
                    creatorDisplayName="brand",
                    creatorMemberAbilities=[*BRAND_ABILITIES],
                    members=[{"accountId": agreed.partner_account, "displayName": "partner", "memberAbilities": []}],
                    queryLogStatus="ENABLED",
                    isMetricsEnabled=True,
                    analyticsEngine="SPARK",
                )["collaboration"]["id"]

            return self.ensure("collaboration", name, found, create, f"with account {other}"), name
        if found is None and not self.is_plan:
            raise ServiceError(
                f"this account is not invited to a collaboration named {name}",
                where="AWS Clean Rooms",
                why=f"only account {other} creates it, and invites account {agreed.partner_account}",
                fix="ask the brand to run: pseg collaboration create PROJECT",
            )
        waits = f"until account {other} creates it and invites this account"
        self.parts.append(Part("collaboration", name, "there" if found else "waits", "" if found else waits))
        return found, name

    def ensure_membership(self, name: str) -> str | None:
        """Return this account's membership."""
        room = self.collaboration_id
        found = None
        if room:
            own = pages(self.client, "list_memberships", "membershipSummaries", status="ACTIVE")
            found = find(own, collaborationId=room)

        def join() -> str:
            answer = self.client.create_membership(
                collaborationIdentifier=str(room), queryLogStatus="ENABLED", isMetricsEnabled=True
            )
            return answer["membership"]["id"]

        if room and not found and self.party == "partner":
            self.refuse_to_pay(room)
        return self.ensure("membership", name, found, join)

    def refuse_to_pay(self, collaboration_id: str) -> None:
        """Refuse to join where the partner would pay for the brand's queries."""
        own = members_of(self.client, collaboration_id)[self.agreement.partner_account]
        if own["paymentConfiguration"]["queryCompute"]["isResponsible"]:
            raise ServiceError(
                "the collaboration makes this account pay for its queries",
                where=f"collaboration {collaboration_id}",
                why="paymentConfiguration.queryCompute.isResponsible is true for the partner",
                fix="the brand creates it so that the brand pays; to agree to pay, join by hand",
            )

    def ensure_table(self, name: str) -> str | None:
        """Return the configured table of this name, which is unique in the account: several projects may have one."""
        table = self.table
        columns = [*table.terms.columns]
        found = find(pages(self.client, "list_configured_tables", "configuredTableSummaries"), name=name)
        if found:
            there = self.client.get_configured_table(configuredTableIdentifier=found)["configuredTable"]
            if set(there["allowedColumns"]) != set(columns):
                raise differs("configured table", name, "columns", there["allowedColumns"], columns)
            glue = there["tableReference"].get("glue", {})
            place = [glue.get("databaseName", ""), glue.get("tableName", "")]
            if place != [table.glue_database, table.glue_table]:
                raise differs("configured table", name, "Glue table", place, [table.glue_database, table.glue_table])

        def create() -> str:
            return self.client.create_configured_table(
                name=name,
                tableReference={"glue": {"databaseName": table.glue_database, "tableName": table.glue_table}},
                allowedColumns=columns,
                analysisMethod="DIRECT_QUERY",
            )["configuredTable"]["id"]

        source = f"{table.glue_database}.{table.glue_table}: {', '.join(columns)}"
        return self.ensure("configured table", name, found, create, source)

    def ensure_association(self, table_id: str | None) -> str | None:
        """Return the association that brings the table into the collaboration."""
        table, membership = self.table, self.membership_id
        found = None
        if membership and table_id:
            found = find(associations(self.client, membership), configuredTableId=table_id)
        if found:
            there = self.client.get_configured_table_association(
                membershipIdentifier=str(membership), configuredTableAssociationIdentifier=found
            )["configuredTableAssociation"]
            if (there["name"], there["roleArn"]) != (table.name, table.role_arn):
                names = [there["name"], there["roleArn"]]
                raise differs("table association", there["name"], "name or role", names, [table.name, table.role_arn])

        def create() -> str:
            return self.client.create_configured_table_association(
                name=table.name,
                membershipIdentifier=str(membership),
                configuredTableIdentifier=str(table_id),
                roleArn=table.role_arn,
            )["configuredTableAssociation"]["id"]

        return self.ensure("table association", table.name, found, create, f"read as {table.role_arn}")

    def ensure_templates(self) -> list[str] | None:
        """Return the ARNs of the agreed templates, None while one of them is not there.

        The brand stores its template once the partner's table, which the text names, is in the collaboration, if the
        text keeps that table's rule. Whoever allows it compares its text.
        """
        arns = []
        for name, sha256 in self.agreement.templates.items():
            there = templates_in(self.client, str(self.collaboration_id)) if self.membership_id else []
            found = [one["arn"] for one in there if one["name"] == name]
            if len(found) > 1:
                raise differs("analysis template", name, "number", found, ["one"])
            if found:
                check_text(self.client, str(self.collaboration_id), found[0], name, sha256)
            elif self.template and (table := self.agreement.partner_table.name) in self.tables_there():
                check_template(self.client, self.collaboration_id, self.agreement, self.template.sql)
                made = self.ensure("analysis template", name, None, self.create_template, f"SHA-256 {sha256}")
                arns += [made] if made else []
                continue
            else:
                waits = (
                    f"until the partner's table {table} is associated" if self.template else "until the brand makes it"
                )
                self.parts.append(Part("analysis template", name, "waits", waits))
                continue
            self.parts.append(Part("analysis template", name, "there", found[0]))
            arns += found
        return arns if len(arns) == len(self.agreement.templates) else None

    def create_template(self) -> str:
        """Store the brand's template."""
        text = self.template
        if text is None or self.membership_id is None:
            raise ServiceError("there is no template to store", where="analysis template")
        return create_template(self.client, self.membership_id, text.name, text.sql)

    def tables_there(self) -> set[str]:
        """Names of the tables that are associated with the collaboration."""
        if not (self.collaboration_id and self.membership_id):
            return set()
        room = self.collaboration_id
        return {
            one["name"] for one in pages(self.client, "list_schemas", "schemaSummaries", collaborationIdentifier=room)
        }

    def ensure_table_rule(self, table_id: str | None, name: str, arns: list[str] | None) -> None:
        """Give the table its rule: LIST, or CUSTOM that allows exactly the agreed templates; None: as they are now.

        Of a CUSTOM rule only the allowed templates are ever changed; what its owner has added to it stays.
        """
        kind = self.agreement.rule
        there: Any = None
        if table_id:
            there = self.client.get_configured_table(configuredTableIdentifier=table_id)["configuredTable"]
        if there and there["analysisRuleTypes"] not in ([], [kind]):
            raise ServiceError(
                f"the configured table {name} has a rule of type {', '.join(there['analysisRuleTypes'])}",
                where="AWS Clean Rooms",
                why=f"rule = {kind} is agreed, and a table has one rule",
                fix="its owner runs pseg collaboration teardown --table-only and then this again, or both keep it",
            )
        wanted = self.table_policy(kind, arns or [])
        said = "; ".join(f"{key} {', '.join(value) or 'none yet'}" for key, value in wanted.items())
        if there is None or not there["analysisRuleTypes"]:

            def create() -> str:
                self.client.create_configured_table_analysis_rule(
                    configuredTableIdentifier=str(table_id),
                    analysisRuleType=kind,
                    analysisRulePolicy=policy(kind, wanted),
                )
                return kind

            self.ensure(f"{kind} analysis rule", name, None, create, said)
            return
        rule = self.client.get_configured_table_analysis_rule(
            configuredTableIdentifier=str(table_id), analysisRuleType=kind
        )["analysisRule"]
        content = content_of(rule["policy"])
        allowed = wanted.pop("allowedAnalyses", None)
        for key, columns in wanted.items():
            if set(content.get(key) or ()) != set(columns):
                raise differs("analysis rule of", name, key, content.get(key) or (), columns)
        if allowed is None or arns is None or set(content["allowedAnalyses"]) == set(allowed):
            self.parts.append(Part(f"{kind} analysis rule", name, "there", said))
            return
        self.parts.append(Part(f"{kind} analysis rule", name, "changed", said))
        if not self.is_plan:
            logger.info("table %s now allows: %s", name, ", ".join(allowed))
            changed = {key: value for key, value in content.items() if key != "allowedAnalysisProviders"}
            self.client.update_configured_table_analysis_rule(
                configuredTableIdentifier=str(table_id),
                analysisRuleType=kind,
                analysisRulePolicy=policy(kind, changed | {"allowedAnalyses": allowed}),
            )

    def table_policy(self, kind: RuleType, arns: list[str]) -> dict[str, list[str]]:
        """Write what the rule of the own table says."""
        if kind == "CUSTOM":
            return {"allowedAnalyses": arns, "disallowedOutputColumns": [*self.table.join_columns]}
        return {"joinColumns": [*self.table.join_columns], "listColumns": [*self.table.list_columns]}

    def ensure_association_rule(self, association_id: str | None) -> None:
        """Give the association its rule: the brand may receive results made from the table."""
        kind, receivers = self.agreement.rule, [self.agreement.brand_account]
        keys: Any = {
            "membershipIdentifier": self.membership_id,
            "configuredTableAssociationIdentifier": association_id,
            "analysisRuleType": kind,
        }
        found = None
        if association_id:
            try:
                rule = self.client.get_configured_table_association_analysis_rule(**keys)["analysisRule"]
            except self.client.exceptions.ResourceNotFoundException:
                logger.debug("association %s has no %s rule yet", association_id, kind)
            else:
                found = kind
                receiving = content_of(rule["policy"]).get("allowedResultReceivers", [])
                if set(receiving) != set(receivers):
                    raise differs(
                        "rule of table association", self.table.name, "result receivers", receiving, receivers
                    )

        def create() -> str:
            self.client.create_configured_table_association_analysis_rule(
                **keys, analysisRulePolicy=policy(kind, {"allowedResultReceivers": receivers})
            )
            return kind

        self.ensure(f"{kind} rule of the association", self.table.name, found, create, f"results go to {receivers[0]}")


def create_collaboration(
    collaboration: str,
    brand: boto3.Session,
    partner: boto3.Session,
    brand_account: str,
    partner_account: str,
    brand_table: OfferedTable,
    partner_table: OfferedTable,
    template: TemplateText | None = None,
) -> Collaboration:
    """Play both parties: complete their halves in turn until nothing waits for the other one.

    Parameters
    ----------
    collaboration : str
        A name (the collaboration is created if there is none of it), or the id of a collaboration or of the brand's
        membership.
    brand, partner : Session
        Of the two accounts, whose ids are ``brand_account`` and ``partner_account``.
    brand_table, partner_table : OfferedTable
        What each of them offers.
    template : TemplateText, optional
        Makes the rules CUSTOM rules that allow exactly this template, which the brand stores; LIST rules without.

    Raises
    ------
    ServiceError
        If something of the same name exists but differs in what the rules depend on, or an id leads nowhere.
    """
    agreement = Agreement(
        collaboration,
        brand_account,
        partner_account,
        "CUSTOM" if template else "LIST",
        brand_table.terms,
        partner_table.terms,
        {template.name: hash_sql(template.sql)} if template else {},
    )
    ours = Half(make_client(brand), agreement, "brand", brand_table, template)
    ours.complete()
    theirs = Half(
        make_client(partner), replace(agreement, collaboration=str(ours.collaboration_id)), "partner", partner_table
    )
    theirs.complete()
    if template:  # it names both tables, and the partner allows it by its ARN: each has one more thing to do
        ours.complete()
        theirs.complete()
    return Collaboration(str(ours.collaboration_id), str(ours.membership_id), str(theirs.membership_id))
