"""Spark SQL as AWS Clean Rooms documents it, where sqlglot's Spark dialect does not parse it.

AWS Clean Rooms SQL Reference: ``TRUNC(timestamp)`` with one argument, ``CONVERT(type, expression)``, ``GETDATE()``.
Every function node keeps the name that was written (``meta["name"]``), which an allow-list of names needs.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.dialects.spark import Spark
from sqlglot.parser import Parser as BaseParser
from sqlglot.parsers.spark import SparkParser
from sqlglot.tokenizer_core import TokenType

NAME = "name"  # where a function node keeps the name that was written


def build_trunc(args: list[exp.Expr]) -> exp.Expr:
    """Build TRUNC: of one argument it is Clean Rooms' own, of two it is Spark's."""
    if len(args) == 1:
        return exp.Anonymous(this="TRUNC", expressions=args)
    built: exp.Expr = SparkParser.FUNCTIONS["TRUNC"](args)
    return built


def parse_convert(parser: BaseParser) -> exp.Expr:
    """Parse the inside of ``CONVERT(type, expression)`` as the cast that it is."""
    kind = parser._parse_types(allow_identifiers=False)
    if kind is None or not parser._match(TokenType.COMMA):
        parser.raise_error("CONVERT takes a type, then an expression")
    cast = exp.Cast(this=parser._parse_assignment(), to=kind)
    cast.meta[NAME] = "CONVERT"
    return cast


class CleanRoomsSpark(Spark):
    """The dialect."""

    ORIGINAL_NAME_META_KEY = NAME

    class Parser(SparkParser):
        """The parser."""

        FUNCTIONS = {  # noqa: RUF012  (sqlglot's own way)
            **SparkParser.FUNCTIONS,
            "TRUNC": build_trunc,
            "GETDATE": exp.CurrentTimestamp.from_arg_list,
        }
        FUNCTION_PARSERS = {**SparkParser.FUNCTION_PARSERS, "CONVERT": parse_convert}  # noqa: RUF012
