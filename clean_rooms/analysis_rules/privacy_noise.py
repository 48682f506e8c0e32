"""Differential privacy as an engine can act it out: noise on the totals of an allowed query, a budget that runs out.

Comes in: a ``Verdict`` under differential privacy, and its tree with every column traced to its source. Goes out: the
tree with noise in it, the query of the limits that scale the noise, and what the query costs. Refused, by name: what
the documents do not say enough about. It shows how a query behaves and PROTECTS NOBODY: the noise follows from the
query's text and number, and the limits from the data, so that equal runs give equal results.

AWS publishes neither its distribution nor its accounting, only that noise is measured in users, that more noise makes
the budget last longer, and that contributions are bounded. Ours (docs/adr/0015): Laplace noise whose standard deviation
is the largest contribution of ``usersNoisePerQuery`` users; basic composition, so that a noisy sum costs
sqrt(2) / noise of epsilon, an AVG two of it (a sum and a count), a STDDEV three.
Sources: AWS Clean Rooms User Guide, "Differential privacy policy", "SQL capabilities of differential privacy"; API
reference, DifferentialPrivacySensitivityParameters. C. Dwork, A. Roth, The Algorithmic Foundations of Differential
Privacy, definition 3.3, theorem 3.16.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from clean_rooms.analysis_rules.differential_privacy import BUDGET_TYPES, privacy_column
from clean_rooms.analysis_rules.enforcement import NotEnforceable
from clean_rooms.analysis_rules.functions import AGGREGATES, function_name
from clean_rooms.analysis_rules.verdict import Verdict

TOTALS = {"AVG": 2, "COUNT": 1, "COUNT_DISTINCT": 1, "STDDEV": 3, "SUM": 1}  # noisy sums that each kind is made from
LIMITS = "$limits"  # no table of a collaboration can have this name


@dataclass(frozen=True, eq=False)
class Total:
    """One aggregate of the final SELECT: its kind as budgets name it, text, argument, whether it counts users."""

    kind: str
    text: str
    argument: exp.Expr | None
    is_of_users: bool


@dataclass(frozen=True, eq=False)
class NoisyQuery:
    """A query with noise: its tree, which reads the table ``$limits``; the query that makes that table; its totals."""

    tree: exp.Select
    limits: exp.Select
    totals: tuple[Total, ...]

    def epsilon(self, noise: int) -> float:
        """Epsilon that the query uses up."""
        return epsilon_of([total.kind for total in self.totals], noise)

    def sensitivity(self, row: Mapping[str, float]) -> list[dict[str, Any]]:
        """Write ``sensitivityParameters`` of GetProtectedQuery from the one row of the limits."""
        found = []
        for index, total in enumerate(self.totals):
            one: dict[str, Any] = {"aggregationType": total.kind, "aggregationExpression": total.text}
            one["userContributionLimit"] = 1 if total.is_of_users else int(row["n"])
            if total.argument is not None:
                one |= {"minColumnValue": row[f"a{index}"], "maxColumnValue": row[f"b{index}"]}
            found.append(one)
        return found


@dataclass(frozen=True)
class PrivacyBudget:
    """A collaboration's budget: its parameters, how much is spent, by how many queries."""

    limit: int
    noise: int
    spent: float = 0.0
    queries: int = 0

    @property
    def left(self) -> float:
        """Epsilon that is left."""
        return self.limit - self.spent

    @property
    def content(self) -> dict[str, Any]:
        """The ``differentialPrivacy`` of the API's budgets: how many aggregations there were and are left."""
        return {"epsilon": self.limit, "aggregations": aggregations(self.limit, self.noise, self.spent)}

    @property
    def summary(self) -> dict[str, Any]:
        """The part of a budget summary that the checker reads."""
        return {"budget": {"differentialPrivacy": self.content}}


