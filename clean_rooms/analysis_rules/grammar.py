"""The syntax that the checker knows: every kind of node, and what may be set on it. All else is refused as not known.

Comes in: a parsed query. Goes out: what is unknown. An allow-list, because sqlglot's Spark parser takes far more than
Clean Rooms does; CUSTOM rules allow all of it, the other rules a part.
Source: AWS Clean Rooms SQL Reference, "SELECT" and "SQL literals, operators, conditions".
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from clean_rooms.analysis_rules.functions import INVISIBLE, KNOWN, NOT_CALLS, function_name
from clean_rooms.analysis_rules.parsing import ParsedQuery
from clean_rooms.analysis_rules.verdict import Violation

UNDERSTOOD = "the checker's own list of known syntax"
THIS = frozenset({"this"})
PAIR = frozenset({"this", "expression"})
LIST = frozenset({"expressions"})
_TAIL = frozenset({"with_", "order", "limit", "offset"})

COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod)
BITWISE = (exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor)

KNOWN_SYNTAX: dict[type[exp.Expr], frozenset[str]] = {
    exp.Select: LIST
    | _TAIL
    | frozenset("distinct from_ joins where group having windows laterals sort cluster distribute hint".split()),
    exp.Union: PAIR | _TAIL | {"distinct"},
    exp.Intersect: PAIR | _TAIL | {"distinct"},
    exp.Except: PAIR | _TAIL | {"distinct"},
    exp.Subquery: THIS | _TAIL | {"alias"},
    exp.With: LIST,
    exp.CTE: frozenset({"this", "alias"}),
    exp.From: THIS,
    exp.Table: frozenset({"this", "alias", "db", "catalog"}),
    exp.TableAlias: frozenset({"this", "columns"}),
    exp.Join: frozenset({"this", "on", "using", "kind", "side", "method"}),
    exp.Lateral: frozenset({"this", "view", "outer", "alias"}),
    exp.Values: frozenset({"expressions", "alias"}),
    exp.Where: THIS,
    exp.Having: THIS,
    exp.Group: frozenset({"expressions", "grouping_sets", "cube", "rollup"}),
    exp.GroupingSets: LIST,
    exp.Cube: LIST,
    exp.Rollup: LIST,
    exp.Order: LIST | {"this"},
    exp.Sort: LIST,
    exp.Cluster: LIST,
    exp.Distribute: LIST,
    exp.Ordered: frozenset({"this", "desc", "nulls_first"}),
    exp.Limit: frozenset({"expression"}),
    exp.Offset: frozenset({"expression"}),
    exp.Distinct: LIST,
    exp.Hint: LIST,
    exp.Alias: frozenset({"this", "alias"}),
    exp.Aliases: LIST | {"this"},
    exp.Column: frozenset({"this", "table", "db", "catalog"}),
    exp.Dot: PAIR,
    exp.Identifier: frozenset({"this", "quoted"}),
    exp.Star: frozenset(),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Null: frozenset(),
    exp.Boolean: THIS,
    exp.HexString: THIS,
    exp.Placeholder: THIS,
    exp.Var: THIS,
    exp.Interval: frozenset({"this", "unit"}),
    exp.DataType: frozenset({"this", "expressions", "nested"}),
    exp.DataTypeParam: THIS,
    exp.Paren: THIS,
    exp.Tuple: LIST,
    exp.Not: THIS,
    exp.Neg: THIS,
    exp.BitwiseNot: THIS,
    exp.And: PAIR,
    exp.Or: PAIR,
    exp.In: frozenset({"this", "expressions", "query"}),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.Like: PAIR | {"negate"},
    exp.ILike: PAIR | {"negate"},
    exp.Escape: PAIR,
    exp.Is: PAIR,
    exp.Exists: THIS,
    exp.DPipe: PAIR | {"safe"},
    exp.Case: frozenset({"this", "ifs", "default"}),
    exp.If: frozenset({"this", "true", "false"}),
    exp.Window: frozenset({"this", "partition_by", "order", "spec", "alias", "over"}),
    exp.WindowSpec: frozenset({"kind", "start", "start_side", "end", "end_side"}),
    exp.IgnoreNulls: THIS,
    exp.RespectNulls: THIS,
    exp.Filter: PAIR,
    exp.WithinGroup: PAIR,
    exp.Bracket: LIST | {"this", "offset"},
    exp.Lambda: LIST | {"this"},
    exp.PropertyEQ: PAIR,
    exp.JSONPath: LIST,  # the path literal of GET_JSON_OBJECT
    exp.JSONPathRoot: frozenset(),
    exp.JSONPathKey: THIS,
    exp.JSONPathSubscript: THIS,
    **dict.fromkeys(COMPARISONS, PAIR),
    **dict.fromkeys(ARITHMETIC, PAIR | {"typed", "safe"}),
    **dict.fromkeys(BITWISE, PAIR),
}
# Parts of a node that hold a name, not a column.
NAMING_PARTS: dict[type[exp.Expr], str] = {
    exp.Alias: "alias",
    exp.Aliases: "expressions",
    exp.Dot: "expression",
    exp.Interval: "unit",
    exp.PropertyEQ: "this",
    exp.Values: "alias",
    exp.Window: "alias",
}
JOIN_SIDES = {"", "LEFT", "RIGHT", "FULL"}
JOIN_KINDS = {"", "INNER", "OUTER", "CROSS", "SEMI", "ANTI"}
JOIN_HINTS = frozenset(
    "BROADCAST BROADCASTJOIN MAPJOIN MERGE MERGEJOIN SHUFFLEMERGE SHUFFLE_HASH SHUFFLE_REPLICATE_NL".split()
)


def unknown_syntax(parsed: ParsedQuery) -> Iterator[Violation]:
    """Yield every node of a query that the checker does not know."""
    if parsed.tree is None:
        return
    for node in parsed.tree.walk(prune=lambda part: isinstance(part, exp.Hint)):
        name = function_name(node)
        if name is not None:
            if name not in KNOWN:
                what = f"{name} is not a function that the checker knows"
                yield unknown(parsed, node, "unknown-function", what, "use a function of the SQL Reference")
            continue
        if isinstance(node, INVISIBLE):
            continue
        allowed = KNOWN_SYNTAX.get(type(node))
        if allowed is None and not isinstance(node, NOT_CALLS) and not isinstance(node, exp.Array):
            what = f"{wording(node)} is not syntax that the checker knows"
            yield unknown(parsed, node, "unknown-syntax", what, "write it in another way")
            continue
        for key, value in node.args.items():
            if value and allowed is not None and key not in allowed:
                what = f"{key.rstrip('_').upper()} in {wording(node)} is not syntax that the checker knows"
                yield unknown(parsed, node, "unknown-syntax", what, "leave it out")
        yield from unknown_details(parsed, node)


def unknown_details(parsed: ParsedQuery, node: exp.Expr) -> Iterator[Violation]:
    """Yield values of attributes that the checker does not know."""
    if isinstance(node, exp.Join) and (node.side not in JOIN_SIDES or node.kind not in JOIN_KINDS):
        yield unknown(parsed, node.this, "unknown-syntax", f"a {node.side} {node.kind} join", "write another join")
    elif isinstance(node, exp.Join) and node.method not in ("", "NATURAL"):
        yield unknown(parsed, node.this, "unknown-syntax", f"a {node.method} join", "write another join")
    elif isinstance(node, exp.Placeholder) and not node.name:
        yield unknown(parsed, node, "unknown-syntax", "a parameter without a name", "write :name")
    elif isinstance(node, exp.Hint) and not all(is_join_hint(hint) for hint in node.expressions):
        place = parsed.word(TokenType.HINT)
        what = "a hint that the checker does not know"
        yield Violation("unknown-syntax", what, "leave it out", place, UNDERSTOOD, is_unsure=True)


def is_join_hint(node: exp.Expr) -> bool:
    """Tell a join hint over names of sources."""
    is_known = isinstance(node, exp.JoinHint) and node.name.upper() in JOIN_HINTS
    return is_known and all(isinstance(source, exp.Table | exp.Column) for source in node.expressions)


def unknown(parsed: ParsedQuery, node: exp.Expr, code: str, what: str, fix: str) -> Violation:
    """Say that the checker does not know something."""
    named = node if "start" in node.meta or node.parent is None else node.parent
    return Violation(code, what, fix, parsed.place_of_head(named), UNDERSTOOD, is_unsure=True)


def wording(node: exp.Expr) -> str:
    """Name a kind of node as SQL does."""
    return "GROUPING SETS" if isinstance(node, exp.GroupingSets) else type(node).__name__.upper()
