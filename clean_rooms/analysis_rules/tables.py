"""The tables of a collaboration with their analysis rules, from the answers of the AWS API.

Comes in: a list of ``{"schema": GetSchema's schema, "analysisRules": [GetSchemaAnalysisRule's analysisRule]}`` with the
API's field names. Goes out: one ``RuleTable`` each. Refused: what has not that shape, by table and field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clean_rooms.analysis_rules.verdict import with_article
from contracts.errors import ContractError

RULE_FIELDS = {"LIST": "list", "AGGREGATION": "aggregation", "CUSTOM": "custom"}
NEEDED = {
    "LIST": ("joinColumns", "listColumns"),
    "AGGREGATION": ("aggregateColumns", "joinColumns", "dimensionColumns", "scalarFunctions", "outputConstraints"),
    "CUSTOM": ("allowedAnalyses",),
}

PARTS: dict[str, dict[str, type]] = {  # fields of a policy that are lists of records, and what each record must hold
    "aggregateColumns": {"columnNames": list, "function": str},
    "outputConstraints": {"columnName": str, "minimum": int},
    "aggregationThresholds": {"identityColumns": list, "minimumIdentityCount": int},
}
CONTROLS = ("allowedLiteralComparisonColumns", "allowedColumnComparisonColumns")


@dataclass(frozen=True, eq=False)
class RuleTable:
    """A table as a query may see it.

    Parameters
    ----------
    name : str
        Lower case; SQL names are compared without case.
    owner : str
        Account id.
    columns : mapping of str to str
        Allowed columns and partition keys, lower case, with their Glue types.
    rule_type : str
        ``LIST``, ``AGGREGATION``, ``CUSTOM``, ``ID_MAPPING_TABLE``; empty if the table has no rule.
    policy : mapping
        The rule's own part of the API's ``policy.v1``.
    receivers : frozenset of str or None
        Accounts that may receive results; None if the collaboration's rule is missing.
    not_ready : tuple of str
        Reasons of the API for which the table can't be queried.
    takes_sql : bool
        Whether the analysis method includes direct queries.
    resource_arn : str
        ARN of the association, to which access budgets refer; may be empty.
    """

    name: str
    owner: str
    columns: Mapping[str, str]
    rule_type: str = ""
    policy: Mapping[str, Any] = field(default_factory=dict)
    receivers: frozenset[str] | None = None
    not_ready: tuple[str, ...] = ()
    takes_sql: bool = True
    resource_arn: str = ""

    def listed(self, name: str) -> frozenset[str]:
        """Names in a list of the rule, lower case; empty if the rule has no such list."""
        return frozenset(str(item).lower() for item in self.policy.get(name) or ())

    def says(self, name: str, value: object = None) -> str:
        """Write which field of which table's rule binds, for people."""
        shown = self.policy.get(name) if value is None else value
        if isinstance(shown, Iterable) and not isinstance(shown, str | Mapping):
            shown = f"[{', '.join(str(item) for item in shown)}]"
        return f"{self.rule_type} on {self.name}, owned by {self.owner}: {name} {'not set' if shown is None else shown}"


def read_tables(schemas: Sequence[Mapping[str, Any]]) -> dict[str, RuleTable]:
    """Read the tables of a collaboration.

    Returns
    -------
    dict of str to RuleTable
        By lower-case name, in the order given.

    Raises
    ------
    ContractError
        If an entry has not the shape of the API's answers, or two tables have one name.
    """
    if not isinstance(schemas, list | tuple):
        raise wrong("the schemas", "not a list", "give a list of {schema, analysisRules}")
    tables: dict[str, RuleTable] = {}
    for number, entry in enumerate(schemas):
        table = read_table(entry, f"schemas[{number}]")
        if table.name in tables:
            raise wrong(f"schemas[{number}]", f"a second table named {table.name}", "name each table once")
        tables[table.name] = table
    return tables


def read_table(entry: Mapping[str, Any], where: str) -> RuleTable:
    """Read one table with its rule."""
    schema = take(entry, "schema", Mapping, where)
    name = take(schema, "name", str, f"{where}.schema").lower()
    where = f"{where} ({name})"
    owner = take(schema, "creatorAccountId", str, where)
    columns: dict[str, str] = {}
    for column in [*take(schema, "columns", list, where), *(schema.get("partitionKeys") or [])]:
        columns[take(column, "name", str, f"{where}.columns").lower()] = take(column, "type", str, f"{where}.columns")
    rules = take(entry, "analysisRules", list, where)
    if len(rules) > 1:
        raise wrong(where, f"{len(rules)} analysis rules", "a table has one rule: give one")
    method = schema.get("analysisMethod") or "DIRECT_QUERY"
    methods = schema.get("selectedAnalysisMethods") or (["DIRECT_QUERY"] if method == "MULTIPLE" else [method])
    rule_type, policy, receivers = read_rule(rules[0], columns, where) if rules else ("", {}, None)
    return RuleTable(
        name,
        owner,
        columns,
        rule_type,
        policy,
        receivers,
        tuple(read_reasons(schema)),
        "DIRECT_QUERY" in methods,
        str(schema.get("resourceArn") or ""),
    )


