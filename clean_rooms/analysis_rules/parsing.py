"""From text to one syntax tree of a query, with places for people, or to the reasons why there is none.

Comes in: the SQL text. Goes out: a ``ParsedQuery``. Refused: what does not parse, several statements, statements that
are not a query, and text of which a part left no trace in the tree, since nobody could check that part.
Sources: AWS Clean Rooms SQL Reference, "SQL commands"; User Guide, "Quotas" (query text).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from clean_rooms.analysis_rules.dialect import CleanRoomsSpark
from clean_rooms.analysis_rules.verdict import Place, Violation

QUERY_TEXT_LIMIT_BYTES = 500_000  # User Guide, "Quotas"
QUERY_OPENERS = {TokenType.L_PAREN, TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT}
OPENERS = {TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN, TokenType.CACHE}
# What sqlglot raises, besides its own errors, on calls with too few or odd arguments, and on deep nesting.
PARSER_FAULTS = (AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
TYPED_LITERALS = frozenset({"DATE", "TIMESTAMP", "TIMESTAMP_LTZ", "TIMESTAMP_NTZ"})
COMMANDS = "SQL Reference, SQL commands: SELECT, CACHE TABLE and hints"
# Words of the grammar that the tokenizer takes for names and that leave no identifier in the tree.
UNITS = frozenset(
    "YEAR YEARS QUARTER QUARTERS MONTH MONTHS WEEK WEEKS DAY DAYS HOUR HOURS MINUTE MINUTES SECOND SECONDS"
    " MILLISECOND MILLISECONDS MICROSECOND MICROSECONDS DAYOFWEEK DOW DAYOFYEAR DOY EPOCH".split()
)
GRAMMAR_WORDS = UNITS | frozenset(
    "FIRST LAST NULLS UNBOUNDED PRECEDING FOLLOWING CURRENT BOTH LEADING TRAILING WITHIN IGNORE RESPECT".split()
)


@dataclass(frozen=True)
class ParsedQuery:
    """A query as written.

    Parameters
    ----------
    text : str
        The SQL.
    tokens : tuple of Token
        Without comments.
    tree : Query or None
        None if ``violations`` say why.
    """

    text: str
    tokens: tuple[Token, ...] = ()
    tree: exp.Query | None = None
    violations: tuple[Violation, ...] = ()

    def place(self, *nodes: exp.Expr | None) -> Place:
        """Find where nodes stand: from their first to their last character, cut at the end of the first line."""
        spans = [(part.meta["start"], part.meta["end"]) for node in nodes if node is not None for part in written(node)]
        if not spans:
            return Place()
        return self.place_of(min(start for start, _ in spans), max(end for _, end in spans))

    def place_of_head(self, node: exp.Expr) -> Place:
        """Find where a node begins: its own word (a function's name), else the node."""
        if "start" in node.meta:
            return self.place_of(node.meta["start"], node.meta["end"])
        return self.place(node)

    def place_of(self, start: int, end: int) -> Place:
        """Find the place of the characters from start to end, both included."""
        before = self.text[:start]
        line_end = self.text.find("\n", start)
        last = min(end, (len(self.text) if line_end < 0 else line_end) - 1)
        return Place(before.count("\n") + 1, start - (before.rfind("\n") + 1) + 1, max(1, last - start + 1))

    def word_before(self, node: exp.Expr, *kinds: TokenType) -> Place:
        """Find the last such keyword before a node; the node's own place if there is none."""
        starts = [part.meta["start"] for part in written(node)]
        until = min(starts, default=len(self.text))
        found = [token for token in self.tokens if token.token_type in kinds and token.start < until]
        return self.place_of(found[-1].start, found[-1].end) if found else self.place(node)

    def is_typed_literal(self, node: exp.Expr) -> bool:
        """Tell ``DATE '2026-01-31'`` from ``CAST('2026-01-31' AS DATE)``: both are casts in the tree."""
        if not isinstance(node, exp.Cast) or not isinstance(node.this, exp.Literal):
            return False
        start = node.this.meta.get("start")
        before = [token.text.upper() for token in self.tokens if start is not None and token.end < start]
        return bool(before) and before[-1] in TYPED_LITERALS

    def word(self, *kinds: TokenType) -> Place:
        """Find the first such keyword."""
        found = [token for token in self.tokens if token.token_type in kinds]
        return self.place_of(found[0].start, found[0].end) if found else Place()


def parse_query(sql: str) -> ParsedQuery:
    """Parse exactly one query in the dialect of Clean Rooms; comments are dropped, they mean nothing."""
    if len(sql.encode()) > QUERY_TEXT_LIMIT_BYTES:
        what = f"the text has {len(sql.encode()):,} bytes, the limit is {QUERY_TEXT_LIMIT_BYTES:,}"
        return refused(sql, "query-text-too-long", what, "shorten it", Place(), "User Guide, Quotas: query text")
    dialect = CleanRoomsSpark()
    try:
        tokens = dialect.tokenize(sql)
    except SqlglotError as error:
        return refused(sql, "sql-does-not-parse", plain(error), "mend the SQL", Place())
    for token in tokens:
        if token.token_type != TokenType.HINT:  # the text of a hint is its comment
            token.comments = []
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    parsed = ParsedQuery(sql, tuple(tokens))
    if violation := wrong_statement(parsed):
        return ParsedQuery(sql, tuple(tokens), None, (violation,))
    try:
        (tree,) = dialect.parser().parse(tokens, sql)
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        length = len(first.get("highlight") or "x")
        place = Place(first.get("line") or 1, max(1, (first.get("col") or 1) - length + 1), length)
        return refused(sql, "sql-does-not-parse", plain(error), "mend the SQL", place)
    except (*PARSER_FAULTS, SqlglotError) as error:
        what = f"the checker can't read it: {plain(error) or type(error).__name__}"
        return refused(sql, "sql-not-understood", what, "write it more simply", Place(), is_unsure=True)
    if isinstance(tree, exp.Cache):
        what = "CACHE TABLE is a documented statement, which this checker does not follow"
        fix = "write the cached query as a CTE: WITH name AS (SELECT ...)"
        return refused(sql, "cache-table", what, fix, parsed.word(TokenType.CACHE), COMMANDS, is_unsure=True)
    if not isinstance(tree, exp.Query):
        return refused(
            sql, "not-a-select", "this is no SELECT", "write one SELECT statement", parsed.place(tree), COMMANDS
        )
    if not all(select.expressions for select in tree.find_all(exp.Select)):  # which the parser lets pass
        what, place = "a SELECT names nothing to select", parsed.word(TokenType.SELECT)
        return refused(sql, "sql-does-not-parse", what, "name columns between SELECT and FROM", place)
    return ParsedQuery(sql, tuple(tokens), tree, tuple(open_syntax(parsed)))


def wrong_statement(parsed: ParsedQuery) -> Violation | None:
    """Say why a text can't be one query, by its tokens alone."""
    if not parsed.tokens:
        return Violation("not-a-select", "there is no statement", "write one SELECT statement", rule=COMMANDS)
    more = [token for token in parsed.tokens if token.token_type == TokenType.SEMICOLON]
    if more:
        place = parsed.place_of(more[0].start, more[0].end)
        return Violation("several-statements", "a second statement begins here", "send one statement", place, COMMANDS)
    first = parsed.tokens[0]
    if first.token_type not in OPENERS:
        place = parsed.place_of(first.start, first.end)
        return Violation("not-a-select", "this is no SELECT", "write one SELECT statement", place, COMMANDS)
    return None


def open_syntax(parsed: ParsedQuery) -> Iterator[Violation]:
    """Yield what the tree does not show and the documents leave open: text in double quotes, FROM before SELECT."""
    before = None
    for token in parsed.tokens:
        if token.token_type == TokenType.STRING and parsed.text[token.start] == '"':
            what = "text in double quotes: Spark reads it as text, the documents' FROM page as a name"
            fix = "write 'text' or `name`"
            place = parsed.place_of(token.start, token.end)
            yield Violation("double-quotes", what, fix, place, "SQL Reference, FROM clause", is_unsure=True)
        elif token.token_type == TokenType.FROM and before in QUERY_OPENERS:
            place = parsed.place_of(token.start, token.end)
            what = "a query that begins with FROM is not in the documents"
            yield Violation("from-first", what, "begin with SELECT", place, COMMANDS, is_unsure=True)
        is_distinct_union = token.token_type in (TokenType.ALL, TokenType.DISTINCT) and before in QUERY_OPENERS
        before = before if is_distinct_union else token.token_type


def written(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the parts of a node that have a place; those of a hint count from the hint's beginning, so they don't."""
    parts = node.walk(prune=lambda part: isinstance(part, exp.Hint))
    return (part for part in parts if "start" in part.meta and not isinstance(part, exp.Hint))


def lost_words(parsed: ParsedQuery, column_names: Iterable[str]) -> Iterator[Violation]:
    """Yield names in the text that left no trace in the tree: a parser that drops an argument would hide a column.

    Parameters
    ----------
    column_names : iterable of str
        Lower-case columns of the tables in reach; a word that is one of them must be in the tree, whatever it is else.
    """
    if parsed.tree is None:
        return
    seen = {node.meta["start"] for node in written(parsed.tree)}
    columns = set(column_names)
    for index, token in enumerate(parsed.tokens):
        name = token.text.lower()
        is_name = token.token_type in (TokenType.VAR, TokenType.IDENTIFIER)
        if token.start in seen or token.token_type == TokenType.STRING or not (is_name or name in columns):
            continue
        before = parsed.tokens[index - 1].token_type if index else None
        after = parsed.tokens[index + 1].token_type if index + 1 < len(parsed.tokens) else None
        is_call = after == TokenType.L_PAREN
        is_type = before in (TokenType.ALIAS, TokenType.DCOLON) or after == TokenType.STRING
        if is_call or before in (TokenType.COLON, TokenType.HINT) or (is_type and not is_name):
            continue
        if name.upper() in GRAMMAR_WORDS and name not in columns:
            continue
        what = f"the checker does not follow what {token.text} does here"
        fix = "write it in another way, or ask the service"
        yield Violation("sql-not-understood", what, fix, parsed.place_of(token.start, token.end), is_unsure=True)


def refused(
    sql: str, code: str, what: str, fix: str, place: Place, rule: str = "", is_unsure: bool = False
) -> ParsedQuery:
    """Return a text without a tree, and why."""
    return ParsedQuery(sql, violations=(Violation(code, what, fix, place, rule, is_unsure=is_unsure),))


def plain(error: Exception) -> str:
    """First line of an error, without the parser's terminal colours."""
    return re.sub(r"\x1b\[\d+m", "", str(error)).strip().split("\n")[0]