def user_column(verdict: Verdict) -> tuple[str, str] | None:
    """Find source and column of the user identifier in the final SELECT; None if no table is protected.

    Raises
    ------
    NotEnforceable
        If no source of the final SELECT passes it on.
    """
    resolution = verdict.resolution
    users = {user for table in resolution.tables.values() if (user := privacy_column(table))} if resolution else set()
    if resolution is None or not users:
        return None
    for source in resolution.root.blocks[0].sources.values():
        for output in source.relation.outputs:
            if output.is_bare and output.origins and output.origins <= users:
                return source.alias, output.name
    raise NotEnforceable("the user identifier does not reach the final SELECT, so contributions can't be bounded")


def add_noise(query: exp.Query, user: tuple[str, str], noise: int, seed: str) -> NoisyQuery:
    """Put noise on every aggregate of a query's final SELECT.

    Parameters
    ----------
    query : sqlglot Query
        With every column traced to its source and every alias of SELECT written out.
    user : (str, str)
        Source and column of the user identifier.
    noise : int
        ``usersNoisePerQuery``, 10 to 100.
    seed : str
        What the noise follows from, besides the group.

    Raises
    ------
    NotEnforceable
        If an aggregate is one whose noise is not documented enough, or stands where it would show without noise.
    """
    tree, seed = query.copy(), hashlib.sha256(seed.encode()).hexdigest()
    if not isinstance(tree, exp.Select):
        raise NotEnforceable("the embedded AWS adds noise to a plain SELECT only")
    group = tree.args.get("group")
    keys = [key.copy() for key in group.expressions] if group else []
    totals: dict[str, Total] = {}
    noisy: dict[str, exp.Expr] = {}
    parts = [*((part, True) for part in tree.expressions), (tree.args.get("having"), False)]
    for part, is_selected in (*parts, (tree.args.get("order"), False)):
        for node in list(part.walk()) if part else ():
            name = function_name(node)
            if name not in AGGREGATES or node.find_ancestor(exp.Select) is not tree:
                continue
            text = node.sql("spark", comments=False)
            if text not in totals and not is_selected:
                raise NotEnforceable(f"{text} shows without noise: select it, too, or leave it out")
            if text not in totals:
                totals[text] = read_total(node, str(name), text, user)
                draws = [draw(f"{seed}/{len(totals)}/{number}", keys) for number in range(2)]
                noisy[text] = with_noise(node, totals[text], len(totals) - 1, noise, draws)
            node.replace(noisy[text].copy())
    return NoisyQuery(tree, limits_of(query, user, [*totals.values()]), tuple(totals.values()))


def read_total(node: exp.Expr, name: str, text: str, user: tuple[str, str]) -> Total:
    """Read one aggregate."""
    argument = node.this
    columns = argument.expressions if isinstance(argument, exp.Distinct) else [argument]
    kind = "COUNT_DISTINCT" if name == "COUNT" and isinstance(argument, exp.Distinct) else BUDGET_TYPES.get(name, name)
    if kind == "STDDEV":
        raise NotEnforceable(f"{text}: the documents do not say what noise a STDDEV gets; the embedded AWS adds none")
    if isinstance(node.parent, exp.Filter):
        raise NotEnforceable(f"{text} FILTER: write CASE inside the aggregate")
    only = columns[0]
    is_of_users = kind == "COUNT_DISTINCT" and isinstance(only, exp.Column) and (only.table, only.name) == user
    return Total(kind, text, only if kind in ("SUM", "AVG") else None, is_of_users)


def draw(seed: str, keys: Sequence[exp.Expr]) -> exp.Expr:
    """Write a Laplace draw of standard deviation 1 that follows from a seed and the group, in any order of groups."""
    hashed = exp.Anonymous(this="hash", expressions=[exp.Literal.string(seed), *(key.copy() for key in keys)])
    uniform = f"(CAST({hashed.sql('duckdb')} AS DOUBLE) / 18446744073709551616.0 - 0.5)"
    text = f"(-sign({uniform}) * ln(greatest(1 - 2 * abs({uniform}), 1e-18)) / {math.sqrt(2)!r})"
    return exp.maybe_parse(text, dialect="duckdb")


