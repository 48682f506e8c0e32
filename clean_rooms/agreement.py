"""What two parties agree on before anything is made: who is who, tables, columns, rule, templates. No AWS here.

The brand reads it from its project, the partner from the terms that the brand hands over; each then acts on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Party = Literal["brand", "partner"]
RuleType = Literal["CUSTOM", "LIST"]


@dataclass(frozen=True)
class TableTerms:
    """A table as queries see it: its SQL name, and its columns by their part in the rule."""

    name: str
    join_columns: tuple[str, ...]
    list_columns: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the table offers."""
        return (*self.join_columns, *self.list_columns)


@dataclass(frozen=True)
class OfferedTable:
    """One party's Glue table as the collaboration sees it: SQL name, columns by their part in the rule, role."""

    name: str
    glue_database: str
    glue_table: str
    join_columns: tuple[str, ...]
    list_columns: tuple[str, ...]
    role_arn: str

    @property
    def terms(self) -> TableTerms:
        """What of it both parties know."""
        return TableTerms(self.name, self.join_columns, self.list_columns)


@dataclass(frozen=True)
class TemplateText:
    """An analysis template as its SQL text, to be made where there is none of this name."""

    name: str
    sql: str


@dataclass(frozen=True)
class Agreement:
    """What both parties' files say. ``templates`` maps each template's name to the SHA-256 of its SQL."""

    collaboration: str
    brand_account: str
    partner_account: str
    rule: RuleType
    brand_table: TableTerms
    partner_table: TableTerms
    templates: Mapping[str, str] = field(default_factory=dict)

    @property
    def tables(self) -> dict[Party, TableTerms]:
        """Each party's table."""
        return {"brand": self.brand_table, "partner": self.partner_table}

    @property
    def accounts(self) -> dict[Party, str]:
        """Each party's account."""
        return {"brand": self.brand_account, "partner": self.partner_account}
