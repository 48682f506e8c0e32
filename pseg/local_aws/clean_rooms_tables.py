"""Configured tables, their associations with a collaboration, the analysis rules of both, and schemas.

Refused: what Glue does not know, rules that name columns which are not allowed or that are not enforced here,
receivers who are no members.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from pseg.local_aws.clean_rooms_records import (
    Record,
    State,
    check_no_parts,
    conflict,
    each,
    having,
    invalid,
    now,
    page,
    policy_content,
    rule_of,
    view,
    within_quota,
)
from pseg.local_aws.clean_rooms_sql import RoomTable
from pseg.local_aws.wire import Call

COLUMN_LISTS = frozenset(  # members of rule policies that name columns of the configured table
    "joinColumns listColumns dimensionColumns columnNames columnName disallowedOutputColumns identityColumns name"
    " allowedLiteralComparisonColumns allowedColumnComparisonColumns".split()
)
NOT_ENFORCED = ("allowedResultReceivers", "allowedAdditionalAnalyses")  # in a table's rule: the association's to set
TEXT_TYPES = ("string", "varchar", "char")
DISJOINT_LISTS = {"list": [("joinColumns", "listColumns")], "aggregation": [("joinColumns", "dimensionColumns")]}


def columns_named(policy: Any) -> Iterator[str]:
    """Every column of its table that a rule policy names."""
    for key, value in policy.items() if isinstance(policy, dict) else ():
        if key in COLUMN_LISTS:
            yield from [value] if isinstance(value, str) else value
        else:
            for inner in value if isinstance(value, list) else [value]:
                yield from columns_named(inner)


def check_custom(content: Record, types: dict[str, str]) -> None:
    """Refuse in a CUSTOM rule what does not go together (User Guide, "Custom analysis rule") or is not enforced."""
    (threshold,) = content.get("aggregationThresholds") or [{}]
    (identity,) = threshold.get("identityColumns") or [""]
    controls = content.get("comparisonControls")
    if "differentialPrivacy" in content and (threshold or controls is not None):
        raise invalid("differentialPrivacy: not together with aggregationThresholds or comparisonControls")
    if threshold.get("outputColumnThresholds"):
        text = "the documents do not say which rows an override keeps, so the embedded AWS does not enforce it"
        raise invalid(f"aggregationThresholds.outputColumnThresholds: {text}")
    if identity in types and not types[identity].startswith(TEXT_TYPES):
        raise invalid(f"aggregationThresholds.identityColumns: {identity} is {types[identity]}, not a string")
    if identity in (controls or {}).get("allowedLiteralComparisonColumns", ()):
        raise invalid(f"allowedLiteralComparisonColumns: {identity} is the identity column of aggregationThresholds")
    for name in NOT_ENFORCED:
        if name in content:
            raise invalid(f"analysisRulePolicy.{name}: the embedded AWS does not enforce it in the rule of a table")
    analyses, providers = content["allowedAnalyses"], content.get("allowedAnalysisProviders")
    if "ANY_JOB" in analyses:
        raise invalid("allowedAnalyses: ANY_JOB, but the table's analysisMethod is DIRECT_QUERY")
    if "ANY_QUERY" in analyses and len(analyses) > 1:
        raise invalid("allowedAnalyses: either ANY_QUERY or analysis templates")
    if providers and "ANY_QUERY" not in analyses:
        raise invalid("allowedAnalysisProviders: only with ANY_QUERY among allowedAnalyses")


def reasons(table: Record, link: Record, analysis: str, has_privacy_budget: bool) -> list[dict[str, str]]:
    """Say why a table cannot take part in an analysis; empty if it can.

    Codes: SchemaStatusReasonCode of the model. When each holds is our reading of its name.
    """
    rule, shared = policy_content(table["rule"]), policy_content(link["rule"])
    ruled, linked, direct = bool(table["rule"]), bool(link["rule"]), analysis == "DIRECT_ANALYSIS"
    other = ruled and linked and table["rule"]["type"] != link["rule"]["type"]
    analyses = rule.get("allowedAnalyses")
    provided = "ANY_QUERY" not in (analyses or ()) or rule.get("allowedAnalysisProviders")
    additional = rule.get("additionalAnalyses", "NOT_ALLOWED")
    receivers, followers = shared.get("allowedResultReceivers"), shared.get("allowedAdditionalAnalyses")
    found = [
        ("ANALYSIS_RULE_MISSING", "the table has no analysis rule", not ruled),
        ("COLLABORATION_ANALYSIS_RULE_NOT_CONFIGURED", "the association has no analysis rule", not linked),
        ("ANALYSIS_RULE_TYPES_NOT_COMPATIBLE", "table and association have rules of different types", other),
    ]
    unbudgeted = "differentialPrivacy" in rule and not has_privacy_budget
    if direct:
        found += [
            ("DIFFERENTIAL_PRIVACY_POLICY_NOT_CONFIGURED", "there is no privacy budget template", unbudgeted),
            ("ANALYSIS_TEMPLATES_NOT_CONFIGURED", "the custom rule allows no analysis", analyses == []),
            ("ANALYSIS_PROVIDERS_NOT_CONFIGURED", "the custom rule names no provider of queries", not provided),
            ("RESULT_RECEIVERS_NOT_ALLOWED", "the rule allows no direct results", additional == "REQUIRED"),
            ("RESULT_RECEIVERS_NOT_CONFIGURED", "the association names no receiver", linked and not receivers),
        ]
    else:
        found += [
            ("ADDITIONAL_ANALYSES_NOT_ALLOWED", "the rule does not", ruled and additional == "NOT_ALLOWED"),
            ("ADDITIONAL_ANALYSES_NOT_CONFIGURED", "the association names none", linked and not followers),
        ]
    return [{"code": code, "message": text} for code, text, holds in found if holds]


class Tables(State):
    """Configured tables, associations and rules."""

    # -- configured tables and their rules

    def create_configured_table(self, call: Call, given: Record) -> Record:
        """Offer a Glue table of the account to collaborations."""
        within_quota("Configured tables per account", having(self.tables, account=call.account))
        table = self.new(call, "configuredtable", given) | {"tableType": "GLUE"}
        table.update(self.check_table(call, table))
        self.tables[table["id"]] = table
        return {"configuredTable": view("ConfiguredTable", table)}

    def get_configured_table(self, call: Call, given: Record) -> Record:
        """Describe a configured table to its account."""
        return {"configuredTable": view("ConfiguredTable", self.table(call, given))}

    def update_configured_table(self, call: Call, given: Record) -> Record:
        """Change a configured table; columns that its rule names must stay allowed."""
        table = self.table(call, given)
        changes = {key: value for key, value in given.items() if key != "configuredTableIdentifier"}
        changed = table | changes
        columns = self.check_table(call, changed)
        if used := sorted(set(columns_named((table["rule"] or {}).get("policy"))) - set(changed["allowedColumns"])):
            text = f"allowedColumns: the analysis rule names {', '.join(used)}; change the rule first"
            raise conflict("CONFIGURED_TABLE", table["id"], "INVALID_STATE", text)
        table.update(changes, **columns, updateTime=now())
        return {"configuredTable": view("ConfiguredTable", table)}

    def list_configured_tables(self, call: Call, given: Record) -> Record:
        """List the account's configured tables."""
        own = having(self.tables, account=call.account)
        return page("configuredTableSummaries", "ConfiguredTableSummary", own, given)

    def delete_configured_table(self, call: Call, given: Record) -> None:
        """Withdraw a configured table that nothing uses any more."""
        table = self.table(call, given)
        links = [one["id"] for one in having(self.links, configuredTableId=table["id"])]
        check_no_parts(
            "CONFIGURED_TABLE", table["id"], {"associations": links, "an analysis rule": table["analysisRuleTypes"]}
        )
        del self.tables[table["id"]]

    # -- associations and their rules

    def create_configured_table_association(self, call: Call, given: Record) -> Record:
        """Bring a configured table into a collaboration, under the name that SQL uses."""
        membership, table = self.membership(call, given, active=True), self.table(call, given)
        within_quota("Configured table associations per membership", having(self.links, membershipId=membership["id"]))
        self.check_role(call, given["roleArn"])
        for other in self.links_in(membership["collaborationId"]):
            if other["name"].lower() == given["name"].lower():
                text = f"the collaboration has a table named {other['name']} already"
                raise conflict("CONFIGURED_TABLE_ASSOCIATION", other["id"], "ALREADY_EXISTS", text)
        link = self.new(call, f"configuredtableassociation/{membership['id']}", given) | {
            "configuredTableId": table["id"],
            "configuredTableArn": table["arn"],
            "membershipId": membership["id"],
            "membershipArn": membership["arn"],
        }
        self.links[link["id"]] = link
        return {"configuredTableAssociation": view("ConfiguredTableAssociation", link)}

    def get_configured_table_association(self, call: Call, given: Record) -> Record:
        """Describe an association to its account."""
        return {"configuredTableAssociation": view("ConfiguredTableAssociation", self.link(call, given))}

    def update_configured_table_association(self, call: Call, given: Record) -> Record:
        """Change description or role; the name stays."""
        link = self.link(call, given)
        if "roleArn" in given:
            self.check_role(call, given["roleArn"])
        link.update({key: given[key] for key in ("description", "roleArn") if key in given}, updateTime=now())
        return {"configuredTableAssociation": view("ConfiguredTableAssociation", link)}

    def list_configured_table_associations(self, call: Call, given: Record) -> Record:
        """List the associations of a membership."""
        links = having(self.links, membershipId=self.membership(call, given)["id"])
        return page("configuredTableAssociationSummaries", "ConfiguredTableAssociationSummary", links, given)

    def delete_configured_table_association(self, call: Call, given: Record) -> None:
        """Take a table out of a collaboration."""
        link = self.link(call, given)
        check_no_parts("CONFIGURED_TABLE_ASSOCIATION", link["id"], {"an analysis rule": link["analysisRuleTypes"]})
        del self.links[link["id"]]

    # -- rules of tables (one each) and of associations

    def ruled(self, call: Call, given: Record) -> tuple[Record, str]:
        """Find what a rule call speaks of, a configured table or an association, and the shape of its rule."""
        if "configuredTableIdentifier" in given:
            return self.table(call, given), "ConfiguredTableAnalysisRule"
        return self.link(call, given), "ConfiguredTableAssociationAnalysisRule"

    def create_rule(self, call: Call, given: Record) -> Record:
        """Put a rule on a table or an association that has none."""
        record, shape = self.ruled(call, given)
        if record["rule"]:
            raise conflict(record["kind"], record["id"], "ALREADY_EXISTS", "there is an analysis rule already")
        self.check_policy(record, given)
        ids = {f"configuredTable{part}": record[key] for part, key in (("Id", "id"), ("Arn", "arn"))}
        if "membershipId" in record:
            ids = {f"configuredTableAssociation{part}": record[key] for part, key in (("Id", "id"), ("Arn", "arn"))}
            ids["membershipIdentifier"] = record["membershipId"]
        rule = {"policy": given["analysisRulePolicy"], "type": given["analysisRuleType"], "createTime": now()}
        record.update(rule=ids | rule | {"updateTime": now()}, analysisRuleTypes=[given["analysisRuleType"]])
        return {"analysisRule": view(shape, record["rule"])}

    def get_rule(self, call: Call, given: Record) -> Record:
        """Describe a rule to the account that set it."""
        record, shape = self.ruled(call, given)
        return {"analysisRule": view(shape, rule_of(record, given["analysisRuleType"]))}

    def update_rule(self, call: Call, given: Record) -> Record:
        """Change a rule within its type."""
        record, shape = self.ruled(call, given)
        rule = rule_of(record, given["analysisRuleType"])
        self.check_policy(record, given)
        rule.update(policy=given["analysisRulePolicy"], updateTime=now())
        return {"analysisRule": view(shape, rule)}

    def delete_rule(self, call: Call, given: Record) -> None:
        """Take a rule away; the table can no longer be queried."""
        record, _ = self.ruled(call, given)
        rule_of(record, given["analysisRuleType"])
        record.update(rule=None, analysisRuleTypes=[])

    create_configured_table_analysis_rule = create_configured_table_association_analysis_rule = create_rule
    get_configured_table_analysis_rule = get_configured_table_association_analysis_rule = get_rule
    update_configured_table_analysis_rule = update_configured_table_association_analysis_rule = update_rule
    delete_configured_table_analysis_rule = delete_configured_table_association_analysis_rule = delete_rule

    # -- checking things

    def check_table(self, call: Call, table: Record) -> Record:
        """Hold a configured table against Glue; return its columns with their types."""
        within_quota("Allowed columns per configured table", table["allowedColumns"][1:])
        if "glue" not in (reference := table["tableReference"]):
            raise invalid(f"tableReference: the embedded AWS has Glue tables only, not {', '.join(reference)}")
        if table["analysisMethod"] != "DIRECT_QUERY":
            raise invalid("analysisMethod: the embedded AWS runs SQL only (DIRECT_QUERY)")
        glue = reference["glue"]
        if glue.get("region", call.region) != call.region:
            raise invalid(f"tableReference.glue.region: the embedded AWS has one region, {call.region}")
        try:
            client = self.aws.client("glue", self.aws.keys[call.account], call.region)
            found = client.get_table(DatabaseName=glue["databaseName"], Name=glue["tableName"])["Table"]
        except ClientError as error:
            raise invalid(
                f"tableReference: {glue['databaseName']}.{glue['tableName']}: {error.response['Error']['Message']}"
            ) from error
        groups = {
            "columns": found.get("StorageDescriptor", {}).get("Columns", []),
            "partitionKeys": found.get("PartitionKeys", []),
        }
        allowed = table["allowedColumns"]
        known = {
            group: [
                {"name": one["Name"].lower(), "type": one.get("Type", "string")}
                for one in columns
                if one["Name"].lower() in allowed
            ]
            for group, columns in groups.items()
        }
        names = {column["name"] for columns in known.values() for column in columns}
        if absent := [name for name in allowed if name not in names]:
            raise invalid(
                f"allowedColumns: not in Glue table {glue['databaseName']}.{glue['tableName']}: {', '.join(absent)}"
            )
        if len(set(allowed)) != len(allowed):
            raise invalid("allowedColumns: a column is named twice")
        return known

    def check_policy(self, record: Record, given: Record) -> None:
        """Hold a rule against its type and its table; an association's against the table's rule and the members."""
        ((kind, content),) = given["analysisRulePolicy"]["v1"].items()
        if kind.upper() != given["analysisRuleType"]:
            raise invalid(f"analysisRulePolicy: for {kind}, but analysisRuleType is {given['analysisRuleType']}")
        if "membershipId" in record:
            rule = self.tables[record["configuredTableId"]]["rule"]
            if rule is None or rule["type"] != given["analysisRuleType"]:
                raise invalid(f"analysisRuleType: the configured table has {rule['type'] if rule else 'no'} rule")
            collaboration = self.collaborations.get(self.memberships[record["membershipId"]]["collaborationId"], {})
            if strange := set(content.get("allowedResultReceivers", [])) - set(collaboration.get("members", {})):
                raise invalid(f"allowedResultReceivers: not members of the collaboration: {', '.join(sorted(strange))}")
            return
        if kind == "custom":
            check_custom(content, {one["name"]: one["type"] for one in record["columns"]})
        if len(json.dumps(content)) > 100_000:
            raise invalid("analysisRulePolicy: larger than 100 KB")
        if strange := set(columns_named(content)) - set(record["allowedColumns"]):
            raise invalid(f"analysisRulePolicy: not among the table's allowedColumns: {', '.join(sorted(strange))}")
        for one, other in DISJOINT_LISTS.get(kind, []):
            if both := sorted(set(content[one]) & set(content[other])):
                raise invalid(f"analysisRulePolicy: in {one} and in {other}: {', '.join(both)}")

    # -- schemas, as every member sees them

    def get_schema(self, call: Call, given: Record) -> Record:
        """Describe a table of the collaboration and say for what it is ready."""
        return {"schema": self.schema(self.collaboration(call, given, joined=True), given["name"])}

    def list_schemas(self, call: Call, given: Record) -> Record:
        """List the tables of the collaboration."""
        collaboration = self.collaboration(call, given, joined=True)
        names = [link["name"] for link in self.links_in(collaboration["id"])]
        schemas = [self.schema(collaboration, name) for name in names if given.get("schemaType", "TABLE") == "TABLE"]
        return page("schemaSummaries", "SchemaSummary", schemas, given)

    def batch_get_schema(self, call: Call, given: Record) -> Record:
        """Describe several tables; those that are not there come back as errors."""
        collaboration = self.collaboration(call, given, joined=True)
        found, errors = each(given["names"], lambda name: self.schema(collaboration, name), str)
        return {"schemas": found, "errors": errors}

    def get_schema_analysis_rule(self, call: Call, given: Record) -> Record:
        """Show the rule of a table, the collaboration's rule for it, and both as one."""
        return {"analysisRule": self.schema_rule(self.collaboration(call, given, joined=True), given)}

    def batch_get_schema_analysis_rule(self, call: Call, given: Record) -> Record:
        """Show several rules; those that are not there come back as errors."""
        collaboration = self.collaboration(call, given, joined=True)
        wanted = given["schemaAnalysisRuleRequests"]
        found, errors = each(wanted, lambda one: self.schema_rule(collaboration, one), lambda one: str(one["name"]))
        types = {one["name"]: one["type"] for one in wanted}
        return {"analysisRules": found, "errors": [error | {"type": types[error["name"]]} for error in errors]}

    def schema(self, collaboration: Record, name: str) -> Record:
        """Describe one table of a collaboration."""
        link, table = self.link_named(collaboration, name)
        details = []
        for analysis in ("DIRECT_ANALYSIS", "ADDITIONAL_ANALYSIS"):
            why = reasons(table, link, analysis, bool(having(self.budgets, collaborationId=collaboration["id"])))
            status: Record = {"status": "NOT_READY" if why else "READY", "reasons": why, "configurations": []}
            kind = {"analysisRuleType": table["rule"]["type"]} if table["rule"] else {}
            details.append(status | kind | {"analysisType": analysis})
        facts = link | {key: table[key] for key in ("columns", "partitionKeys", "analysisRuleTypes", "analysisMethod")}
        room = f"arn:aws:cleanrooms:{link['arn'].split(':')[3]}:{link['account']}:membership/{link['membershipId']}"
        return view("Schema", facts) | {
            "creatorAccountId": link["account"],
            "collaborationId": collaboration["id"],
            "collaborationArn": collaboration["arn"],
            "description": link.get("description", ""),
            "type": "TABLE",
            "schemaStatusDetails": details,
            "resourceArn": f"{room}/configuredtableassociation/{link['id']}",
            "schemaTypeProperties": {"configuredTableAssociation": {"configuredTableAssociationId": link["id"]}},
        }

    def schema_rule(self, collaboration: Record, wanted: Record) -> Record:
        """Describe the rule of one table of a collaboration."""
        link, table = self.link_named(collaboration, wanted["name"])
        rule = rule_of(table, wanted["type"])
        answer = rule | {"collaborationId": collaboration["id"], "name": link["name"]}
        if link["rule"] and link["rule"]["type"] == rule["type"]:
            kind = rule["type"].lower()
            answer["collaborationPolicy"] = link["rule"]["policy"]
            answer["consolidatedPolicy"] = {"v1": {kind: policy_content(rule) | policy_content(link["rule"])}}
        return view("AnalysisRule", answer)

    def schemas(self, collaboration: Record) -> list[Record]:
        """Describe all tables of a collaboration with their rules, for the checker of analysis rules."""
        return [
            {
                "schema": self.schema(collaboration, link["name"]),
                "analysisRules": [
                    self.schema_rule(collaboration, {"name": link["name"], "type": kind})
                    for kind in self.tables[link["configuredTableId"]]["analysisRuleTypes"]
                ],
            }
            for link in self.links_in(collaboration["id"])
        ]

    def room_table(self, link: Record) -> RoomTable:
        """Describe an association to the engine."""
        table = self.tables[link["configuredTableId"]]
        columns = {column["name"]: column["type"] for column in [*table["columns"], *table["partitionKeys"]]}
        return RoomTable(
            name=link["name"].lower(),
            owner=link["account"],
            columns={name: columns[name] for name in table["allowedColumns"]},
            database=table["tableReference"]["glue"]["databaseName"],
            glue_table=table["tableReference"]["glue"]["tableName"],
            role_arn=link["roleArn"],
        )
