"""How long ``check`` takes for queries of 200 lines: ``python -m tests.benchmarks.lint``. The bound is 100 ms."""

from __future__ import annotations

import statistics
import sys
import time

from clean_rooms.analysis_rules import check
from tests.clean_room_tables import BRAND, ROOMS

ROUNDS = 15


def features(columns: int) -> str:
    """A CUSTOM query as a modeller writes it: one CASE and one ratio for each feature."""
    sums = [
        f"SUM(CASE WHEN seconds > {n} AND page LIKE 'p{n}%' THEN seconds ELSE 0 END) AS f{n}," for n in range(columns)
    ]
    ratios = [f"COALESCE(ROUND(v.f{n} / NULLIF(v.visits, 0), 2), 0) AS share{n}," for n in range(columns)]
    inner = ["SELECT user_id,", *sums, "COUNT(*) AS visits", "FROM visits", "GROUP BY user_id"]
    outer = ["SELECT u.email,", *ratios, "u.gender", "FROM users u LEFT JOIN by_user v ON u.user_id = v.user_id"]
    return "\n".join(["WITH by_user AS (", *inner, ")", *outer])


def columns_and_filters(count: int) -> str:
    """A LIST query of many columns and filters."""
    columns = [f", p.age AS age{n}" for n in range(count)]
    filters = [f"AND (p.city <> 'c{n}' OR p.age IN (1, 2, {n}))" for n in range(count)]
    head = [
        "SELECT DISTINCT m.customer_key",
        *columns,
        "FROM match_keys m",
        "JOIN people p ON m.hashed_id = p.hashed_id",
    ]
    return "\n".join([*head, "WHERE p.age > 0", *filters])


def main() -> None:
    """Print best and median CPU time."""
    queries = {
        "CUSTOM": ("custom", features(95)),
        "CUSTOM with comparison controls": ("comparisons", features(95)),
        "LIST": ("list", columns_and_filters(98)),
    }
    for name, (room, sql) in queries.items():
        times = []
        for _ in range(ROUNDS):
            start = time.process_time()
            verdict = check(sql, ROOMS[room], BRAND)
            times.append(1000 * (time.process_time() - start))
            assert verdict.allowed, verdict.violations
        size = f"{len(sql.split(chr(10)))} lines, {len(sql):,} characters"
        sys.stdout.write(f"{name:<32} {size}: best {min(times):.0f}, median {statistics.median(times):.0f} ms\n")


if __name__ == "__main__":
    main()
