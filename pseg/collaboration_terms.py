"""The two files that an agreement is read from: the brand's project.toml, and partner.toml, which the partner keeps.

The brand prints partner.toml (``pseg collaboration plan PROJECT --for-partner``); the partner fills in where their
table lies and needs no project. Refused: unknown keys, a template without the SHA-256 of its text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from clean_rooms.agreement import Agreement, OfferedTable, Party, TableTerms, TemplateText
from clean_rooms.template_sql import columns_read, hash_sql
from contracts.errors import SettingsError
from contracts.run_settings import Query
from pseg.project import (
    FILE_NAME,
    GLUE_TABLE,
    JOIN_COLUMN,
    AccountId,
    ColumnName,
    Name,
    Project,
    read_project,
)
from pseg.toml_form import Strict, read_form

PARTNER_FILE = "partner.toml"
CUSTOMER_KEY = "customer_key"
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
GlueTable = Annotated[str, StringConstraints(pattern=f"^{GLUE_TABLE.pattern}$")]
RoleArn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+$")]


class Offer(Strict):
    """The partner's table: what it is called in SQL, where it lies, as whom Clean Rooms reads it, what it offers."""

    name: Name
    glue: GlueTable
    role: RoleArn
    join_columns: tuple[ColumnName, ...] = Field(min_length=1)
    columns: tuple[ColumnName, ...] = Field(min_length=1)


class PartnerTerms(Strict):
    """A whole partner.toml."""

    collaboration: str = Field(min_length=1)
    brand_account: AccountId
    rule: Literal["LIST", "CUSTOM"]
    match_keys_table: Name = "match_keys"
    table: Offer
    templates: dict[Name, Sha256] = Field(default_factory=dict)

    @model_validator(mode="after")
    def check_rule(self) -> PartnerTerms:
        """Keep templates to the CUSTOM rule."""
        if (self.rule == "CUSTOM") != bool(self.templates):
            raise ValueError('rule = "CUSTOM" allows the templates in [templates]; LIST has none')
        return self


@dataclass(frozen=True)
class Side:
    """One party with all that its half needs; ``path`` is the file or folder that says so."""

    party: Party
    agreement: Agreement
    table: OfferedTable
    path: Path
    template: TemplateText | None = None
    project: Project | None = None

    @property
    def commands(self) -> dict[Party, str]:
        """What each party types to complete its half."""
        paths = {"brand": "PROJECT", "partner": PARTNER_FILE, self.party: str(self.path)}
        return {
            "brand": f"pseg collaboration create {paths['brand']}",
            "partner": f"pseg collaboration join {paths['partner']}",
        }


def open_side(path: Path, account: str, role: str = "") -> Side:
    """Read whichever file it is: a project folder or project.toml is the brand's, anything else the partner's.

    Parameters
    ----------
    account : str
        Whose credentials these are: 12 digits.
    role : str
        ARN of the role as which Clean Rooms reads the match keys, for the brand; empty: the one that is named after the
        project.

    Raises
    ------
    SettingsError
        If the file is wrong, or the credentials are the other party's.
    """
    is_project = (path / FILE_NAME).is_file() or path.name == FILE_NAME
    if not is_project and path.is_dir() and not (path / PARTNER_FILE).is_file():
        raise SettingsError(
            f"{path} holds neither {FILE_NAME} nor {PARTNER_FILE}",
            fix="the brand names its project folder, the partner the partner.toml that the brand gave them",
        )
    side = open_brand(path, account, role) if is_project else open_partner(path, account)
    if side.agreement.brand_account == side.agreement.partner_account:
        other = "partner" if side.party == "brand" else "brand"
        raise SettingsError(
            f"these credentials are of account {account}, the {other}'s",
            where=str(path),
            why="each party acts with its own credentials",
            fix=f'use the {side.party}\'s; on the embedded AWS: eval "$(pseg local up --party {side.party})"',
        )
    return side


