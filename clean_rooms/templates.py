"""Analysis templates: the SQL of a CUSTOM rule, stored in the collaboration where every member can read it.

A template never changes: the owners of the tables allow its ARN, so another text is another template with another name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clean_rooms.template_sql import hash_sql
from contracts.errors import ServiceError

if TYPE_CHECKING:
    from mypy_boto3_cleanrooms import CleanRoomsServiceClient
    from mypy_boto3_cleanrooms.type_defs import CollaborationAnalysisTemplateSummaryTypeDef


def templates_in(
    client: CleanRoomsServiceClient, collaboration_id: str
) -> list[CollaborationAnalysisTemplateSummaryTypeDef]:
    """List the templates of a collaboration, whichever member made them."""
    pages = client.get_paginator("list_collaboration_analysis_templates").paginate(
        collaborationIdentifier=collaboration_id
    )
    return [one for page in pages for one in page["collaborationAnalysisTemplateSummaries"]]


def read_text(client: CleanRoomsServiceClient, collaboration_id: str, arn: str) -> str:
    """Read a template's SQL as any member of the collaboration can, empty if it is not SQL."""
    answer = client.get_collaboration_analysis_template(
        collaborationIdentifier=collaboration_id, analysisTemplateArn=arn
    )
    return answer["collaborationAnalysisTemplate"].get("source", {}).get("text", "")


def check_text(client: CleanRoomsServiceClient, collaboration_id: str, arn: str, name: str, sha256: str) -> None:
    """See that a template has the text that was agreed on.

    Raises
    ------
    ServiceError
        If not: its name alone says nothing, since it can be deleted and made again with another text.
    """
    if (found := hash_sql(read_text(client, collaboration_id, arn))) != sha256:
        raise ServiceError(
            f"the analysis template {name} exists with another text",
            where=arn,
            why=f"its SHA-256 is {found}, agreed is {sha256}; a template never changes: its text is what is allowed",
            fix=f"give the new text a new name ({name}_2): the brand in [query].template, the partner in [templates]",
        )


def find_template(client: CleanRoomsServiceClient, membership_id: str, name: str) -> str:
    """Return the ARN of the template of this name in the membership's collaboration, whichever member made it.

    Raises
    ------
    ServiceError
        If there is none, or more than one; it names those that are there.
    """
    collaboration = client.get_membership(membershipIdentifier=membership_id)["membership"]["collaborationId"]
    there = templates_in(client, collaboration)
    found = [one["arn"] for one in there if one["name"] == name]
    if len(found) != 1:
        raise ServiceError(
            f"{len(found)} analysis templates named {name}",
            where=f"collaboration {collaboration}",
            why=f"there are: {', '.join(sorted(one['name'] for one in there)) or 'none at all'}",
            fix="set [query].template to one that is there, or create it; each name must be there once",
        )
    return found[0]


def create_template(client: CleanRoomsServiceClient, membership_id: str, name: str, sql: str) -> str:
    """Return the ARN of this account's template of this name, made from SQL text if need be.

    Raises
    ------
    ServiceError
        If there is one with another text.
    """
    pages = client.get_paginator("list_analysis_templates").paginate(membershipIdentifier=membership_id)
    for one in (one for page in pages for one in page["analysisTemplateSummaries"] if one["name"] == name):
        found = client.get_analysis_template(membershipIdentifier=membership_id, analysisTemplateIdentifier=one["id"])
        if found["analysisTemplate"]["source"].get("text") != sql:
            raise ServiceError(
                f"the analysis template {name} exists with another text",
                where=one["arn"],
                why="a template never changes: the owners of the tables have allowed its text",
                fix=f"give the new text a new name ({name}_2) and set [query].template to it",
            )
        return one["arn"]
    answer = client.create_analysis_template(
        membershipIdentifier=membership_id, name=name, format="SQL", source={"text": sql}
    )
    return answer["analysisTemplate"]["arn"]
