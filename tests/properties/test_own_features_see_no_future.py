"""Whatever happens after the date: features of the user's own SQL stay as they are."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.own_features import own_features

DAY = date(2026, 3, 31)


@settings(max_examples=15)
@given(
    later=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 900), st.floats(-1e6, 1e6), st.sampled_from(["buy", "x"])),
        max_size=6,
    ),
    sql=st.sampled_from(
        [
            "SELECT customer_key, sum(amount) AS s, count(*) AS n, max(event_day) < $as_of AS d FROM events GROUP BY 1",
            "WITH events AS (SELECT * FROM events) SELECT customer_key, max(amount) AS m FROM events GROUP BY 1",
            "SELECT customer_key, (SELECT count(*) FROM Events) AS n FROM (SELECT DISTINCT customer_key FROM events)",
            "SELECT e.customer_key, count(*) AS n FROM events e JOIN events f USING (event_type) GROUP BY 1",
        ]
    ),
)
def test_events_after_the_date_change_nothing(later: list[tuple[str, int, float, str]], sql: str) -> None:
    known = [("a", DAY, 1.5, "buy"), ("b", DAY - timedelta(days=40), 2.5, "x"), ("b", DAY, 4.0, "buy")]
    answers = []
    for rows in (known, known + [(key, DAY + timedelta(days=days), amount, kind) for key, days, amount, kind in later]):
        with duckdb.connect() as connection:
            frame = pd.DataFrame(rows, columns=["customer_key", "event_day", "amount", "event_type"])
            connection.register("frame", frame.astype({"event_day": "datetime64[us]"}))
            for view in ("events", "all_events"):
                connection.execute(f"CREATE VIEW {view} AS SELECT * REPLACE (event_day::DATE AS event_day) FROM frame")
            table = own_features(connection, sql, "events", "base", DAY)
            answers.append(sorted(connection.execute(f"SELECT * FROM {table}").fetchall()))
    assert answers[0] == answers[1]
    assert {row[0] for row in answers[0]} == {"a", "b"}
