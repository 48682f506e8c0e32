"""What a check answers: a verdict, and for every violation where it is, which rule binds and how to mend it.

Comes in: nothing. Goes out: plain immutable records, fit for people, JSON and an error message of the service.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

    from clean_rooms.analysis_rules.lineage import Resolution


def with_article(word: str) -> str:
    """Write a word with its article."""
    return f"{'an' if word[0] in 'AEIOUaeiou' else 'a'} {word}"


@dataclass(frozen=True, order=True)
class Place:
    """A place in the SQL.

    Parameters
    ----------
    line, column : int
        From 1, as editors count.
    length : int
        Characters to underline, at least 1; never past the end of the line.
    """

    line: int = 1
    column: int = 1
    length: int = 1


@dataclass(frozen=True)
class Violation:
    """One reason why a query may not run.

    Parameters
    ----------
    code : str
        Stable name of the reason, such as ``list-select-join-column``.
    what : str
        What is wrong at this place, half a sentence.
    fix : str
        How to mend it.
    place : Place
        Where in the SQL.
    rule : str
        The rule that binds, its table and owner, and the field of the API; or the documents' statement.
    table, owner, column : str
        What it is about, where it is about one table or column; else empty. ``owner`` is an account id.
    is_unsure : bool
        True where the documents do not say, or the checker does not understand: refused all the same.
    """

    code: str
    what: str
    fix: str
    place: Place = Place()
    rule: str = ""
    table: str = ""
    owner: str = ""
    column: str = ""
    is_unsure: bool = False

    def describe(self, sql: str) -> str:
        """Write it as one sentence: what is wrong, its code, the place in the SQL and what stands there, the rule."""
        where = f"line {self.place.line}, column {self.place.column}"
        if self.place.length > 1:
            start = self.place.column - 1
            where += f": {sql.split(chr(10))[self.place.line - 1][start : start + self.place.length]}"
        return f"{self.what} ({self.code}, {where}{self.rule and f'; {self.rule}'})"


@dataclass(frozen=True)
class OutputConstraint:
    """A result row stays only if it was built from enough distinct values of a column.

    Parameters
    ----------
    table, column : str
        Lower-case names as in the schema.
    minimum : int
        Smallest count of distinct non-null values, 2 to 100,000.
    output_column : str
        The one output column that this constraint is for; empty: the whole row.
    """

    table: str
    column: str
    minimum: int
    output_column: str = ""


@dataclass(frozen=True)
class Verdict:
    """The answer to whether a query may run.

    Parameters
    ----------
    violations : tuple of Violation
        In the order of the SQL; empty if the query may run.
    tables : tuple of str
        Names of the collaboration's tables that the query reads, sorted.
    rule_type : str
        ``LIST``, ``AGGREGATION`` or ``CUSTOM``; empty if the tables do not agree.
    query : sqlglot expression or None
        The checked syntax tree with template parameters filled in: run this, never the text. None unless allowed.
    constraints : tuple of OutputConstraint
        What an engine must apply to the result: rows that break one are left out, without a mark.
    resolution : Resolution or None
        Where the columns of ``query`` come from, for an engine. None unless allowed.
    """

    violations: tuple[Violation, ...]
    tables: tuple[str, ...] = ()
    rule_type: str = ""
    query: exp.Query | None = None
    constraints: tuple[OutputConstraint, ...] = ()
    resolution: Resolution | None = field(default=None, repr=False, compare=False)

    @property
    def allowed(self) -> bool:
        """True if nothing was found against the query."""
        return not self.violations

    @property
    def rejections(self) -> tuple[Violation, ...]:
        """Violations that Clean Rooms would refuse by its documents."""
        return tuple(violation for violation in self.violations if not violation.is_unsure)

    @property
    def unsure(self) -> tuple[Violation, ...]:
        """What the checker refuses because it cannot tell."""
        return tuple(violation for violation in self.violations if violation.is_unsure)
