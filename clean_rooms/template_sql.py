"""The text of an analysis template: what it is known by, and what it reads of a table. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from contracts.errors import SettingsError


def hash_sql(sql: str) -> str:
    """SHA-256 of a template's text, lower-case hex: by it a partner allows a text, not just a name."""
    return hashlib.sha256(sql.encode()).hexdigest()


def columns_read(sql: str, table: str, others: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Find the columns that a template reads of a table whose columns nobody wrote down.

    Parameters
    ----------
    sql : str
        The template, in Spark's dialect.
    table : str
        SQL name of the table.
    others : mapping of table name to its columns
        The other tables that the template may read; a column without a table that they lack is the table's.

    Returns
    -------
    tuple of str
        Sorted, lower case.

    Raises
    ------
    SettingsError
        If the SQL can't be read, or takes all columns with a star, so that nobody can tell.
    """
    try:
        scopes = traverse_scope(parse_one(sql.lower(), read="spark"))
    except SqlglotError as error:
        why = str(error).splitlines()[0]
        raise SettingsError("the template's SQL can't be read", why=why, fix="mend it") from error
    found = set()
    for scope in scopes:
        ours = {name for name, one in scope.sources.items() if isinstance(one, exp.Table) and one.name == table}
        if not ours:
            continue
        selects = query_of(scope).selects
        if any(one.is_star and getattr(one, "table", "") in {"", *ours} for one in selects):
            raise SettingsError(
                f"the template reads all columns of {table}",
                why="with a star nobody can tell which columns the partner would let in",
                fix="write out the columns",
            )
        aliases = {one.alias for one in selects if isinstance(one, exp.Alias)}
        elsewhere = set()
        for source in scope.sources.values():
            elsewhere |= set(
                query_of(source).named_selects if isinstance(source, Scope) else others.get(source.name, ())
            )
        for column in scope.columns:
            is_alias = column.name in aliases and column.find_ancestor(exp.Group, exp.Having, exp.Order)
            if column.table in ours or not (column.table or column.name in elsewhere or is_alias):
                found.add(column.name)
    return tuple(sorted(found))


def query_of(scope: Scope) -> exp.Query:
    """Return the query of a scope; one that is none selects nothing."""
    return scope.expression if isinstance(scope.expression, exp.Query) else exp.Select()
