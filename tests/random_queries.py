"""Random queries over small tables under CUSTOM, LIST and AGGREGATION rules, and what they must not let through.

``CustomQueries`` keeps, beside the SQL that it writes, its own account of which columns depend on a secret: a much
simpler one than the checker's, since it knows what it picked. Two ways to use secrets, by ``are_linked``:

- False: secrets are picked in outputs, window keys, conditions of CASE and sort keys, never where they choose rows.
  Then every other value of a secret must give the same accepted result.
- True: secrets also join, group and make rows distinct, by equality. Then every one-to-one change of secrets, the same
  in all tables, must give the same accepted result.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from tests.clean_room_tables import BRAND, PARTNER, Schemas, aggregation_rule, custom_rule, list_rule, table

INT, TEXT = "int", "string"
ROWS = 14  # of each table
MOST_ROWS = 2_000  # that joins may make: what is written must also be run
COLUMNS = {
    "t": {"k": TEXT, "a": INT, "b": INT, "c": TEXT, "secret": INT, "tag": TEXT},
    "u": {"k": TEXT, "x": INT, "y": TEXT, "hidden": INT, "label": TEXT},
    "mine": {"k": TEXT, "v": INT, "w": TEXT},
}
SECRETS = {"t": {"secret", "tag"}, "u": {"hidden", "label"}, "mine": set[str]()}
OWNERS = {"t": PARTNER, "u": PARTNER, "mine": BRAND}
CUSTOM_ROOM: Schemas = [
    table(name, OWNERS[name], columns, "CUSTOM", custom_rule(" ".join(sorted(SECRETS[name]))))
    for name, columns in COLUMNS.items()
]
LIST_ROOM: Schemas = [
    table("t", PARTNER, COLUMNS["t"], "LIST", list_rule("k c", "a b", "AND", "OR")),
    table("u", PARTNER, COLUMNS["u"], "LIST", list_rule("k", "x y", "AND", "OR")),
    table("mine", BRAND, COLUMNS["mine"], "LIST", list_rule("k w", "v", "AND", "OR")),
]
AGGREGATION_ROOM: Schemas = [
    table("t", PARTNER, COLUMNS["t"], "AGGREGATION",
          aggregation_rule({"SUM": "a", "COUNT_DISTINCT": "k", "AVG": "a"}, "k c", "b", "ABS UPPER COALESCE",
                           allowedJoinOperators=["AND", "OR"], joinRequired="QUERY_RUNNER")),
    table("u", PARTNER, COLUMNS["u"], "AGGREGATION",
          aggregation_rule({"SUM": "x", "COUNT": "k"}, "k", "y", "ABS UPPER COALESCE",
                           allowedJoinOperators=["AND", "OR"])),
    table("mine", BRAND, COLUMNS["mine"], "AGGREGATION",
          aggregation_rule({"COUNT": "k v", "COUNT_DISTINCT": "k"}, "k w", "v", "ABS UPPER COALESCE",
                           allowedJoinOperators=["AND", "OR"])),
]  # fmt: skip
# Of the two rooms above: columns that a query may only join by, and columns that it may not use at all.
JOINED = {"t": {"k", "c"}, "u": {"k"}, "mine": {"k", "w"}}
UNLISTED = {"t": {"secret", "tag"}, "u": {"hidden", "label"}, "mine": set[str]()}


@dataclass(frozen=True)
class Item:
    """A column or an expression: its SQL, type, whether it depends on a secret, and whether it is one, unchanged."""

    sql: str
    kind: str
    is_secret: bool = False
    is_raw: bool = False
    name: str = ""


@dataclass
class Scope:
    """Columns in reach, by the alias of their source."""

    sources: dict[str, list[Item]] = field(default_factory=dict)

    @property
    def items(self) -> list[Item]:
        """All columns."""
        return [item for items in self.sources.values() for item in items]


class CustomQueries:
    """Writes random queries for ``CUSTOM_ROOM``."""

    def __init__(self, random: Random, are_linked: bool) -> None:
        self.random = random
        self.are_linked = are_linked
        self.counter = 0
        self.ctes: dict[str, tuple[list[Item], int]] = {}
        self.rows = 0  # at most, of the query written last

    def query(self) -> tuple[str, bool]:
        """Write a query; tells whether its result depends on a secret."""
        self.ctes, parts = {}, []
        for _ in range(self.random.choice([0, 0, 1, 2])):
            sql, outputs = self.select(2)
            name = self.fresh("q")
            names = ""
            if self.chance(0.3):
                outputs = [replace(item, name=self.fresh("n")) for item in outputs]
                names = f"({', '.join(item.name for item in outputs)})"
            parts.append(f"{name}{names} AS ({sql})")
            self.ctes[name] = (outputs, self.rows)
        sql, outputs = self.any_query(3)
        if self.chance(0.3):
            sql += f" ORDER BY {self.random.randint(1, len(outputs))}"
        prefix = f"WITH {', '.join(parts)} " if parts else ""
        return prefix + sql, any(item.is_secret for item in outputs)

    def any_query(self, depth: int) -> tuple[str, list[Item]]:
        """Write a SELECT or a set operation."""
        if depth < 2 or self.chance(0.8):
            return self.select(depth)
        left, ours = self.select(depth - 1)
        rows = self.rows
        right, theirs = self.select(depth - 1, [item.kind for item in ours])
        self.rows += rows
        outputs = [
            replace(item, is_secret=item.is_secret or other.is_secret, is_raw=False)
            for item, other in zip(ours, theirs, strict=True)
        ]
        chooses = ["UNION", "INTERSECT", "EXCEPT"] if not any(item.is_secret for item in outputs) else []
        return f"{left} {self.random.choice(['UNION ALL', *chooses])} {right}", outputs

    def select(self, depth: int, kinds: list[str] | None = None) -> tuple[str, list[Item]]:
        """Write a SELECT, of given output types if wanted."""
        scope = Scope()
        source, rows = self.sources(scope, depth)
        self.rows = rows
        where = f" WHERE {self.condition(scope, depth)}" if self.chance(0.4) else ""
        if kinds is None and self.chance(0.1):
            starred = self.star(scope)
            if starred is not None:
                return f"SELECT {starred[0]} FROM {source}{where}", starred[1]
        wanted = kinds or [self.random.choice([INT, TEXT]) for _ in range(self.random.randint(1, 4))]
        if self.chance(0.35):
            listed, outputs, tail = self.grouped(scope, wanted)
        else:
            outputs = [self.output(scope, kind, depth) for kind in wanted]
            listed, tail = "", ""
            if self.chance(0.25) and all(not item.is_secret or (self.are_linked and item.is_raw) for item in outputs):
                listed = "DISTINCT "
        names: list[Item] = []
        for item in outputs:
            taken = {other.name for other in names}
            name = self.random.choice(["a", "secret", "y", "k"]) if self.chance(0.2) else self.fresh("o")
            names.append(replace(item, name=name if name not in taken else self.fresh("o")))
        items = ", ".join(f"{item.sql} AS {item.name}" for item in names)
        return f"SELECT {listed}{items} FROM {source}{where}{tail}", names

    def grouped(self, scope: Scope, kinds: list[str]) -> tuple[str, list[Item], str]:
        """Write outputs of a grouped SELECT: keys and aggregates."""
        keys = [self.key(scope) for _ in range(self.random.randint(0, 2))]
        outputs: list[Item] = []
        for kind in kinds:
            same = [key for key in keys if key.kind == kind]
            if same and self.chance(0.5):
                outputs.append(self.random.choice(same))
            else:
                outputs.append(self.aggregate(scope, kind))
        tail = f" GROUP BY {', '.join(key.sql for key in keys)}" if keys else ""
        if keys and self.chance(0.2):
            tail += f" HAVING {self.aggregate(scope, INT, is_public=True).sql} > {self.random.randint(0, 5)}"
        return "", outputs, tail

    def key(self, scope: Scope) -> Item:
        """Pick a grouping key."""
        linked = [item for item in scope.items if item.is_raw] if self.are_linked else []
        if linked and self.chance(0.4):
            return self.random.choice(linked)
        found = [item for item in scope.items if not item.is_secret]
        return self.random.choice(found) if found else Item("CAST('k' AS STRING)", TEXT)

    def aggregate(self, scope: Scope, kind: str, is_public: bool = False) -> Item:
        """Write an aggregate."""
        if kind == INT and self.chance(0.3):
            return Item("COUNT(*)", INT)
        inner = self.expression(scope, kind, 1, is_public)
        if kind == INT:
            call = self.random.choice(["SUM({})", "MIN({})", "MAX({})", "COUNT({})", "COUNT(DISTINCT {})"])
            if self.chance(0.2):
                guard = self.expression(scope, INT, 1, is_public)
                call = f"SUM({{}}) FILTER (WHERE {guard.sql} > 1)"
                inner = replace(inner, is_secret=inner.is_secret or guard.is_secret)
        else:
            call = self.random.choice(["MIN({})", "MAX({})"])
        return Item(call.format(inner.sql), kind, inner.is_secret)

    def output(self, scope: Scope, kind: str, depth: int) -> Item:
        """Write an output that is no aggregate."""
        if kind == INT and self.chance(0.2):
            return self.window(scope)
        if depth > 1 and self.chance(0.1):
            return self.scalar_subquery(scope, kind)
        return self.column(scope, kind) if self.chance(0.5) else self.expression(scope, kind, 2)

    def window(self, scope: Scope) -> Item:
        """Write a window function; its keys count."""
        keys = [self.column(scope, self.random.choice([INT, TEXT])) for _ in range(self.random.randint(0, 2))]
        order = self.column(scope, INT)
        inner = self.expression(scope, INT, 1)
        call, used = self.random.choice([(f"SUM({inner.sql})", [inner]), ("RANK()", []), ("COUNT(*)", [])])
        partition = f"PARTITION BY {', '.join(key.sql for key in keys)} " if keys else ""
        is_secret = any(item.is_secret for item in [*keys, order, *used])
        return Item(f"{call} OVER ({partition}ORDER BY {order.sql})", INT, is_secret)

    def scalar_subquery(self, scope: Scope, kind: str) -> Item:
        """Write a subquery of one row; whatever is picked inside it counts."""
        name = self.random.choice([name for name in COLUMNS if any(k == kind for k in COLUMNS[name].values())])
        inner = Scope()
        alias = self.fresh("s")
        self.add_table(inner, name, alias)
        item = self.column(inner, kind)
        link, outer = self.column(inner, TEXT, is_public=True), self.column(scope, TEXT, is_public=True)
        sql = f"(SELECT MAX({item.sql}) FROM {name} {alias} WHERE {link.sql} = {outer.sql})"
        return Item(sql, kind, item.is_secret)

    def expression(self, scope: Scope, kind: str, depth: int, is_public: bool = False) -> Item:
        """Write an expression."""
        if depth == 0 or self.chance(0.3):
            if self.chance(0.15):
                return Item(str(self.random.randint(0, 9)) if kind == INT else "CAST('z' AS STRING)", kind)
            return self.column(scope, kind, is_public)
        one = self.expression(scope, kind, depth - 1, is_public)
        two = self.expression(scope, kind, depth - 1, is_public)
        is_secret = one.is_secret or two.is_secret
        if kind == INT:
            form = self.random.choice(
                ["{0} + {1}", "{0} - {1}", "-({0})", "ABS({0})", "COALESCE({0}, {1})", "NULLIF({0}, {1})",
                 "CASE WHEN {0} > {1} THEN {0} ELSE 3 END", "IF({0} IS NULL, {1}, 7)", "GREATEST({0}, {1})",
                 "CASE WHEN {0} IN (1, 2, {1}) THEN 1 END", "CASE {0} WHEN {1} THEN 5 ELSE 6 END"]
            )  # fmt: skip
        else:
            form = self.random.choice(
                ["CONCAT({0}, {1})", "UPPER({0})", "COALESCE({0}, {1})", "({0} || {1})", "TRIM({0})",
                 "CASE WHEN {0} LIKE 'a%' THEN {1} END", "SUBSTRING({0}, 1, 2)"]
            )  # fmt: skip
        is_secret = one.is_secret or (two.is_secret and "{1}" in form)
        return Item(f"({form.format(one.sql, two.sql)})", kind, is_secret)

    def condition(self, scope: Scope, depth: int) -> str:
        """Write a condition, on public columns alone."""
        if self.chance(0.3):
            left, right = self.condition(scope, 0), self.condition(scope, 0)
            return f"({left} {self.random.choice(['AND', 'OR'])} NOT {right})"
        if depth > 1 and self.chance(0.2):
            name, alias = self.random.choice(list(COLUMNS)), self.fresh("e")
            inner = Scope()
            self.add_table(inner, name, alias)
            link, outer = self.column(inner, TEXT, is_public=True), self.column(scope, TEXT, is_public=True)
            if self.chance(0.5):
                return f"EXISTS (SELECT 1 FROM {name} {alias} WHERE {link.sql} = {outer.sql})"
            return f"{outer.sql} IN (SELECT {link.sql} FROM {name} {alias})"
        item = self.expression(scope, INT, 1, is_public=True)
        form = self.random.choice(["{} > 2", "{} IN (1, 2, 3)", "{} BETWEEN 1 AND 6", "{} IS NOT NULL", "{} <> 4"])
        return form.format(item.sql)

    def column(self, scope: Scope, kind: str, is_public: bool = False) -> Item:
        """Pick a column, or a literal where there is none of the type."""
        found = [item for item in scope.items if item.kind == kind and not (is_public and item.is_secret)]
        if not found:
            return Item("1" if kind == INT else "CAST('n' AS STRING)", kind)
        return self.random.choice(found)

    def star(self, scope: Scope) -> tuple[str, list[Item]] | None:
        """Write a star whose names stay unique; None if they would not."""
        alias = self.random.choice(list(scope.sources))
        chosen = scope.sources[alias] if self.chance(0.5) else scope.items
        sql = f"{alias}.*" if chosen is not scope.items and len(chosen) != len(scope.items) else "*"
        names = [item.name for item in chosen]
        return (sql, list(chosen)) if len(set(names)) == len(names) else None

    def sources(self, scope: Scope, depth: int) -> tuple[str, int]:
        """Write FROM and the joins; tells how many rows they make at most."""
        sql, rows = self.source(scope, depth, MOST_ROWS)
        for _ in range(self.random.choice([0, 0, 1, 1, 2])):
            if (rows + 1) * (ROWS + 1) > MOST_ROWS:
                break
            before = Scope(dict(scope.sources))
            joined, more = self.source(scope, depth, MOST_ROWS // (rows + 1) - 1)
            rows = (rows + 1) * (more + 1)  # an outer join adds those without a match
            alias = list(scope.sources)[-1]
            kind = self.random.choice(
                ["JOIN", "INNER JOIN", "LEFT JOIN", "FULL OUTER JOIN", "CROSS JOIN", "LEFT SEMI JOIN"]
            )
            if kind == "CROSS JOIN":
                sql += f" CROSS JOIN {joined}"
                continue
            sql += f" {kind} {joined} ON {self.link(before, Scope({alias: scope.sources[alias]}))}"
            if kind == "LEFT SEMI JOIN":
                del scope.sources[alias]
        return sql, rows

    def link(self, left: Scope, right: Scope) -> str:
        """Write a join condition: by equality of public columns, or of secrets where they may link."""
        pairs = [
            (one, other)
            for one in left.items
            for other in right.items
            if one.kind == other.kind and one.is_raw and other.is_raw
        ]
        if self.are_linked and pairs and self.chance(0.6):
            one, other = self.random.choice(pairs)
        else:
            kind = self.random.choice([INT, TEXT])
            one, other = self.column(left, kind, is_public=True), self.column(right, kind, is_public=True)
        return f"{one.sql} = {other.sql}"

    def source(self, scope: Scope, depth: int, most: int) -> tuple[str, int]:
        """Write one source of not more rows than that; tells how many it has at most."""
        alias = self.fresh("s")
        small = [name for name, (_, rows) in self.ctes.items() if rows <= most]
        outputs, sql = None, ""
        if small and self.chance(0.4):
            sql = self.random.choice(small)
            outputs, self.rows = self.ctes[sql]
        elif depth > 1 and self.chance(0.3):
            sql, outputs = self.any_query(depth - 1)
            sql = f"({sql})"
        if outputs is None or self.rows > most:
            name = self.random.choice(list(COLUMNS))
            self.add_table(scope, name, alias)
            return f"{name} {alias}", ROWS
        scope.sources[alias] = [replace(item, sql=f"{alias}.{item.name}") for item in outputs]
        return f"{sql} AS {alias}", self.rows

    def add_table(self, scope: Scope, name: str, alias: str) -> None:
        """Add a table's columns to a scope."""
        scope.sources[alias] = [
            Item(f"{alias}.{column}", kind, column in SECRETS[name], column in SECRETS[name], column)
            for column, kind in COLUMNS[name].items()
        ]

    def fresh(self, prefix: str) -> str:
        """Make a new name."""
        self.counter += 1
        return f"{prefix}{self.counter}"

    def chance(self, share: float) -> bool:
        """Decide."""
        return self.random.random() < share