def read_reasons(schema: Mapping[str, Any]) -> Iterable[str]:
    """Yield why the API says that a table is not ready for direct queries."""
    for detail in schema.get("schemaStatusDetails") or ():
        if detail.get("analysisType") == "DIRECT_ANALYSIS" and detail.get("status") == "NOT_READY":
            codes = [str(reason.get("code")) for reason in detail.get("reasons") or ()]
            yield from codes or ["NOT_READY"]


def read_rule(
    rule: Mapping[str, Any], columns: Mapping[str, str], where: str
) -> tuple[str, Mapping[str, Any], frozenset[str] | None]:
    """Read a rule: its type, its policy, and who may receive results."""
    kind = take(rule, "type", str, f"{where}.analysisRules")
    if kind not in RULE_FIELDS:
        return kind, {}, None
    part = RULE_FIELDS[kind]
    v1 = take(take(rule, "policy", Mapping, where), "v1", Mapping, f"{where}.policy")
    policy = take(v1, part, Mapping, f"{where}.policy.v1")
    for name in NEEDED[kind]:
        take(policy, name, list, f"{where}.policy.v1.{part}")
    check_parts(policy, f"{where}.policy.v1.{part}")
    for name in named_columns(policy):
        if name.lower() not in columns:
            raise wrong(
                f"{where}.policy.v1.{part}", f"the rule names column {name}, which the table has not", "mend it"
            )
    shared = ((rule.get("collaborationPolicy") or {}).get("v1") or {}).get(part)
    if shared is None and "allowedResultReceivers" in policy:  # an intermediate table's rule holds both
        shared = policy
    receivers = None if shared is None else frozenset(map(str, shared.get("allowedResultReceivers") or ()))
    return kind, policy, receivers


def check_parts(policy: Mapping[str, Any], where: str) -> None:
    """Refuse a policy whose records lack what they must hold."""
    for name, fields in PARTS.items():
        for record in policy.get(name) or ():
            for field_name, kind in fields.items():
                take(record, field_name, kind, f"{where}.{name}")
    for threshold in policy.get("aggregationThresholds") or ():
        if len(threshold["identityColumns"]) != 1:
            raise wrong(f"{where}.aggregationThresholds", "identityColumns holds not one column", "name exactly one")
    if (controls := policy.get("comparisonControls")) is not None:
        for name in CONTROLS:
            take(controls, name, list, f"{where}.comparisonControls")
    if (privacy := policy.get("differentialPrivacy")) is not None:
        columns = take(privacy, "columns", list, f"{where}.differentialPrivacy")
        if len(columns) != 1:
            raise wrong(f"{where}.differentialPrivacy", "columns holds not one column", "name exactly one")
        take(columns[0], "name", str, f"{where}.differentialPrivacy.columns")


def named_columns(policy: Mapping[str, Any]) -> Iterable[str]:
    """Yield every column that a rule names."""
    for name in ("joinColumns", "listColumns", "dimensionColumns", "disallowedOutputColumns"):
        yield from policy.get(name) or ()
    for granted in policy.get("aggregateColumns") or ():
        yield from granted["columnNames"]
    for constraint in policy.get("outputConstraints") or ():
        yield constraint["columnName"]
    for threshold in policy.get("aggregationThresholds") or ():
        yield from threshold["identityColumns"]
    for name in CONTROLS:
        yield from (policy.get("comparisonControls") or {}).get(name) or ()
    for column in (policy.get("differentialPrivacy") or {}).get("columns") or ():
        yield column["name"]


def take(holder: Any, name: str, kind: type, where: str) -> Any:
    """Take a field that must be there and have a type."""
    value = holder.get(name) if isinstance(holder, Mapping) else None
    if not isinstance(value, kind):
        what = "is missing" if value is None else f"is not {with_article(kind.__name__.lower())}"
        raise wrong(where, f"{name} {what}", "give the answer of the API as it is")
    return value


def wrong(where: str, what: str, fix: str) -> ContractError:
    """Say what is wrong with an answer."""
    return ContractError(f"this is not as the AWS API gives it: {what}", where=where, fix=fix)
