"""What a query is made of: columns and where they come from, sources, blocks, and the resolved whole.

Comes in: what ``scope`` finds. Goes out: the records that the rules read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from clean_rooms.analysis_rules.tables import RuleTable
from clean_rooms.analysis_rules.verdict import Violation


@dataclass(frozen=True, order=True)
class Origin:
    """A column of a table of the collaboration; lower-case names."""

    table: str
    column: str


Origins = frozenset[Origin]
NOTHING: Origins = frozenset()


@dataclass(frozen=True, eq=False)
class Output:
    """One output column: its name (lower case), its origins, where it is written, whether it is a column as it is."""

    name: str
    origins: Origins
    node: exp.Expr
    is_bare: bool = False


@dataclass(frozen=True, eq=False)
class Relation:
    """What a query gives: its outputs and the blocks that make them (several for a set operation)."""

    outputs: tuple[Output, ...]
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, eq=False)
class Source:
    """One source of a block: a table of the collaboration, or what a query gives."""

    alias: str
    relation: Relation
    node: exp.Expr
    table: RuleTable | None = None
    join: exp.Join | None = None
    is_hidden: bool = False


@dataclass(eq=False)
class Block:
    """One SELECT."""

    select: exp.Select
    parent: Block | None
    sources: dict[str, Source] = field(default_factory=dict)
    merged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    windows: dict[str, Origins] = field(default_factory=dict)
    is_whole: bool = True

    @property
    def tables(self) -> Iterator[RuleTable]:
        """Tables of the collaboration among the sources, in order."""
        return (source.table for source in self.sources.values() if source.table)


@dataclass(eq=False)
class Resolution:
    """A query with its names resolved.

    Parameters
    ----------
    root : Relation
        The query's result.
    blocks : list of Block
        Every SELECT, inner before outer.
    origins : dict of int to frozenset of Origin
        For the ``id`` of every column node: the columns it stands for.
    tables : dict of str to RuleTable
        The tables read, by name.
    violations : list of Violation
        Names that do not resolve, or not to one thing.
    bare : set of int
        ``id`` of the column nodes that are a table's column as it is, through whatever aliases.
    """

    root: Relation
    blocks: list[Block]
    origins: dict[int, Origins]
    tables: dict[str, RuleTable]
    violations: list[Violation]
    bare: set[int]

    def origins_in(self, *nodes: exp.Expr | None) -> Origins:
        """Union of the origins of all columns written inside nodes."""
        found = (
            self.origins.get(id(column), NOTHING) for node in nodes if node for column in node.find_all(exp.Column)
        )
        return NOTHING.union(*found)

    def final_blocks(self) -> list[Block]:
        """Blocks whose rows the result shows: the outermost ones, and through those that only pass rows on."""
        found: list[Block] = []
        waiting = list(self.root.blocks)
        while waiting:
            block = waiting.pop()
            found.append(block)
            aggregates = any(is_aggregate(node) for output in block.outputs for node in output.node.walk())
            if not block.select.args.get("group") and not aggregates:
                waiting += [inner for source in block.sources.values() for inner in source.relation.blocks]
        return found


def is_aggregate(node: exp.Expr) -> bool:
    """Tell an aggregate from the same function over a window."""
    return isinstance(node, exp.AggFunc) and node.find_ancestor(exp.Window, exp.Select) is not None and not over(node)


def over(node: exp.Expr) -> bool:
    """Tell whether a function is computed over a window."""
    parent = node.parent
    while isinstance(parent, exp.IgnoreNulls | exp.RespectNulls | exp.Filter | exp.WithinGroup):
        node, parent = parent, parent.parent
    return isinstance(parent, exp.Window) and parent.this is node