def list_query(random: Random) -> str:
    """Write a query that a LIST rule may or may not allow: mostly its structure, mostly its columns."""
    names = [random.choice(["t", "u", "mine"]) for _ in range(random.choice([1, 2, 2, 2, 3]))]
    if random.random() < 0.8 and "mine" not in names:
        names[-1] = "mine"
    aliases = [f"r{number}" for number in range(len(names))]
    good = {"t": ["a", "b"], "u": ["x", "y"], "mine": ["v"]}

    def pick(number: int, share: float = 0.93) -> str:
        name = names[number]
        columns = good[name] if random.random() < share else list(COLUMNS[name])
        return f"{aliases[number]}.{random.choice(columns)}"

    def joins(number: int) -> str:
        share = 0.9
        mine, other = random.choice(sorted(JOINED[names[number]])), random.randrange(number)
        theirs = random.choice(sorted(JOINED[names[other]]))
        if random.random() > share:
            mine = random.choice(list(COLUMNS[names[number]]))
        return f"{aliases[number]}.{mine} = {aliases[other]}.{theirs}"

    outputs = [pick(random.randrange(len(names))) for _ in range(random.randint(1, 3))]
    if random.random() < 0.05:
        outputs.append(random.choice(["1", "COUNT(*)", f"UPPER({outputs[0]})", "*"]))
    sql = f"SELECT {'DISTINCT ' if random.random() < 0.95 else ''}{', '.join(outputs)} FROM {names[0]} {aliases[0]}"
    for number in range(1, len(names)):
        kind = "JOIN" if random.random() < 0.92 else random.choice(["LEFT JOIN", "FULL OUTER JOIN", "LEFT SEMI JOIN"])
        condition = joins(number)
        if random.random() < 0.3:
            condition += f" {random.choice(['AND', 'OR'])} {joins(number)}"
        sql += f" {kind} {names[number]} {aliases[number]} ON {condition}"
    if random.random() < 0.4:
        number = random.randrange(len(names))
        sql += f" WHERE {pick(number)} {random.choice(['IS NOT NULL', 'IS NULL', 'IN (1, 2, 3)', '> 2'])}"
        if "y" in sql.rpartition("WHERE")[2] or "tag" in sql.rpartition("WHERE")[2]:
            sql = sql.rpartition(" WHERE")[0]
    return sql


