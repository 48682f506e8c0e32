"""One query under inspection: what the rule modules share, and how they write a violation.

Comes in: the resolved query, its tables, who runs it and who receives. Goes out: ``Violation`` records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from clean_rooms.analysis_rules.lineage import NOTHING, Origin, Origins, Resolution
from clean_rooms.analysis_rules.parsing import ParsedQuery
from clean_rooms.analysis_rules.tables import RuleTable
from clean_rooms.analysis_rules.verdict import Place, Violation


@dataclass(frozen=True, eq=False)
class Inspection:
    """A query under inspection.

    Parameters
    ----------
    parsed, resolution
        The query as written and resolved.
    runner : str
        Account id of the member who runs it.
    receivers : tuple of str
        Account ids of those who receive the result.
    template : mapping or None
        The analysis template, as GetCollaborationAnalysisTemplate gives it.
    """

    parsed: ParsedQuery
    resolution: Resolution
    runner: str
    receivers: tuple[str, ...]
    template: Mapping[str, Any] | None = None

    @property
    def tables(self) -> list[RuleTable]:
        """Tables that the query reads, in the order of their first mention."""
        return list(self.resolution.tables.values())

    def table(self, name: str) -> RuleTable:
        """Find a table that the query reads."""
        return self.resolution.tables[name]

    def origins(self, node: exp.Expr) -> Origins:
        """Columns that a written column stands for."""
        return self.resolution.origins.get(id(node), NOTHING)

    def violation(
        self,
        code: str,
        node: exp.Expr | Place,
        what: str,
        fix: str,
        *,
        table: RuleTable | None = None,
        field: str = "",
        origin: Origin | None = None,
        rule: str = "",
        is_unsure: bool = False,
    ) -> Violation:
        """Write a violation; table, field and origin say which rule binds."""
        if origin is not None:
            table = self.table(origin.table)
        place = node if isinstance(node, Place) else self.parsed.place(node)
        return Violation(
            code,
            what,
            fix,
            place,
            rule or (table.says(field) if table and field else ""),
            table.name if table else "",
            table.owner if table else "",
            origin.column if origin else "",
            is_unsure,
        )
