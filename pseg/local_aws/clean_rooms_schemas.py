"""The tables of a collaboration as every member sees them, and what each is ready for."""

from __future__ import annotations

from pseg.local_aws.clean_rooms_queries import RoomTable
from pseg.local_aws.clean_rooms_records import Record, State, each, page, policy_content, rule_of, view
from pseg.local_aws.wire import Call

REASONS = {  # SchemaStatusReasonCode of the model; when each holds is our reading of its name
    "ANALYSIS_RULE_MISSING": "the configured table has no analysis rule",
    "COLLABORATION_ANALYSIS_RULE_NOT_CONFIGURED": "the association has no collaboration analysis rule",
    "ANALYSIS_RULE_TYPES_NOT_COMPATIBLE": "the rules of table and association are of different types",
    "ANALYSIS_TEMPLATES_NOT_CONFIGURED": "the custom rule allows no analysis",
    "ANALYSIS_PROVIDERS_NOT_CONFIGURED": "the custom rule allows any query but names no provider",
    "DIFFERENTIAL_PRIVACY_POLICY_NOT_CONFIGURED": "the embedded AWS has no privacy budgets",
    "RESULT_RECEIVERS_NOT_ALLOWED": "the rule requires an additional analysis, so it allows no direct results",
    "RESULT_RECEIVERS_NOT_CONFIGURED": "the collaboration analysis rule names no result receiver",
    "ADDITIONAL_ANALYSES_NOT_ALLOWED": "the rule does not allow additional analyses",
    "ADDITIONAL_ANALYSES_NOT_CONFIGURED": "the collaboration analysis rule names no additional analysis",
}


def reasons(table: Record, link: Record, analysis: str) -> list[dict[str, str]]:
    """Say why a table cannot take part in an analysis; empty if it can."""
    rule, shared = policy_content(table["rule"]), policy_content(link["rule"])
    both, direct = bool(table["rule"] and link["rule"]), analysis == "DIRECT_ANALYSIS"
    additional = rule.get("additionalAnalyses", "NOT_ALLOWED")
    holds = {
        "ANALYSIS_RULE_MISSING": not table["rule"],
        "COLLABORATION_ANALYSIS_RULE_NOT_CONFIGURED": not link["rule"],
        "ANALYSIS_RULE_TYPES_NOT_COMPATIBLE": both and table["rule"]["type"] != link["rule"]["type"],
        "ANALYSIS_TEMPLATES_NOT_CONFIGURED": direct and rule.get("allowedAnalyses") == [],
        "ANALYSIS_PROVIDERS_NOT_CONFIGURED": direct
        and "ANY_QUERY" in rule.get("allowedAnalyses", [])
        and not rule.get("allowedAnalysisProviders"),
        "DIFFERENTIAL_PRIVACY_POLICY_NOT_CONFIGURED": direct and "differentialPrivacy" in rule,
        "RESULT_RECEIVERS_NOT_ALLOWED": direct and additional == "REQUIRED",
        "RESULT_RECEIVERS_NOT_CONFIGURED": direct and bool(link["rule"]) and not shared.get("allowedResultReceivers"),
        "ADDITIONAL_ANALYSES_NOT_ALLOWED": not direct and bool(table["rule"]) and additional == "NOT_ALLOWED",
        "ADDITIONAL_ANALYSES_NOT_CONFIGURED": not direct
        and bool(link["rule"])
        and not shared.get("allowedAdditionalAnalyses"),
    }
    return [{"code": code, "message": text} for code, text in REASONS.items() if holds[code]]


class Schemas(State):
    """Schemas."""

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
            why = reasons(table, link, analysis)
            status: Record = {
                "status": "NOT_READY" if why else "READY",
                "analysisType": analysis,
                "reasons": why,
                "configurations": [],
            }
            details.append(status | ({"analysisRuleType": table["rule"]["type"]} if table["rule"] else {}))
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

    def room_table(self, link: Record) -> RoomTable:
        """Describe an association to the query checker."""
        table = self.tables[link["configuredTableId"]]
        columns = {column["name"]: column["type"] for column in [*table["columns"], *table["partitionKeys"]]}
        return RoomTable(
            name=link["name"].lower(),
            owner=link["account"],
            columns={name: columns[name] for name in table["allowedColumns"]},
            partition_keys=frozenset(column["name"] for column in table["partitionKeys"]),
            database=table["tableReference"]["glue"]["databaseName"],
            glue_table=table["tableReference"]["glue"]["tableName"],
            role_arn=link["roleArn"],
            rule_type=table["rule"]["type"] if table["rule"] else "",
            policy=policy_content(table["rule"]),
            receivers=frozenset(policy_content(link["rule"]).get("allowedResultReceivers", ())),
            not_ready=tuple(reason["code"] for reason in reasons(table, link, "DIRECT_ANALYSIS")),
        )