def aggregation_query(random: Random) -> str:
    """Write a query that an AGGREGATION rule may or may not allow."""
    names = [random.choice(["t", "u", "mine"]) for _ in range(random.choice([1, 2, 2, 3]))]
    aliases = [f"r{number}" for number in range(len(names))]
    dimension = {"t": "b", "u": "y", "mine": "v"}
    granted = {
        "t": ["SUM({}.a)", "COUNT(DISTINCT {}.k)", "AVG({}.a)"],
        "u": ["SUM({}.x)", "COUNT({}.k)"],
        "mine": ["COUNT({}.k)", "COUNT({}.v)", "COUNT(DISTINCT {}.k)"],
    }
    outputs, keys = [], []
    for _ in range(random.randint(1, 3)):
        number = random.randrange(len(names))
        outputs.append(random.choice(granted[names[number]]).format(aliases[number]))
    for _ in range(random.choice([0, 1, 1, 2])):
        number = random.randrange(len(names))
        column = dimension[names[number]] if random.random() < 0.9 else random.choice(list(COLUMNS[names[number]]))
        key = f"{aliases[number]}.{column}"
        kind = COLUMNS[names[number]][column]
        if random.random() < 0.3:
            key = f"{'ABS' if kind == INT else 'UPPER'}({key})"
        keys.append(key)
    if random.random() < 0.05:
        outputs.append(random.choice(["COUNT(*)", "MAX(r0.k)", "SUM(1 + 1)", "r0.k"]))
    sql = f"SELECT {', '.join([*keys, *outputs])} FROM {names[0]} {aliases[0]}"
    for number in range(1, len(names)):
        other = random.randrange(number)
        mine, theirs = random.choice(sorted(JOINED[names[number]])), random.choice(sorted(JOINED[names[other]]))
        kind = "JOIN" if random.random() < 0.95 else "LEFT JOIN"
        sql += f" {kind} {names[number]} {aliases[number]} ON {aliases[number]}.{mine} = {aliases[other]}.{theirs}"
    if random.random() < 0.3:
        number = random.randrange(len(names))
        column = dimension[names[number]] if random.random() < 0.9 else random.choice(list(COLUMNS[names[number]]))
        sql += f" WHERE {aliases[number]}.{column} IS NOT NULL"
    if keys:
        sql += f" GROUP BY {', '.join(dict.fromkeys(keys))}"
    if random.random() < 0.2:
        sql += f" HAVING {outputs[0]} > 1"
    return sql
