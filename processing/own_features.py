"""A feature query of the user's own: one SELECT over ``events`` (or ``customers``), a row per customer.

It sees no event after the snapshot: inside it ``events`` holds only what was known on the date, which is ``$as_of``,
and it can name nothing but that table. Of a ready table it sees neither labels nor split. Refused: more than one
statement, another statement than SELECT, another table, a file or function that reads one, a clock or a random number,
two rows for a customer, a name that we have already, a column that can't be a feature.
"""

from __future__ import annotations

from datetime import date

import duckdb
import sqlglot
from sqlglot import TokenType, exp
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.scope import Scope, traverse_scope

from contracts.errors import ContractError, SettingsError
from contracts.query_result import KEY
from contracts.table import KINDS, LARGEST
from processing.sql import columns_of, literal, one_row, quoted, refuse_identifier

WHERE = "tables.features in project.toml"
CLOCK_WORDS = {"current_time", "current_timestamp", "localtime", "localtimestamp"}  # no functions in DuckDB's catalog


def check_query(sql: str, source: str) -> exp.Query:
    """Refuse what is not one SELECT over ``source`` alone; return it parsed.

    Raises
    ------
    SettingsError
        Naming what was found.
    """
    try:
        statements = sqlglot.parse(sql, dialect="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise SettingsError(
            "the feature query is not SQL", where=WHERE, why=str(error).partition("\n")[0], fix="mend it"
        ) from error
    statements = [each for each in statements if not isinstance(each, exp.Semicolon)]  # a comment after the last one
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise SettingsError(
            "the feature query must be one SELECT", where=WHERE, fix="write one SELECT per customer_key"
        )
    tree = normalize_identifiers(statements[0], dialect="duckdb")
    # by scope, not by name: WITH t AS (SELECT * FROM t) reads the table t, not itself
    of_query = {
        id(table)
        for scope in traverse_scope(tree)
        for table in scope.tables
        if isinstance(found := scope.sources.get(table.alias_or_name), Scope) and found.is_cte
    }
    for table in tree.find_all(exp.Table):
        is_name = isinstance(table.this, exp.Identifier) and not table.db and not table.catalog
        if not is_name or (table.name != source and id(table) not in of_query):
            raise SettingsError(
                f"the feature query reads {table.sql(dialect='duckdb')}",
                where=WHERE,
                why=f"it may read {source} and nothing else: what it reads is then what was known on the date",
                fix=f"select from {source}",
            )
    return tree


def refuse_clock_and_chance(connection: duckdb.DuckDBPyConnection, tree: exp.Query) -> None:
    """Stop if a query asks for the time, a random number or a setting: it would give other features each time."""
    unstable = CLOCK_WORDS | {
        name
        for (name,) in connection.execute(
            "SELECT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
        ).fetchall()
    }
    for node in tree.find_all(exp.Func, exp.TableSample):
        names = node.sql_names() if isinstance(node, exp.Func) else []
        if isinstance(node, exp.TableSample) or unstable & {name.lower() for name in (*names, node.name)}:
            raise SettingsError(
                f"the feature query uses {node.sql(dialect='duckdb').strip()}",
                where=WHERE,
                why="the same events must give the same features, on whatever day they are computed",
                fix="count days up to $as_of, the date of the snapshot",
            )


def own_features(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    source: str,
    base: str,
    as_of: date | None,
    hidden: tuple[str, ...] = (),
) -> str:
    """Compute the user's features for the customers of ``base``; return the name of their table.

    Parameters
    ----------
    hidden : tuple of str
        Columns of ``source`` that the query does not see: labels, and what only training has.

    Raises
    ------
    SettingsError
        If the query is not one SELECT over ``source``, or DuckDB refuses it.
    ContractError
        If a customer has two rows, there is no ``customer_key``, or a column can't be a feature.
    """
    tree = check_query(sql, source)
    refuse_clock_and_chance(connection, tree)
    known = f"WHERE event_day <= DATE '{as_of}'" if as_of and source == "events" else ""
    seen = f"COLUMNS(lambda c: c NOT IN ({', '.join(map(literal, hidden))}))" if hidden else "*"
    name = f"own_{base}"
    body = without_end(sql)
    try:
        connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE {name} AS
            WITH {source} AS (SELECT {seen} FROM all_{source} {known}) SELECT * FROM (\n{body}\n)""",
            {"as_of": as_of} if as_of and tree.find(exp.Parameter, exp.Placeholder) else {},
        )
    except duckdb.Error as error:
        raise SettingsError(
            "the feature query can't be run", where=WHERE, why=str(error).partition("\n")[0], fix="mend it"
        ) from error
    if KEY not in columns_of(connection, name):
        raise ContractError("the feature query gives no customer_key", where=WHERE, fix="select it, a row per customer")
    connection.execute(f"ALTER TABLE {name} ALTER {KEY} TYPE VARCHAR")  # as events and a ready table have it
    rows, keys = one_row(connection, f"SELECT count(*), count(DISTINCT {KEY}) FROM {name}")
    if rows != keys:
        raise ContractError(
            f"the feature query gives {rows:,} rows for {keys:,} customers",
            where=WHERE,
            why="a feature is one value per customer, and a missing customer_key is nobody",
            fix="GROUP BY customer_key",
        )
    check_values(connection, name)
    return name


def without_end(sql: str) -> str:
    """Leave out the semicolon that ends a statement, and what is said after it."""
    words = [token for token in sqlglot.tokenize(sql, dialect="duckdb") if token.token_type != TokenType.SEMICOLON]
    return sql[: words[-1].end + 1]


def check_values(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Refuse a column of the user's features that is no number, boolean or category, or infinite anywhere."""
    for field in connection.table(name).limit(0).to_arrow_table().schema:
        if field.name == KEY:
            continue
        if not KINDS["value"](field.type):
            raise ContractError(
                f"the feature query gives {field.name} as {field.type}",
                where=WHERE,
                why="features are numbers, booleans or texts",
                fix="turn it into one of these: date_diff('day', a_date, $as_of)",
            )
        if KINDS["text"](field.type):
            refuse_identifier(connection, name, field.name, WHERE, "leave it out of the query")
            continue
        value = f"{quoted(field.name)}::DOUBLE"
        (endless,) = one_row(
            connection, f"SELECT count(*) FILTER (NOT isnan({value}) AND abs({value}) > {LARGEST}) FROM {name}"
        )
        if endless:
            raise ContractError(
                f"the feature query gives an infinite {field.name} for {endless:,} customers",
                where=WHERE,
                why=f"something is divided by zero, or by next to it: more than {LARGEST:g} is infinite to a model",
                fix="divide by nullif(..., 0)",
            )
