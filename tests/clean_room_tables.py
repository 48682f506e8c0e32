"""Collaborations to check queries against, in the shape of the AWS API: the brand runs, the partner owns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BRAND, PARTNER, OTHER = "111111111111", "222222222222", "333333333333"
TEMPLATE_ARN = "arn:aws:cleanrooms:us-east-1:111111111111:membership/{0}/analysistemplate/{0}".format(
    "12345678-1234-1234-1234-123456789012"
)
Schemas = list[dict[str, Any]]


def table(
    name: str,
    owner: str,
    columns: Mapping[str, str] | str,
    kind: str,
    policy: Mapping[str, Any],
    receivers: Sequence[str] | None = (BRAND,),
    **schema: Any,
) -> dict[str, Any]:
    """One table as GetSchema and GetSchemaAnalysisRule give it; columns are strings unless a mapping says more."""
    part = kind.lower()
    types = dict.fromkeys(columns.split(), "string") if isinstance(columns, str) else columns
    rule: dict[str, Any] = {"type": kind, "policy": {"v1": {part: dict(policy)}}}
    if receivers is not None:
        shared = {"allowedResultReceivers": list(receivers), "allowedAdditionalAnalyses": []}
        rule["collaborationPolicy"] = {"v1": {part: shared}}
    return {
        "schema": {
            "name": name,
            "creatorAccountId": owner,
            "type": "TABLE",
            "analysisMethod": "DIRECT_QUERY",
            "analysisRuleTypes": [kind],
            "columns": [{"name": column, "type": kind} for column, kind in types.items()],
            "partitionKeys": [],
        }
        | schema,
        "analysisRules": [rule] if kind else [],
    }


def list_rule(join: str, listed: str, *operators: str, **more: Any) -> dict[str, Any]:
    """A LIST policy."""
    policy = {"joinColumns": join.split(), "listColumns": listed.split(), "allowedJoinOperators": list(operators)}
    return policy | {"additionalAnalyses": "NOT_ALLOWED"} | more


def aggregation_rule(
    granted: Mapping[str, str], join: str, dimensions: str, scalars: str, **more: Any
) -> dict[str, Any]:
    """An AGGREGATION policy; ``granted`` says which columns each function may take."""
    return {
        "aggregateColumns": [{"columnNames": names.split(), "function": name} for name, names in granted.items()],
        "joinColumns": join.split(),
        "dimensionColumns": dimensions.split(),
        "scalarFunctions": scalars.split(),
        "outputConstraints": [{"columnName": join.split()[0], "minimum": 2, "type": "COUNT_DISTINCT"}],
    } | more


def custom_rule(disallowed: str = "", **more: Any) -> dict[str, Any]:
    """A CUSTOM policy that lets the brand send any query."""
    policy = {"allowedAnalyses": ["ANY_QUERY"], "allowedAnalysisProviders": [BRAND]}
    return policy | ({"disallowedOutputColumns": disallowed.split()} if disallowed else {}) | more


def threshold(column: str, minimum: int, kind: str = "ANY_EXPRESSION", **more: Any) -> dict[str, Any]:
    """The aggregation threshold of a CUSTOM policy."""
    one = {"identityColumns": [column], "minimumIdentityCount": minimum, "type": "COUNT_DISTINCT"}
    return {"aggregationThresholds": [one | {"allowedAggregateExpressionType": kind} | more]}


def comparisons(literal: str, column: str) -> dict[str, Any]:
    """The comparison controls of a CUSTOM policy."""
    lists = {"allowedLiteralComparisonColumns": literal.split(), "allowedColumnComparisonColumns": column.split()}
    return {"comparisonControls": lists}


PEOPLE = {
    "hashed_id": "string",
    "phone_hash": "string",
    "age": "int",
    "city": "string",
    "joined": "date",
    "tags": "array<string>",
}
SALES = {"hashed_id": "string", "amount": "double", "units": "int", "product": "string", "sold": "date"}
USERS = {"user_id": "string", "email": "string", "age": "int", "gender": "string", "name": "string", "spend": "double"}
VISITS = {"user_id": "string", "page": "string", "seconds": "int", "day": "date"}
PETS = {"owner_name": "string", "gender": "string", "age": "int"}

KEYS = table(
    "match_keys", BRAND, "hashed_id phone_hash customer_key", "LIST", list_rule("hashed_id phone_hash", "customer_key")
)
LOYALTY = table("people", PARTNER, PEOPLE, "LIST", list_rule("hashed_id phone_hash", "age city joined"))
MORE_KEYS = table("households", PARTNER, "hashed_id income secret", "LIST", list_rule("hashed_id", "income"))
LIST_OR = [
    table(
        "match_keys",
        BRAND,
        "hashed_id phone_hash customer_key",
        "LIST",
        list_rule("hashed_id phone_hash", "customer_key", "AND", "OR"),
    ),
    table("people", PARTNER, PEOPLE, "LIST", list_rule("hashed_id phone_hash", "age city joined", "OR")),
]
CUSTOMERS = table(
    "customers",
    BRAND,
    "hashed_id region tier",
    "AGGREGATION",
    aggregation_rule(
        {"COUNT": "hashed_id", "COUNT_DISTINCT": "hashed_id"},
        "hashed_id",
        "region tier",
        "LOWER UPPER CAST COALESCE TRUNC EXTRACT RTRIM TO_DATE CURRENT_DATE ABS ROUND SUBSTRING",
    ),
)
PURCHASES = table(
    "sales",
    PARTNER,
    SALES,
    "AGGREGATION",
    aggregation_rule(
        {"SUM": "amount units", "AVG": "amount", "COUNT": "hashed_id", "COUNT_DISTINCT": "hashed_id product"},
        "hashed_id",
        "product sold",
        "LOWER UPPER CAST COALESCE TRUNC EXTRACT RTRIM ABS ROUND",
        joinRequired="QUERY_RUNNER",
        outputConstraints=[{"columnName": "hashed_id", "minimum": 100, "type": "COUNT_DISTINCT"}],
    ),
)
FREE_SALES = table(
    "free_sales",
    PARTNER,
    SALES,
    "AGGREGATION",
    aggregation_rule({"SUM": "amount"}, "hashed_id", "product sold", "LOWER", allowedJoinOperators=["AND", "OR"]),
)
ROOMS: dict[str, Schemas] = {
    "list": [KEYS, LOYALTY, MORE_KEYS],
    "list-or": LIST_OR,
    "list-nested": [KEYS, table("people", PARTNER, PEOPLE, "LIST", list_rule("hashed_id", "age tags"))],
    "aggregation": [CUSTOMERS, PURCHASES, FREE_SALES],
    "aggregation-own": [
        table(
            "customers",
            BRAND,
            "hashed_id region",
            "AGGREGATION",
            aggregation_rule({"COUNT": "hashed_id"}, "hashed_id", "region", "", joinRequired="QUERY_RUNNER"),
        ),
    ],
    "custom": [
        table("users", PARTNER, USERS, "CUSTOM", custom_rule("age name")),
        table("visits", PARTNER, VISITS, "CUSTOM", custom_rule("user_id")),
        table("pets", BRAND, PETS, "CUSTOM", custom_rule()),
    ],
    "custom-templates": [
        table("users", PARTNER, USERS, "CUSTOM", {"allowedAnalyses": [TEMPLATE_ARN]}),
        table("pets", BRAND, PETS, "CUSTOM", custom_rule()),
    ],
    "custom-nobody": [table("users", PARTNER, USERS, "CUSTOM", {"allowedAnalyses": []})],
    "custom-others": [table("users", PARTNER, USERS, "CUSTOM", custom_rule(allowedAnalysisProviders=[OTHER]))],
    "thresholds": [
        table("users", PARTNER, USERS, "CUSTOM", custom_rule(**threshold("user_id", 100, "COLUMNS_ONLY"))),
        table("visits", PARTNER, VISITS, "CUSTOM", custom_rule()),
    ],
    "thresholds-any": [table("users", PARTNER, USERS, "CUSTOM", custom_rule(**threshold("user_id", 100)))],
    "comparisons": [
        table("users", PARTNER, USERS, "CUSTOM", custom_rule(**comparisons("age gender", "user_id gender"))),
        table("visits", PARTNER, VISITS, "CUSTOM", custom_rule()),
    ],
    "comparisons-none": [table("users", PARTNER, USERS, "CUSTOM", custom_rule(**comparisons("", "")))],
    "dp": [
        table("users", PARTNER, USERS, "CUSTOM", custom_rule(differentialPrivacy={"columns": [{"name": "user_id"}]})),
        table("visits", PARTNER, VISITS, "CUSTOM", custom_rule(differentialPrivacy={"columns": [{"name": "user_id"}]})),
        table("pets", BRAND, PETS, "CUSTOM", custom_rule()),
    ],
    "dp-two-owners": [
        table("users", PARTNER, USERS, "CUSTOM", custom_rule(differentialPrivacy={"columns": [{"name": "user_id"}]})),
        table("visits", OTHER, VISITS, "CUSTOM", custom_rule(differentialPrivacy={"columns": [{"name": "user_id"}]})),
    ],
    "dp-and-thresholds": [
        table("users", PARTNER, USERS, "CUSTOM", custom_rule(differentialPrivacy={"columns": [{"name": "user_id"}]})),
        table("visits", PARTNER, VISITS, "CUSTOM", custom_rule(**threshold("user_id", 10))),
    ],
    "mixed": [KEYS, table("users", PARTNER, USERS, "CUSTOM", custom_rule())],
    "odd": [
        table("match_keys", BRAND, "hashed_id customer_key", "LIST", list_rule("hashed_id", "customer_key")),
        table("without_rule", PARTNER, "hashed_id age", "", {}),
        table(
            "not_ready",
            PARTNER,
            "hashed_id age",
            "LIST",
            list_rule("hashed_id", "age"),
            schemaStatusDetails=[
                {
                    "status": "NOT_READY",
                    "analysisType": "DIRECT_ANALYSIS",
                    "reasons": [{"code": "RESULT_RECEIVERS_NOT_ALLOWED", "message": "no"}],
                }
            ],
        ),
        table("for_jobs", PARTNER, "hashed_id age", "LIST", list_rule("hashed_id", "age"), analysisMethod="DIRECT_JOB"),
        table(
            "for_models", PARTNER, "hashed_id age", "LIST", list_rule("hashed_id", "age", additionalAnalyses="REQUIRED")
        ),
        table("unshared", PARTNER, "hashed_id age", "LIST", list_rule("hashed_id", "age"), receivers=None),
        table("for_nobody", PARTNER, "hashed_id age", "LIST", list_rule("hashed_id", "age"), receivers=[]),
        table("for_others", PARTNER, "hashed_id age", "LIST", list_rule("hashed_id", "age"), receivers=[OTHER]),
        table("mapping", PARTNER, "hashed_id other_id", "ID_MAPPING_TABLE", {}),
        table(
            "both",
            PARTNER,
            "hashed_id age",
            "LIST",
            list_rule("hashed_id", "age"),
            analysisMethod="MULTIPLE",
            selectedAnalysisMethods=["DIRECT_QUERY", "DIRECT_JOB"],
        ),
    ],
}
