"""What is missing before the brand's query can run, who must act, and how. Only reads, as either party.

Each member sees the members, the tables with their rules and readiness, and the templates of the whole collaboration;
so both parties get the same answer, each from its own account. Reason codes: SchemaStatusReasonCode, Clean Rooms API
reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from clean_rooms.agreement import Agreement, Party, TableTerms
from clean_rooms.collaboration import BRAND_ABILITIES
from clean_rooms.lookup import content_of, find_collaboration, members_of, pages
from clean_rooms.template_sql import hash_sql
from clean_rooms.templates import read_text, templates_in

if TYPE_CHECKING:
    from mypy_boto3_cleanrooms import CleanRoomsServiceClient

MADE_AGAIN = {"ANALYSIS_RULE_MISSING", "COLLABORATION_ANALYSIS_RULE_NOT_CONFIGURED"}  # by the parties' commands
SAID_BETTER = {"ANALYSIS_TEMPLATES_NOT_CONFIGURED", "RESULT_RECEIVERS_NOT_CONFIGURED"}  # by ARN, by account


@dataclass(frozen=True)
class Finding:
    """One thing that holds ("ok"), is missing ("x"), or is worth knowing ("!"); ``who`` must act, ``code`` is AWS's."""

    state: Literal["ok", "!", "x"]
    what: str
    who: str = ""
    fix: str = ""
    code: str = ""


def find_missing(
    client: CleanRoomsServiceClient, agreement: Agreement, party: Party, commands: Mapping[Party, str]
) -> list[Finding]:
    """Hold a collaboration against what was agreed.

    Parameters
    ----------
    party : str
        Who asks.
    commands : mapping of party to str
        What each party types to complete its half.

    Returns
    -------
    list of Finding
        In the order in which things are made. The query can run if none is "x". What the caller can't see, because
        there is no collaboration yet or the caller has not joined it, is left out: then there is an "x".
    """
    room, name = find_collaboration(client, agreement.collaboration)
    if room is None:
        who = f"there is no collaboration {name} that this account created or is invited to"
        return [Finding("x", who, "brand", commands["brand"])]
    about = client.get_collaboration(collaborationIdentifier=room)["collaboration"]
    members = members_of(client, room)
    creator = next(
        (one for one, account in agreement.accounts.items() if account == about["creatorAccountId"]), "creator"
    )
    found = [Finding("ok", f"collaboration {name}, {room}"), *judge_members(agreement, members, creator, commands)]
    if members.get(agreement.accounts[party], {}).get("status") != "ACTIVE":
        return found
    tables = [one["name"] for one in pages(client, "list_schemas", "schemaSummaries", collaborationIdentifier=room)]
    arns = {template: find_arn(client, room, template, sha256) for template, sha256 in agreement.templates.items()}
    for template, arn in arns.items():
        absent = Finding("x", f"no analysis template {template} has the agreed text", "brand", commands["brand"])
        found.append(Finding("ok", f"analysis template {template}, {arn}") if arn else absent)
    for owner, terms in agreement.tables.items():
        if terms.name in tables:
            schema = client.get_schema(collaborationIdentifier=room, name=terms.name)["schema"]
            rule = read_rule(client, room, terms.name, schema["analysisRuleTypes"])
            found += judge_table(agreement, owner, terms, schema, rule, commands[owner])
        else:
            found.append(Finding("x", f"table {terms.name} is not associated", owner, commands[owner]))
            continue
        found += [
            judge_template(agreement, owner, terms.name, rule, one, arn, commands[owner])
            for one, arn in arns.items()
            if arn
        ]
    own = client.get_membership(membershipIdentifier=members[agreement.accounts[party]]["membershipId"])["membership"]
    for what, who, thing in (("collaboration", creator, about), ("membership", party, own)):
        if thing["queryLogStatus"] != "ENABLED" or not thing.get("isMetricsEnabled"):
            note = f"query log or metrics of the {what} are off"
            found.append(Finding("!", note, who, "switch them on when it is made the next time"))
    return found


def judge_members(
    agreement: Agreement, members: Mapping[str, Mapping[str, Any]], creator: str, commands: Mapping[Party, str]
) -> Iterator[Finding]:
    """Say who has not joined, which ability the brand lacks, and who pays."""
    for owner, account in agreement.accounts.items():
        status = members.get(account, {}).get("status", "not invited")
        if status == "ACTIVE":
            yield Finding("ok", f"membership of the {owner}, {account}")
        else:
            acts = owner if status == "INVITED" else creator
            fix = (
                commands[owner]
                if status == "INVITED"
                else "a member that left or was left out needs a new collaboration"
            )
            yield Finding("x", f"membership of the {owner}, {account}: {status}", acts, fix)
    lacking = [
        one for one in BRAND_ABILITIES if one not in members.get(agreement.brand_account, {}).get("abilities", ())
    ]
    if lacking:
        fix = "ask for a change of the collaboration, or make one: abilities are set when it is created"
        yield Finding("x", f"the brand does not have the ability {' and '.join(lacking)}", creator, fix)
    payers = [
        account for account, one in members.items() if one["paymentConfiguration"]["queryCompute"]["isResponsible"]
    ]
    active = [account for account in payers if members[account]["status"] == "ACTIVE"]
    if not active:
        who = (
            "brand"
            if agreement.brand_account in payers
            else "partner"
            if agreement.partner_account in payers
            else creator
        )
        said = f"{', '.join(payers)} pays for queries and has not joined" if payers else "nobody pays for queries"
        yield Finding("x", said, who, "the payer joins with queryCompute.isResponsible, or the brand pays for itself")
    elif not lacking:
        yield Finding("ok", f"the brand queries and receives; queries are paid by {', '.join(active)}")


