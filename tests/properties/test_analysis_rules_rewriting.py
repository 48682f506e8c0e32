"""A refused query stays refused however it is dressed up; case, comments and blanks change no reason at all."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from clean_rooms.analysis_rules import Verdict, check
from clean_rooms.analysis_rules.dialect import CleanRoomsSpark
from clean_rooms.analysis_rules.parsing import parse_query
from tests.clean_room_cases import CASES, Case

DIALECT = CleanRoomsSpark()
READ = [case for case in CASES if parse_query(case.sql).tree is not None]
REFUSED = [case for case in CASES if case.codes]
MARKED = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|`[^`]*`|:\w+|\$\{\w+\}|/\*\+.*?\*/|/\*.*?\*/|--[^\n]*", re.DOTALL)


def judge(case: Case, sql: str) -> Verdict:
    """The verdict on other SQL in a case's circumstances."""
    options = dict(case.options)
    if "template" in options:
        options["template"] = options["template"] | {"source": {"text": sql}}
    return check(sql, case.schemas, case.runner, **options)


def reasons(verdict: Verdict) -> list[tuple[str, str, str]]:
    """Codes with what they are about."""
    return sorted((one.code, one.table, one.column) for one in verdict.violations)


def tokens(sql: str) -> list[Token]:
    """Tokens without the semicolon at the end."""
    found = DIALECT.tokenize(sql)
    while found and found[-1].token_type == TokenType.SEMICOLON:
        found.pop()
    return found


def with_comments(sql: str) -> str:
    """Put a comment after every token, also one to which the parser itself would listen."""
    pieces, at = [], 0
    for token in tokens(sql):
        pieces.append(sql[at : token.end + 1])
        if token.token_type not in (TokenType.HINT, TokenType.COLON, TokenType.PARAMETER):
            pieces.append(" /* sqlglot.anonymous */ ")
        at = token.end + 1
    return "".join(pieces) + sql[at:]


def with_other_case(sql: str) -> str:
    """Swap the case of all letters outside quotes, comments and parameters."""
    pieces, at = [], 0
    for marked in MARKED.finditer(sql):
        pieces += [sql[at : marked.start()].swapcase(), marked.group()]
        at = marked.end()
    return "".join(pieces) + sql[at:].swapcase()


def with_blanks(sql: str) -> str:
    """Put a line break and blanks before and after the query."""
    return f"\n\t {sql}\n\n "


@pytest.mark.parametrize("change", [with_comments, with_other_case, with_blanks])
def test_comments_case_and_blanks_change_no_reason(change: Callable[[str], str]) -> None:
    for case in READ:
        assert reasons(judge(case, change(case.sql))) == reasons(judge(case, case.sql)), case.name


def in_cte(sql: str) -> str:
    """Wrap a query in a CTE."""
    return f"WITH wrapped AS ({sql}\n) SELECT * FROM wrapped"


def in_cte_twice(sql: str) -> str:
    """Wrap a query in two CTEs."""
    return f"WITH wrapped AS ({sql}\n), again AS (SELECT w.* FROM wrapped w) SELECT * FROM again AS other"


def in_subquery(sql: str) -> str:
    """Wrap a query in a derived table."""
    return f"SELECT wrapped.* FROM ({sql}\n) AS wrapped"


def in_brackets(sql: str) -> str:
    """Wrap a query in brackets."""
    return f"(({sql}\n))"


def with_union(sql: str) -> str:
    """Join a query with itself."""
    return f"({sql}\n) UNION ALL ({sql}\n)"


def in_scalar_subquery(sql: str) -> str:
    """Make a query a value of another."""
    return f"SELECT ({sql}\n) AS value"


@pytest.mark.parametrize(
    "wrap",
    [in_cte, in_cte_twice, in_subquery, in_brackets, with_union, in_scalar_subquery],
    ids=lambda wrap: wrap.__name__,
)
def test_no_wrapping_makes_a_refused_query_an_accepted_one(wrap: Callable[[str], str]) -> None:
    for case in REFUSED:
        sql = case.sql.strip().rstrip(";")
        assert not judge(case, wrap(sql)).allowed, case.name


def renamed(sql: str) -> str:
    """Give every source and output another alias, and say so wherever they are named."""
    tree = DIALECT.parser().parse(DIALECT.tokenize(sql), sql)[0]
    assert tree is not None
    aliases = {node.name.lower() for node in tree.find_all(exp.TableAlias) if node.name}
    ctes = {node.alias.lower() for node in tree.find_all(exp.CTE)}
    for identifier in list(tree.find_all(exp.Identifier)):
        is_source = identifier.arg_key == "table" or isinstance(identifier.parent, exp.TableAlias)
        is_source = is_source or (isinstance(identifier.parent, exp.Table) and identifier.name.lower() in ctes)
        if is_source and identifier.name.lower() in aliases:
            identifier.set("this", f"other_{identifier.name}")
    for select in tree.find_all(exp.Select):
        if select.parent is None:
            for number, item in enumerate(select.expressions):
                if isinstance(item, exp.Column) and not isinstance(item.this, exp.Star):
                    select.expressions[number] = exp.alias_(item.copy(), f"renamed_{number}")
            select.set("expressions", select.expressions)
    return tree.sql(dialect=DIALECT)


def bracketed(sql: str) -> str:
    """Put brackets around every column and literal that is an operand, an argument or an output."""
    tree = DIALECT.parser().parse(DIALECT.tokenize(sql), sql)[0]
    assert tree is not None
    for node in list(tree.find_all(exp.Column, exp.Literal)):
        is_part = isinstance(node.parent, exp.Binary | exp.Select | exp.Alias | exp.Func | exp.In | exp.Between)
        is_name = isinstance(node.parent, exp.JSONPath) or isinstance(node.this, exp.Star)
        if is_part and not is_name and node.arg_key != "alias":
            node.replace(exp.paren(node.copy(), copy=False))
    return tree.sql(dialect=DIALECT)


@pytest.mark.parametrize("change", [renamed, bracketed])
def test_no_alias_and_no_bracket_makes_a_refused_query_an_accepted_one(change: Callable[[str], str]) -> None:
    written = 0
    refused = [case for case in READ if case.codes and case.codes != ["?from-first"]]  # written anew, SELECT is first
    for case in refused:
        sql = change(case.sql)
        written += sql != case.sql
        assert not judge(case, sql).allowed, (case.name, sql)
    assert written > len(refused) / 2
