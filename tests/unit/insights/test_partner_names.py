"""Where the contract forbids to name the partner's columns, no name of one is anywhere in the page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.evaluation import Check, Shift
from contracts.partner_names import hide_partner_names
from insights.report import render_report
from tests.report_runs import COLUMNS, rich_run, sparse_run

RICH = rich_run()
FORBIDDEN = replace(RICH, run=replace(RICH.run, may_name_partner_columns=False))


def test_no_name_and_no_trait_of_the_partner_is_in_the_page() -> None:
    allowed, forbidden = (render_report(run).replace("<wbr>", "") for run in (RICH, FORBIDDEN))
    for name in (*COLUMNS, "Redeemed points in 90 days"):
        assert name in allowed
        assert name not in forbidden


def test_own_names_stay() -> None:
    page = render_report(FORBIDDEN).replace("<wbr>", "")
    assert "days_since_last_order" in page
    assert "Ordered in the last 30 days" in page


def test_one_column_has_one_number_wherever_it_stands() -> None:
    hidden = hide_partner_names(FORBIDDEN)
    buy, lapse = hidden.evaluations
    assert hidden.run.facts.partner_columns[0] == "fact 1 from Harbour Points"
    assert next(row.feature for row in buy.strengths if row.party == "partner") == "fact 1 from Harbour Points"
    assert [row.name for row in buy.shifts if row.party == "partner"] == ["fact 1 from Harbour Points"]
    assert lapse.quality is not None
    assert lapse.quality.reasons[1].text.endswith("fact 1 from Harbour Points drifted.")


def test_name_inside_another_word_is_no_name() -> None:
    facts = replace(FORBIDDEN.run.facts, partner_columns=("age",))
    run = replace(FORBIDDEN, run=replace(FORBIDDEN.run, facts=facts))
    quality = hide_partner_names(run).evaluations[0].quality
    assert quality is not None
    assert "as often as the average customer" in quality.reasons[0].text


def test_checks_left_out_features_and_causes_name_no_partner_column() -> None:
    hidden = hide_partner_names(FORBIDDEN).evaluations[1]
    assert hidden.model["left_out"] == ["fact 3 from Harbour Points"]
    (watched,) = (check.text for check in hidden.checks if check.text)
    assert watched.startswith("Today's customers score otherwise. Most moved fact 1 from Harbour Points: values")


@pytest.mark.parametrize(
    "said",
    [
        'If it is known before the outcome, accept it: [training] accept_features = ["household_size"]; if not, no.',
        "Left out: household_size. To use one, accept it: [training] accept_features.",
    ],
)
def test_advice_that_needs_a_hidden_name_says_where_it_stands(said: str) -> None:
    stopped = replace(FORBIDDEN.evaluations[1], checks=(Check("single_feature", 0.9, 0.8, False, text=said),))
    (check,) = hide_partner_names(replace(FORBIDDEN, evaluations=(stopped,))).evaluations[0].checks
    assert "accept it: [training] accept_features; its name stands in this goal's own evaluation.json" in check.text


@pytest.mark.parametrize("category", ["gold card", "gold\ncard"])
def test_categories_of_a_partner_column_are_not_named_either_wherever_the_cause_stands(category: str) -> None:
    cause = f"{category} was 10% then, is 30% now (the partner's feed)"
    lapse = FORBIDDEN.evaluations[1]
    moved = replace(
        lapse,
        checks=(
            Check("drift_of_scores", 0.2, 0.1, False, text=f"Most moved household_size: {cause}.", is_warning=True),
        ),
        shifts=(Shift("household_size", "partner", 0.2, "watch", cause),),
    )
    hidden = hide_partner_names(replace(FORBIDDEN, evaluations=(moved,))).evaluations[0]
    said = "one category was 10% then, is 30% now (the partner's feed)"
    assert hidden.shifts[0].cause == said
    assert hidden.checks[0].text == f"Most moved fact 3 from Harbour Points: {said}."


def test_run_whose_names_are_hidden_stays_as_it_is() -> None:
    hidden = hide_partner_names(FORBIDDEN)
    assert hide_partner_names(hidden) == hidden


def test_run_without_a_partner_is_as_it_was() -> None:
    assert hide_partner_names(sparse_run()) == sparse_run()
