"""Every titled case of ``analysis_rules/*.sql`` gets exactly the verdict that stands above it.

A case is a title, what differs from the file's defaults (``room``, ``runner``, ``receivers``, ``template``,
``parameters``), the reason codes of its verdict (``?`` before one that is unsure, ``allowed`` for none), and the SQL.
"""

from __future__ import annotations

import json

import pytest

from clean_rooms.analysis_rules import Verdict, check
from tests.clean_room_cases import CASES, Case


def codes(verdict: Verdict) -> list[str]:
    """Reason codes as the cases write them."""
    return sorted(("?" if one.is_unsure else "") + one.code for one in verdict.violations)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdict_is_the_golden_one(case: Case) -> None:
    verdict = check(case.sql, case.schemas, case.runner, **case.options)
    assert codes(verdict) == case.codes, json.dumps([vars(one) for one in verdict.violations], default=str, indent=1)
    assert verdict.allowed is (not case.codes)
    assert (verdict.query is not None) is verdict.allowed


@pytest.mark.parametrize("case", [case for case in CASES if case.codes], ids=lambda case: case.name)
def test_every_violation_says_what_where_and_how_to_mend_it(case: Case) -> None:
    lines = case.sql.split("\n")
    for one in check(case.sql, case.schemas, case.runner, **case.options).violations:
        assert one.what
        assert one.fix
        line = lines[one.place.line - 1]
        assert 1 <= one.place.column <= max(1, len(line))
        assert one.place.column + one.place.length - 1 <= max(1, len(line))


def test_there_are_enough_cases_and_no_title_twice() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)