def with_noise(node: exp.Expr, total: Total, index: int, noise: int, draws: Sequence[exp.Expr]) -> exp.Expr:
    """Write an aggregate with its noise: counts and sums of whole numbers stay whole, an average is two noisy sums."""
    users = exp.Literal.number(noise)
    rows = users if total.is_of_users else exp.Mul(this=users, expression=the_limit("n"))
    if total.kind in ("COUNT", "COUNT_DISTINCT"):
        return whole(exp.Add(this=node.copy(), expression=exp.Mul(this=rows, expression=draws[0])))
    largest = exp.Greatest(
        this=exp.Abs(this=the_limit(f"a{index}")), expressions=[exp.Abs(this=the_limit(f"b{index}"))]
    )
    scale = exp.Mul(this=rows, expression=largest)
    summed = node.copy() if total.kind == "SUM" else exp.cast(exp.Sum(this=node.this.copy()), "double")
    sum_with_noise = exp.Add(this=summed, expression=exp.Mul(this=scale, expression=draws[0]))
    if total.kind == "SUM":
        is_whole = node.type is not None and node.is_type(*exp.DataType.INTEGER_TYPES)
        return whole(sum_with_noise) if is_whole else exp.paren(sum_with_noise, copy=False)
    counted = exp.Add(this=exp.Count(this=node.this.copy()), expression=exp.Mul(this=rows.copy(), expression=draws[1]))
    at_least_one = exp.Greatest(this=counted, expressions=[exp.Literal.number(1)])
    return exp.paren(exp.Div(this=exp.paren(sum_with_noise, copy=False), expression=at_least_one), copy=False)


def whole(number: exp.Expr) -> exp.Expr:
    """Round to a BIGINT."""
    return exp.cast(exp.Round(this=number), "bigint")


def the_limit(name: str) -> exp.Expr:
    """Read one of the limits."""
    return exp.select(exp.column(name, quoted=True)).from_(exp.to_identifier(LIMITS, quoted=True)).subquery(copy=False)


def limits_of(query: exp.Query, user: tuple[str, str], totals: Sequence[Total]) -> exp.Select:
    """Write the query of one row that bounds contributions: most rows of a user, least and greatest arguments."""
    inner: Any = query.copy()
    for name in ("group", "having", "order", "limit", "offset", "distinct"):
        inner.set(name, None)
    alias, name = user
    values = [exp.alias_(exp.Count(this=exp.Star()), "n")]
    outer = ["coalesce(max(n), 1) AS n"]
    for index, total in enumerate(totals):
        if total.argument is not None:
            values.append(exp.alias_(exp.Min(this=total.argument.copy()), f"a{index}"))
            values.append(exp.alias_(exp.Max(this=total.argument.copy()), f"b{index}"))
            outer += [f"coalesce(CAST(min(a{index}) AS DOUBLE), 0) AS a{index}"]
            outer += [f"coalesce(CAST(max(b{index}) AS DOUBLE), 0) AS b{index}"]
    inner.set("expressions", values)
    person = exp.column(name, alias, quoted=True)
    inner = inner.where(exp.not_(person.is_(exp.null())), copy=False)
    inner.set("group", exp.Group(expressions=[person.copy()]))
    return exp.select(*outer, dialect="duckdb").from_(inner.subquery("per_user", copy=False))


def epsilon_of(kinds: Sequence[str], noise: int) -> float:
    """Epsilon that aggregates of these kinds use up."""
    return sum(TOTALS[kind] for kind in kinds) * math.sqrt(2) / noise


def aggregations(epsilon: float, noise: int, spent: float) -> list[dict[str, Any]]:
    """Write how many aggregations of each kind a budget buys, and how many are left (``aggregations`` of the API)."""
    return [
        {
            "type": kind,
            "maxCount": math.floor(epsilon / epsilon_of([kind], noise) + 1e-9),
            "remainingCount": max(0, math.floor((epsilon - spent) / epsilon_of([kind], noise) + 1e-9)),
        }
        for kind in sorted(TOTALS)
    ]
