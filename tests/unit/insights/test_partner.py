"""The partner's data: a different sentence for pays, probably pays, costs too much, nothing, can't tell, and harm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.evaluation import Gain, PartnerValue
from contracts.run_settings import Money
from insights.partner import Scope, Verdict, judge_partner, positives_needed, worth_per_1000_matched
from tests.report_runs import BUYING

PARTNER = "Harbour <Points>"
SCOPE = Scope(contacts=32_000, matched=256_000)
PRICED = Money("$", 0.42, 16.0, 22.0)


def value_of(extra: float, low: float, high: float) -> PartnerValue:
    """A partner value with this gain at the cut, from a test of 2,500 buyers."""
    return PartnerValue(0.74, 0.77, Gain(10, extra, low, high), (), 2_500)


def judge(extra: float, low: float, high: float, costs: Money = PRICED, scope: Scope | None = SCOPE) -> Verdict:
    return judge_partner(value_of(extra, low, high), 0.1, BUYING, PARTNER, costs, scope)


def test_worth_is_extra_buyers_times_their_value_over_matched_customers() -> None:
    worth = worth_per_1000_matched(value_of(16.0, 8.0, 24.0), SCOPE, 16.0)
    assert (worth.value, worth.low, worth.high) == (32.0, 16.0, 48.0)  # 512 buyers x $16 / 256 thousand matched


@pytest.mark.parametrize(
    ("gain", "headline", "summary"),
    [
        ((16, 12, 24), "Yes, and it pays for itself.", "worth about $32 per 1,000 matched customers"),
        ((16, 8, 24), "Yes, and it probably pays for itself.", "worth about $32 per 1,000 matched customers"),
        ((10, 8, 12), "It helps, but costs more than it brings.", "worth about $20 per 1,000 matched customers"),
        ((-0.5, -4.1, 1.9), "No. It adds nothing to this prediction.", "adds nothing here"),
        ((2, -4, 14), "We can’t tell: the test shows no gain.", "can’t tell yet"),
        ((9.99, -90, 110), "We can’t tell: the test shows no gain.", "can’t tell yet"),
        ((-6, -9, -3), "It makes this prediction worse.", "makes it worse"),
    ],
    ids=["pays", "probably pays", "too dear", "nothing", "test too small", "test much too small", "harm"],
)
def test_verdict_follows_the_interval_and_the_fee(
    gain: tuple[float, float, float], headline: str, summary: str
) -> None:
    verdict = judge(*gain)
    assert verdict.headline == headline
    assert verdict.summary.striptags() == summary
    assert "Harbour &lt;Points&gt;" in verdict.sentence


def test_gain_that_pays_lists_its_amounts() -> None:
    amounts = {name: amount.striptags() for name, amount in judge(16, 8, 24).amounts}
    assert amounts["You pay, per 1,000 matched"] == "$22"
    assert amounts["Left over, per run"].startswith("$2,560 ")  # $10 x 256 thousand matched
    assert "−$1,536 to $6,656" in amounts["Left over, per run"]
    assert "ask for a price of $16.00 to be safe" in judge(16, 8, 24).note.striptags()


def test_nothing_says_that_no_fee_is_worth_paying_but_a_small_test_says_what_would_settle_it() -> None:
    assert judge(-0.5, -4.1, 1.9).note == "For this goal alone, no fee is worth paying."
    assert "2,500 more" not in judge(-0.5, -4.1, 1.9).note
    assert "more <bdi>buyers</bdi> in the test would settle it" in judge(2, -4, 14).note


def test_nothing_pays_where_a_buyer_is_worth_nothing() -> None:
    assert judge(2, -4, 14, Money("$", 0.42, 0.0, 22.0)).note == "For this goal alone, no fee is worth paying."


@pytest.mark.parametrize("estimate", [2.0, 10.9, 12.0], ids=["far below", "just below break-even", "above"])
def test_that_many_more_positives_settle_it(estimate: float) -> None:
    value = replace(value_of(estimate, estimate - 13, estimate + 13), positives=2_500)
    break_even = 11.0
    half = 13 * (2_500 / (2_500 + positives_needed(value, break_even))) ** 0.5
    assert estimate + half == pytest.approx(break_even) or estimate - half == pytest.approx(0)


def test_without_value_or_fee_the_verdict_is_in_people_and_says_what_to_set() -> None:
    unpriced = judge(16, 8, 24, Money())
    assert unpriced.headline == "Yes, it helps."
    assert unpriced.note == "Set value_per_conversion in project.toml to see money."
    assert unpriced.amounts == ()
    free = judge(16, 8, 24, Money("$", None, 16.0))
    assert "Set partner_fee_per_1000 there" in free.note
    assert [name for name, _ in free.amounts] == ["Worth, per 1,000 matched customers"]
    assert (
        judge(-0.5, -4.1, 2.0, Money("$", None, 16.0))
        .note.striptags()
        .startswith("If there is a gain, it is worth at most $4.00")
    )


@pytest.mark.parametrize("costs", [Money(), Money("$", None, 16.0, 0.0)], ids=["no money", "free of charge"])
@pytest.mark.parametrize(
    ("gain", "headline"),
    [
        ((0, -9, 9.9), "No. It adds nothing to this prediction."),
        ((0, -12, 12), "We can’t tell: the test shows no gain."),
        ((15.3, -90.0, 120.6), "We can’t tell: the test shows no gain."),
        ((0, 0, 0), "No. It adds nothing to this prediction."),
    ],
)
def test_without_a_fee_a_wide_range_is_no_finding(
    gain: tuple[float, float, float], headline: str, costs: Money
) -> None:
    assert judge(*gain, costs).headline == headline  # a tenth of 100 buyers among 1,000 at random would matter


def test_where_nothing_was_published_the_gain_counts_per_1000_contacts() -> None:
    verdict = judge(16, 8, 24, scope=None)
    assert "the same 1,000 contacts reach <b>16 more <bdi>buyers</bdi></b>" in verdict.sentence
    assert verdict.amounts == ()
    assert verdict.note == ""


def test_currency_of_a_user_cant_become_markup() -> None:
    verdict = judge(16, 8, 24, replace(PRICED, currency="<b>"))
    assert all("<b>" not in str(amount) for _, amount in verdict.amounts)
    assert "<b>" not in verdict.note + verdict.summary
