"""Analysis templates: whether their text and parameters are in order, and the text with typed values filled in.

Comes in: a template as GetCollaborationAnalysisTemplate gives it, and values, which the API takes as texts. Goes out:
the syntax tree with literals in place of ``:name``; values never become SQL text. Refused: names that do not fit,
values that are not of the declared type, parameters where no literal may stand.
Sources: AWS Clean Rooms User Guide, "Creating an analysis template"; API reference, AnalysisParameter, ParameterType.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlglot import exp

from clean_rooms.analysis_rules.parsing import ParsedQuery
from clean_rooms.analysis_rules.verdict import Violation, with_article

PARAMETERS_LIMIT = 50  # API reference, CreateAnalysisTemplate
VALUE_LIMIT = 1000  # characters; API reference, ParameterValue
NAME = re.compile(r"[0-9A-Za-z_]{1,100}")
DECLARED = "analysisParameters of the template"
WHOLE = {  # bits
    "BIGINT": 64, "LONG": 64, "INTEGER": 32, "INT": 32, "SMALLINT": 16, "SHORT": 16, "TINYINT": 8, "BYTE": 8,
}  # fmt: skip
EXACT = frozenset({"DECIMAL", "NUMERIC"})
FLOATING = frozenset({"REAL", "FLOAT", "DOUBLE", "DOUBLE_PRECISION"})
TEXTS = frozenset({"CHAR", "CHARACTER", "VARCHAR", "STRING"})
MOMENTS = {"TIMESTAMP": "TIMESTAMP", "TIMESTAMPTZ": "TIMESTAMP", "TIMESTAMP_LTZ": "TIMESTAMP_LTZ",
           "TIMESTAMP_NTZ": "TIMESTAMP_NTZ"}  # fmt: skip
TIMES = frozenset({"TIME", "TIMETZ"})
BINARY = frozenset({"BINARY", "VARBYTE"})
NOT_LITERAL_KEYS = frozenset({"alias", "table", "db", "catalog"})
NOT_LITERAL_PARENTS = (exp.Table, exp.TableAlias, exp.Column, exp.CTE, exp.Dot, exp.Identifier, exp.Ordered, exp.Group)


def bind_parameters(
    parsed: ParsedQuery, template: Mapping[str, Any] | None, parameters: Mapping[str, str] | None
) -> Iterator[Violation]:
    """Put values in the place of a query's parameters, in its tree; yield what does not fit."""
    if parsed.tree is None:
        return
    declared = {str(one["name"]): one for one in (template or {}).get("analysisParameters") or ()}
    given = dict(parameters or {})
    if len(declared) > PARAMETERS_LIMIT:
        what = f"{len(declared)} parameters, the limit is {PARAMETERS_LIMIT}"
        yield Violation("too-many-parameters", what, "declare fewer", rule=DECLARED)
    for name in sorted(set(given) - set(declared)):
        what = f"parameter {name} is not declared"
        yield Violation("parameter-unknown", what, f"declared: {', '.join(declared) or 'none'}", rule=DECLARED)
    bad: set[str] = set()
    for name, one in declared.items():
        if not NAME.fullmatch(name):
            what = f"{name!r} can't name a parameter"
            yield Violation("parameter-name", what, "use letters, digits and underscores, at most 100", rule=DECLARED)
        if (value := given.get(name, one.get("defaultValue"))) is None:
            what, fix = f"parameter {name} has neither value nor default", f"give {name}"
            yield Violation("parameter-missing", what, fix, rule=DECLARED)
            bad.add(name)
        elif problem := wrong_value(str(one["type"]), value):
            yield Violation(
                "parameter-value", f"{name} = {str(value)[:60]!r}: {problem}", "mend the value", rule=DECLARED
            )
            bad.add(name)
    for node in list(parsed.tree.find_all(exp.Placeholder)):
        name = node.name
        place = parsed.place(node.parent or node)
        if node.arg_key in NOT_LITERAL_KEYS or isinstance(node.parent, NOT_LITERAL_PARENTS):
            what = f":{name} stands where no literal may stand"
            yield Violation("parameter-place", what, "a parameter is a value, never a name", place, DECLARED)
        elif name not in declared:
            what = f":{name} is not a parameter of a template"
            yield Violation("parameter-unknown", what, f"declare {name} in the template", place, DECLARED)
        elif name not in bad:
            one = declared[name]
            node.replace(literal(str(one["type"]), str(given.get(name, one.get("defaultValue")))))


def wrong_value(kind: str, value: object) -> str:
    """Say why a value is not one of its type; empty if it is."""
    if not isinstance(value, str):
        return "values are sent as texts"
    if len(value) > VALUE_LIMIT:
        return f"{len(value)} characters, the limit is {VALUE_LIMIT}"
    try:
        if kind in WHOLE:
            limit = 2 ** (WHOLE[kind] - 1)
            if not re.fullmatch(r"[+-]?\d{1,20}", value, re.ASCII) or not -limit <= int(value) < limit:
                return f"not {with_article(kind)}, {-limit:,} to {limit - 1:,}"
        elif kind in EXACT and (not Decimal(value).is_finite() or len(Decimal(value).as_tuple().digits) > 38):
            return f"not {with_article(kind)} of at most 38 digits"
        elif kind in FLOATING and not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value, re.ASCII):
            return f"not {with_article(kind)}"
        elif kind == "BOOLEAN" and value.lower() not in ("true", "false"):
            return "not true or false"
        elif kind == "DATE":
            date.fromisoformat(value)
        elif kind in MOMENTS:
            datetime.fromisoformat(value)
        elif kind in TIMES:
            time.fromisoformat(value)
        elif kind in BINARY and not re.fullmatch(r"([0-9A-Fa-f]{2})*", value):
            return "not pairs of hexadecimal digits"
        elif kind not in TEXTS | EXACT | FLOATING | TIMES | BINARY | {"BOOLEAN", "DATE"} | set(MOMENTS) | set(WHOLE):
            return f"{kind} is not a type of a parameter"
    except (ValueError, InvalidOperation):
        return f"not {with_article(kind)}"
    return ""


def literal(kind: str, value: str) -> exp.Expr:
    """Write a checked value as a literal of its type."""
    if kind in WHOLE:
        return exp.cast(exp.Literal.number(str(int(value))), "BIGINT" if kind == "LONG" else SQL_NAMES.get(kind, kind))
    if kind in EXACT:
        return exp.Literal.number(format(Decimal(value), "f"))
    if kind in FLOATING:
        return exp.cast(exp.Literal.string(value), "FLOAT" if kind in ("REAL", "FLOAT") else "DOUBLE")
    if kind == "BOOLEAN":
        return exp.Boolean(this=value.lower() == "true")
    if kind == "DATE":
        return exp.cast(exp.Literal.string(value), "DATE")
    if kind in MOMENTS:
        return exp.cast(exp.Literal.string(value), MOMENTS[kind], dialect="spark")
    if kind in BINARY:
        return exp.HexString(this=value)
    return exp.Literal.string(value)


SQL_NAMES = {"INTEGER": "INT", "SHORT": "SMALLINT", "BYTE": "TINYINT"}