def open_brand(path: Path, account: str, role: str) -> Side:
    """Read the brand's side from its project."""
    project = read_project(path)
    query = project.query_settings() if project.has_partner else None
    if query is None or not project.query.partner_account:
        raise SettingsError(
            "the project has no partner" if query is None else "query.partner_account is not set",
            where=str(project.folder / FILE_NAME),
            why="nobody knows whom to invite to the collaboration",
            fix='[query] partner_account = "222222222222": the twelve digits of the partner\'s AWS account',
        )
    template = read_template(project, query) if query.rule == "CUSTOM" else None
    own = TableTerms(query.match_keys_table, (JOIN_COLUMN,), (CUSTOMER_KEY,))
    theirs = query.partner_columns
    if template:
        read = columns_read(template.sql, query.partner_table, {own.name: own.columns})
        theirs = tuple(name for name in read if name != JOIN_COLUMN)
    agreement = Agreement(
        collaboration=query.collaboration,
        brand_account=account,
        partner_account=project.query.partner_account,
        rule=project.query.rule,
        brand_table=own,
        partner_table=TableTerms(query.partner_table, (JOIN_COLUMN,), theirs),
        templates={template.name: hash_sql(template.sql)} if template else {},
    )
    return Side("brand", agreement, match_keys_offer(project.name, query, account, role), path, template, project)


def match_keys_offer(project: str, query: Query, account: str, role: str = "") -> OfferedTable:
    """Describe the brand's table of match keys as it is offered; database and role are named after the project."""
    return OfferedTable(
        name=query.match_keys_table,
        glue_database=database_name(project),
        glue_table=query.match_keys_table,
        join_columns=(JOIN_COLUMN,),
        list_columns=(CUSTOMER_KEY,),
        role_arn=role or f"arn:aws:iam::{account}:role/pseg-{project}-match-keys",
    )


def database_name(project: str) -> str:
    """Name the Glue database of a project."""
    return f"pseg_{project.replace('-', '_')}"


def read_template(project: Project, query: Query) -> TemplateText:
    """Read the SQL of the project's analysis template from ``<template>.sql`` beside project.toml."""
    path = project.folder / f"{query.template}.sql"
    try:
        return TemplateText(query.template, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"the SQL of analysis template {query.template} can't be read",
            where=str(path),
            why=str(error),
            fix='write it there, or set rule = "LIST" in [query] of project.toml',
        ) from error


def open_partner(path: Path, account: str) -> Side:
    """Read the partner's side from partner.toml."""
    file = path / PARTNER_FILE if path.is_dir() else path
    terms = read_form(PartnerTerms, file, "partner.toml", "pseg collaboration plan PROJECT --for-partner, by the brand")
    database, glue_table = terms.table.glue.removeprefix("glue://").split("/")
    table = OfferedTable(
        name=terms.table.name,
        glue_database=database,
        glue_table=glue_table,
        join_columns=terms.table.join_columns,
        list_columns=terms.table.columns,
        role_arn=terms.table.role,
    )
    agreement = Agreement(
        collaboration=terms.collaboration,
        brand_account=terms.brand_account,
        partner_account=account,
        rule=terms.rule,
        brand_table=TableTerms(terms.match_keys_table, (JOIN_COLUMN,), (CUSTOMER_KEY,)),
        partner_table=table.terms,
        templates=terms.templates,
    )
    return Side("partner", agreement, table, path)


def print_terms(agreement: Agreement) -> str:
    """Write the partner.toml of an agreement; where their table lies is the partner's to fill in."""
    table = agreement.partner_table
    rows = [
        (
            "# What you, the partner, offer to the brand in AWS Clean Rooms, and nothing else. Fill in what is in < >.",
            "",
        ),
        ("# With your own credentials: pseg collaboration plan partner.toml, then join, status, teardown.", ""),
        (f"collaboration = {json.dumps(agreement.collaboration)}", "you are invited to it"),
        (f"brand_account = {json.dumps(agreement.brand_account)}", "asks the queries, receives their results"),
        (f"rule = {json.dumps(agreement.rule)}", "the kind of queries that your table allows"),
        (f"match_keys_table = {json.dumps(agreement.brand_table.name)}", "the brand's table that yours is joined with"),
        ("\n[table]", ""),
        (f"name = {json.dumps(table.name)}", "what the query calls your table"),
        ('glue = "glue://<database>/<table>"', "where it lies in your Glue Data Catalog"),
        (f'role = "arn:aws:iam::{agreement.partner_account}:role/<name>"', "as whom Clean Rooms reads it"),
        (f"join_columns = {json.dumps(table.join_columns)}", "matched with the brand's, never given out"),
        (f"columns = {json.dumps(table.list_columns)}", ""),
    ]
    if agreement.templates:
        rows.append(("\n[templates]", "SHA-256 of each SQL text that you have read; no other is allowed"))
        rows += [(f"{name} = {json.dumps(sha256)}", "") for name, sha256 in agreement.templates.items()]
    return "\n".join(f"{line:<40}  # {comment}" if comment else line for line, comment in rows) + "\n"
