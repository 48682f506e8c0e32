"""Where every name in a query comes from, and which table columns each output is computed from.

Comes in: a parsed query and the tables of the collaboration. Goes out: a ``Resolution``: the blocks (SELECTs) of the
query with their sources and outputs, the origins of every column written, and what could not be resolved. An abstract
run of the query on sets of columns, with Spark's rules for names; where those leave a choice, both readings count.

A column written anywhere inside an output contributes to it: also a CASE condition, a window key, a subquery's filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sqlglot import exp

from clean_rooms.analysis_rules.grammar import NAMING_PARTS
from clean_rooms.analysis_rules.lineage import NOTHING, Block, Origin, Origins, Output, Relation, Resolution, Source
from clean_rooms.analysis_rules.parsing import UNITS, ParsedQuery
from clean_rooms.analysis_rules.tables import RuleTable
from clean_rooms.analysis_rules.verdict import Violation


class Resolver:
    """Resolves one query; use ``resolve``."""

    def __init__(self, parsed: ParsedQuery, tables: Mapping[str, RuleTable]) -> None:
        self.parsed = parsed
        self.known = tables
        self.blocks: list[Block] = []
        self.origins: dict[int, Origins] = {}
        self.tables: dict[str, RuleTable] = {}
        self.violations: list[Violation] = []
        self.bare: set[int] = set()

    def report(
        self, node: exp.Expr, code: str, what: str, fix: str, is_unsure: bool = False, table: str = "", column: str = ""
    ) -> None:
        """Note what does not resolve."""
        place = self.parsed.place(node)
        owner = self.known[table].owner if table in self.known else ""
        self.violations.append(
            Violation(code, what, fix, place, table=table, owner=owner, column=column, is_unsure=is_unsure)
        )

    # -- relations

    def query(self, node: exp.Expr, env: Mapping[str, Relation], parent: Block | None) -> Relation:
        """Resolve a query."""
        env = self.with_ctes(node, env, parent)
        if isinstance(node, exp.Select):
            return self.select(node, env, parent)
        if isinstance(node, exp.Subquery):
            relation = self.query(node.this, env, parent)
            self.tail(node, relation, env, parent)
            return relation
        if isinstance(node, exp.SetOperation):
            relation = self.set_operation(node, env, parent)
            self.tail(node, relation, env, parent)
            return relation
        self.report(node, "sql-not-understood", "the checker does not follow this query", "write a SELECT", True)
        return Relation(())

    def with_ctes(self, node: exp.Expr, env: Mapping[str, Relation], parent: Block | None) -> Mapping[str, Relation]:
        """Resolve the WITH of a query; each name is known to those after it."""
        clause = node.args.get("with_")
        if clause is None:
            return env
        if clause.args.get("recursive"):
            self.report(clause, "recursion", "recursive queries are not followed", "write it without RECURSIVE", True)
        inner = dict(env)
        for cte in clause.expressions:
            relation = self.query(cte.this, inner, parent)
            inner[cte.alias.lower()] = self.renamed(relation, cte.args.get("alias"))
        return inner

    def set_operation(self, node: exp.SetOperation, env: Mapping[str, Relation], parent: Block | None) -> Relation:
        """Resolve UNION, INTERSECT, EXCEPT: columns meet by position, both sides contribute."""
        left, right = self.query(node.this, env, parent), self.query(node.expression, env, parent)
        if len(left.outputs) != len(right.outputs):
            what = f"{len(left.outputs)} columns on the left, {len(right.outputs)} on the right"
            self.report(node, "columns-do-not-match", what, "give both sides the same columns")
        outputs = tuple(
            Output(one.name, one.origins | other.origins, one.node, one.is_bare and other.is_bare)
            for one, other in zip(left.outputs, right.outputs, strict=False)
        )
        return Relation(outputs, left.blocks + right.blocks)

    def tail(self, node: exp.Expr, relation: Relation, env: Mapping[str, Relation], parent: Block | None) -> None:
        """Resolve ORDER BY and LIMIT after a query in brackets or a set operation: they see its outputs."""
        block = Block(exp.Select(), parent, {"": Source("", relation, node)}, outputs=list(relation.outputs))
        for name in ("order", "limit", "offset", "sort", "cluster", "distribute"):
            if clause := node.args.get(name):
                self.clause(clause, block, env)

    def renamed(self, relation: Relation, alias: exp.Expr | None) -> Relation:
        """Apply the column names of ``AS t(a, b)``."""
        names = alias.args.get("columns") if alias else None
        if not names:
            return relation
        if len(names) != len(relation.outputs):
            what = f"{len(names)} names for {len(relation.outputs)} columns"
            self.report(alias or exp.Null(), "columns-do-not-match", what, "name every column")
        outputs = tuple(
            Output(name.name.lower(), output.origins, output.node, output.is_bare)
            for name, output in zip(names, relation.outputs, strict=False)
        )
        return Relation(outputs, relation.blocks)

    # -- one SELECT

    def select(self, node: exp.Select, env: Mapping[str, Relation], parent: Block | None) -> Relation:
        """Resolve a SELECT, clause by clause in the order in which they see each other."""
        block = Block(node, parent)
        if clause := node.args.get("from_"):
            self.add(clause.this, block, env, None)
        for join in node.args.get("joins") or ():
            self.add(join.this, block, env, join)
        for lateral in node.args.get("laterals") or ():
            self.add_lateral_view(lateral, block, env)
        for window in node.args.get("windows") or ():
            block.windows[window.name.lower()] = self.expressions(window, block, env, skip="this")
        if clause := node.args.get("where"):
            self.expression(clause, block, env)
        for projection in node.expressions:
            block.outputs += self.projection(projection, block, env)
        for name in ("group", "having", "order", "sort", "cluster", "distribute", "limit", "offset"):
            if clause := node.args.get(name):
                self.clause(clause, block, env)
        self.blocks.append(block)
        return Relation(tuple(block.outputs), (block,))

    def add(self, node: exp.Expr, block: Block, env: Mapping[str, Relation], join: exp.Join | None) -> None:
        """Add a source, then resolve the condition that joins it."""
        relation, table = self.source(node, block, env)
        alias = node.alias_or_name.lower() or f"source {len(block.sources)}"
        if alias in block.sources:
            self.report(node, "name-used-twice", f"two sources are named {alias}", "give each its own alias")
        alias_node = node.args.get("alias")
        earlier = dict(block.sources)
        renamed = self.renamed(relation, alias_node if isinstance(alias_node, exp.TableAlias) else None)
        block.sources[alias] = Source(alias, renamed, node, table, join)
        block.is_whole = block.is_whole and relation is not UNKNOWN
        if join is None:
            return
        if join.method == "NATURAL" or join.args.get("using"):
            self.merge(join, alias, earlier, block)
        if condition := join.args.get("on"):
            self.expression(condition, block, env)
        if join.kind in ("SEMI", "ANTI"):  # seen by its own ON alone
            block.sources[alias] = replace(block.sources[alias], is_hidden=True)

    def source(self, node: exp.Expr, block: Block, env: Mapping[str, Relation]) -> tuple[Relation, RuleTable | None]:
        """Resolve what stands after FROM or JOIN."""
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            if node.args.get("db") or node.args.get("catalog"):
                what = "only tables of the collaboration can be read, by their name alone: no path, no database"
                self.report(node, "qualified-table", what, "write the name of an associated table")
                return UNKNOWN, None
            name = node.name.lower()
            if name in env:
                return env[name], None
            if table := self.known.get(name):
                self.tables[name] = table
                outputs = (
                    Output(column, frozenset({Origin(name, column)}), node, is_bare=True) for column in table.columns
                )
                return Relation(tuple(outputs)), table
            known = ", ".join(self.known) or "none"
            self.report(node, "unknown-table", "no table of this collaboration", f"associated tables: {known}")
            return UNKNOWN, None
        if isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Table):
            return self.query(node, env, block.parent), None
        if isinstance(node, exp.Lateral) and isinstance(node.this, exp.Subquery):
            return self.query(node.this, env, block), None
        if isinstance(node, exp.Values):
            rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
            origins = self.expressions(node, block, env, skip="alias")
            return Relation(tuple(Output(f"col{n + 1}", origins, node) for n in range(max(map(len, rows))))), None
        if isinstance(node, exp.Subquery):
            self.report(
                node, "sql-not-understood", "joins in brackets are not followed", "leave the brackets out", True
            )
            return UNKNOWN, None
        what = "only tables of the collaboration can be read: no table function, no path"
        self.report(node, "table-function", what, "write the name of an associated table")
        return UNKNOWN, None

    def add_lateral_view(self, node: exp.Lateral, block: Block, env: Mapping[str, Relation]) -> None:
        """Add the columns of LATERAL VIEW: each is computed from the generator's arguments."""
        origins = self.expression(node.this, block, env)
        alias = node.args.get("alias")
        columns = (alias.args.get("columns") if alias else None) or [exp.to_identifier("col")]
        outputs = tuple(Output(column.name.lower(), origins, column) for column in columns)
        name = node.alias.lower() or f"source {len(block.sources)}"
        block.sources[name] = Source(name, Relation(outputs), node)

    def merge(self, join: exp.Join, alias: str, earlier: Mapping[str, Source], block: Block) -> None:
        """Note the columns that USING and NATURAL make one."""
        right = {output.name for output in block.sources[alias].relation.outputs}
        left = {
            output.name for source in earlier.values() for output in source.relation.outputs if not source.is_hidden
        }
        using = join.args.get("using") or []
        names = [name.name.lower() for name in using] if using else sorted(left & right)
        for number, name in enumerate(names):
            sides = [key for key, source in earlier.items() if any(o.name == name for o in source.relation.outputs)]
            if not sides or name not in right:
                if block.is_whole:
                    self.report(
                        using[number], "unknown-column", f"no column {name} on both sides", "name a shared column"
                    )
                continue
            block.merged[name] = tuple(dict.fromkeys([*block.merged.get(name, ()), *sides, alias]))
            if using:
                self.origins[id(using[number])] = self.lookup(name, block.sources.values(), block) or NOTHING

    def projection(self, node: exp.Expr, block: Block, env: Mapping[str, Relation]) -> Iterator[Output]:
        """Resolve one item of the SELECT list; a star is all its columns."""
        if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
            yield from self.star(node, block)
            return
        origins = self.expression(node, block, env)
        if isinstance(node, exp.Aliases):
            yield from (Output(name.name.lower(), origins, node) for name in node.expressions)
            return
        inner = node.unalias().unnest()
        named = isinstance(node, exp.Alias | exp.Column | exp.Dot)
        name = node.alias_or_name.lower() if named else ""
        yield Output(name, origins, node, is_bare=id(inner) in self.bare)

    def star(self, node: exp.Expr, block: Block) -> Iterator[Output]:
        """Yield what a star stands for."""
        alias = node.table.lower() if isinstance(node, exp.Column) else ""
        if alias and alias not in block.sources:
            self.report(node, "unknown-table", f"no source is named {alias}", f"sources: {', '.join(block.sources)}")
            return
        sources = [block.sources[alias]] if alias else [s for s in block.sources.values() if not s.is_hidden]
        if not sources:
            self.report(node, "unknown-table", "a star needs a source", "write FROM")
        if not alias:
            for name, sides in block.merged.items():
                found = self.lookup(name, [block.sources[side] for side in sides], block)
                yield Output(name, found or NOTHING, node, is_bare=True)
        for source in sources:
            for output in source.relation.outputs:
                if alias or source.alias not in block.merged.get(output.name, ()):
                    yield Output(output.name, output.origins, node, output.is_bare)

    # -- clauses and expressions

    def clause(self, node: exp.Expr, block: Block, env: Mapping[str, Relation]) -> Origins:
        """Resolve a clause after SELECT, where a name may also be an output's, and a number an output's position."""
        for item in getattr(node, "expressions", None) or ():
            inner = item.this if isinstance(item, exp.Ordered) else item
            if isinstance(inner, exp.Literal) and not inner.is_string and not isinstance(node, exp.Limit | exp.Offset):
                at = int(inner.name) if inner.name.isdecimal() else 0
                if not 1 <= at <= len(block.outputs):
                    self.report(inner, "unknown-column", f"there is no output {inner.name}", "name the column")
        return self.expression(node, block, env, sees_outputs=True)

    def expressions(self, node: exp.Expr, block: Block, env: Mapping[str, Relation], skip: str) -> Origins:
        """Union of the origins of a node's parts, but one."""
        parts = (
            part
            for name, value in node.args.items()
            if name != skip
            for part in (value if isinstance(value, list) else [value])
            if isinstance(part, exp.Expr)
        )
        return NOTHING.union(*(self.expression(part, block, env) for part in parts))

    def expression(
        self,
        node: exp.Expr,
        block: Block,
        env: Mapping[str, Relation],
        sees_outputs: bool = False,
        names: frozenset[str] = frozenset(),
    ) -> Origins:
        """Resolve the columns of an expression; returns the union of their origins."""
        if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
            if len(node.parts) == 1 and node.name.lower() in names:
                return NOTHING
            found = self.column([part.name.lower() for part in node.parts], node, block, sees_outputs)
            self.origins[id(node)] = found
            return found
        if isinstance(node, exp.Star | exp.Column):
            if isinstance(node.parent, exp.Count) and isinstance(node, exp.Star):
                return NOTHING
            found = NOTHING.union(*(output.origins for output in self.star(node, block)))
            self.origins[id(node)] = found
            return found
        if isinstance(node, exp.Query):
            relation = self.query(node, env, block)
            inside = (self.origins.get(id(column), NOTHING) for column in node.find_all(exp.Column))
            return NOTHING.union(*inside, *(output.origins for output in relation.outputs))
        if isinstance(node, exp.Lambda):
            names |= {name.name.lower() for name in node.expressions}
            return self.expression(node.this, block, env, sees_outputs, names)
        if isinstance(node, exp.Identifier):
            return self.identifier(node, names)
        if isinstance(node, exp.Var):
            return self.unit(node, block)
        found = NOTHING
        if isinstance(node, exp.Window) and (name := node.args.get("alias")):
            if name.name.lower() not in block.windows:
                self.report(name, "unknown-window", f"no window is named {name.name}", "define it after WINDOW")
            found = block.windows.get(name.name.lower(), NOTHING)
        skip = NAMING_PARTS.get(type(node), "")
        for name, value in node.args.items():
            for part in value if isinstance(value, list) else [value]:
                if name != skip and isinstance(part, exp.Expr):
                    found |= self.expression(part, block, env, sees_outputs, names)
        return found

    def identifier(self, node: exp.Identifier, names: frozenset[str]) -> Origins:
        """Accept a bare name only as the argument of a lambda; elsewhere nobody knows what it is."""
        if node.name.lower() not in names:
            what = f"the checker does not know what {node.name} is here"
            self.report(node, "sql-not-understood", what, "write it in another way", True)
        return NOTHING

    def unit(self, node: exp.Var, block: Block) -> Origins:
        """Accept a word of the grammar (YEAR, DAY); one that is also a column counts as that column, too."""
        if node.name.upper() not in UNITS and not isinstance(node.parent, exp.Interval | exp.Extract):
            what = f"the checker does not know the word {node.name} here"
            self.report(node.parent or node, "sql-not-understood", what, "write a unit such as 'MONTH' in quotes", True)
        return self.lookup(node.name.lower(), block.sources.values(), block) or NOTHING

    def column(self, parts: list[str], node: exp.Column, block: Block, sees_outputs: bool) -> Origins:
        """Resolve a written column: a source's column, an output's alias, or a column of a query around this one."""
        scope: Block | None = block
        while scope is not None:
            found = NOTHING
            is_found = False
            if len(parts) > 1 and parts[0] in scope.sources:
                direct = self.lookup(parts[1], [scope.sources[parts[0]]], scope, node)
            else:
                direct = self.lookup(parts[0], scope.sources.values(), scope, node)
            if direct is not None:
                found, is_found = direct, True
            if scope is block and len(parts) == 1 and (sees_outputs or not is_found):
                for output in scope.outputs:
                    if output.name == parts[0]:
                        found, is_found = found | output.origins, True
            if is_found or not scope.is_whole:
                self.note_bare(parts, node, scope)
                return found
            scope = scope.parent
        known = "; ".join(f"{s.alias}({', '.join(o.name for o in s.relation.outputs)})" for s in block.sources.values())
        name = ".".join(parts)
        self.report(
            node, "unknown-column", f"no column {name} among the allowed columns", f"write one of {known[:300]}"
        )
        return NOTHING

    def note_bare(self, parts: list[str], node: exp.Column, block: Block) -> None:
        """Note a column that is a table's column as it is; a struct's field is not."""
        is_direct = len(parts) > 1 and parts[0] in block.sources
        sources = [block.sources[parts[0]]] if is_direct else block.sources.values()
        name = parts[1] if is_direct else parts[0]
        hits = [output for source in sources for output in source.relation.outputs if output.name == name]
        aliases = [] if is_direct or len(parts) > 1 else [o for o in block.outputs if o.name == name]
        if len(parts) == (2 if is_direct else 1) and all(output.is_bare for output in [*hits, *aliases]):
            self.bare.add(id(node))

    def lookup(
        self, name: str, sources: Iterable[Source], block: Block, node: exp.Expr | None = None
    ) -> Origins | None:
        """Find a column by name in sources; None if there is none. With a node, report one that is not unique."""
        hits = [
            (source.alias, output)
            for source in sources
            if not source.is_hidden
            for output in source.relation.outputs
            if output.name == name
        ]
        if not hits:
            return None
        merged = set(block.merged.get(name, ()))
        if len(hits) > 1 and node is not None and not {alias for alias, _ in hits} <= merged:
            what = f"{name} is in {' and '.join(sorted({alias for alias, _ in hits}))}"
            self.report(node, "ambiguous-column", what, "write the source's alias before it")
        return NOTHING.union(*(output.origins for _, output in hits))


UNKNOWN = Relation(())


def resolve(parsed: ParsedQuery, tables: Mapping[str, RuleTable]) -> Resolution:
    """Resolve the names of a query.

    Parameters
    ----------
    parsed : ParsedQuery
        With a tree.
    tables : mapping of lower-case name to RuleTable
        All tables of the collaboration.
    """
    resolver = Resolver(parsed, tables)
    if parsed.tree is None:
        return Resolution(Relation(()), [], {}, {}, [], set())
    root = resolver.query(parsed.tree, {}, None)
    return Resolution(root, resolver.blocks, resolver.origins, resolver.tables, resolver.violations, resolver.bare)