def read_rule(client: CleanRoomsServiceClient, room: str, table: str, kinds: list[Any]) -> dict[str, Any]:
    """Return what the rules of a table and of its association say together, empty without a rule."""
    if not kinds:
        return {}
    answer = client.get_schema_analysis_rule(collaborationIdentifier=room, name=table, type=kinds[0])["analysisRule"]
    shared = answer.get("collaborationPolicy")
    return {**content_of(answer["policy"]), **(content_of(shared) if shared else {})}


def judge_table(
    agreement: Agreement,
    owner: Party,
    terms: TableTerms,
    schema: Mapping[str, Any],
    rule: Mapping[str, Any],
    again: str,
) -> Iterator[Finding]:
    """Say why a table can't take part in the query, as the service sees it and as it was agreed."""
    account, name = agreement.accounts[owner], f"table {terms.name} of the {owner}"
    if schema["creatorAccountId"] != account:
        fix = f"that account takes its table away, or the {owner}'s gets another name in both files"
        yield Finding(
            "x", f"table {terms.name} is account {schema['creatorAccountId']}'s, not the {owner}'s", owner, fix
        )
        return
    missing = []
    for detail in schema["schemaStatusDetails"]:
        for reason in detail.get("reasons", ()) if detail.get("analysisType") == "DIRECT_ANALYSIS" else ():
            if (code := reason["code"]) not in SAID_BETTER:
                fix = again if code in MADE_AGAIN else f"pseg collaboration teardown --table-only, then {again}"
                missing.append(Finding("x", f"{name} is not ready: {reason['message']}", owner, fix, code))
    kinds = schema["analysisRuleTypes"]
    if kinds and kinds != [agreement.rule]:
        fix = f"pseg collaboration teardown --table-only, then {again}; or both files say rule = {kinds[0]}"
        missing.append(Finding("x", f"{name} has a {kinds[0]} rule, agreed is {agreement.rule}", owner, fix))
    elif kinds:
        offered = {one["name"] for part in ("columns", "partitionKeys") for one in schema[part]}
        for columns, part in ((terms.join_columns, "joinColumns"), (terms.list_columns, "listColumns")):
            allowed = offered & set(rule.get(part, ())) if agreement.rule == "LIST" else offered
            if lacking := [one for one in columns if one not in allowed]:
                where = f"the {part} of its rule" if agreement.rule == "LIST" else "its allowed columns"
                fix = f"offer them: pseg collaboration teardown --table-only, then {again}"
                missing.append(Finding("x", f"{name} does not have {', '.join(lacking)} in {where}", owner, fix))
    receivers = rule.get("allowedResultReceivers")
    if receivers is not None and agreement.brand_account not in receivers:
        fix = f"add {agreement.brand_account} to allowedResultReceivers of the rule of its association"
        code = "" if receivers else "RESULT_RECEIVERS_NOT_CONFIGURED"
        missing.append(Finding("x", f"{name} does not let the brand receive results", owner, fix, code))
    yield from missing or [Finding("ok", f"{name}: {', '.join(terms.columns)}")]


def find_arn(client: CleanRoomsServiceClient, room: str, name: str, sha256: str) -> str:
    """Return the ARN of the one template of this name and text, empty if there is none."""
    arns = [one["arn"] for one in templates_in(client, room) if one["name"] == name]
    return next((arn for arn in arns if hash_sql(read_text(client, room, arn)) == sha256), "")


def judge_template(
    agreement: Agreement, owner: Party, table: str, rule: Mapping[str, Any], name: str, arn: str, again: str
) -> Finding:
    """Say if a table's rule allows a template; its ARN is what the owner has to allow."""
    allowed, providers = rule.get("allowedAnalyses", ()), rule.get("allowedAnalysisProviders", ())
    if arn in allowed or ("ANY_QUERY" in allowed and agreement.brand_account in providers):
        return Finding("ok", f"table {table} of the {owner} allows {name}")
    code = "" if allowed else "ANALYSIS_TEMPLATES_NOT_CONFIGURED"
    fix = again
    if owner == "partner":
        fix = f"read its SQL, add it to [templates], then {fix}"
    return Finding(
        "x", f"table {table} of the {owner} does not allow analysis template {name}, {arn}", owner, fix, code
    )
