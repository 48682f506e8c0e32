"""How the report writes: tens in sentences, exact in tables, nothing small that reads as zero, user words isolated."""

from __future__ import annotations

import pytest

from contracts.evaluation import Check
from insights import wording


@pytest.mark.parametrize(
    ("value", "exact", "about"),
    [(0, "0", "0"), (997, "997", "997"), (5497.6, "5,498", "5,500"), (-7074, "−7,074", "−7,070"), (-0.2, "0", "0")],
)
def test_table_is_exact_and_a_sentence_rounds_to_tens_from_1000_up(value: float, exact: str, about: str) -> None:
    assert wording.exact(value) == exact
    assert wording.about(value) == about


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0.244, 0, "24%"),
        (0.0609, 1, "6.1%"),
        (0.003, 0, "0.3%"),
        (0.00004, 1, "0.004%"),
        (0, 1, "0.0%"),
        (1, 0, "100%"),
    ],
)
def test_small_share_does_not_read_as_zero(share: float, digits: int, text: str) -> None:
    assert wording.percent(share, digits) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.244, "24 of every 100"),
        (0.02, "2 of every 100"),
        (0.0149, "15 of every 1,000"),
        (0.0004, "4 of every 10,000"),
        (0.0, "0 of every 100"),
        (1.0, "100 of every 100"),
    ],
)
def test_frequency_is_of_as_many_people_as_leave_two_to_say(share: float, text: str) -> None:
    assert wording.of_every(share) == text


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        (9471.2, "$", "$9,471"),
        (1.716, "$", "$1.72"),
        (-498, "$", "−$498"),
        (3, "EUR", "EUR 3.00"),
        (-0.001, "€", "€0.00"),
    ],
)
def test_amount_has_cents_only_where_they_matter(value: float, currency: str, text: str) -> None:
    assert wording.money(value, currency) == text


def test_numbers_beside_each_other_have_equally_many_decimals() -> None:
    assert wording.figures(0.774, 1) == ("0.774", "1.000")
    assert wording.figures(2501, 500) == ("2,501", "500")


@pytest.mark.parametrize(("text", "day"), [("2026-11-05", "5 November 2026"), ("undated", "no date"), ("", "no date")])
def test_what_is_no_date_says_so(text: str, day: str) -> None:
    assert wording.day(text) == day


def test_user_words_are_escaped_and_keep_their_direction_to_themselves() -> None:
    assert wording.user("</script> שלום\u202e") == "<bdi>&lt;/script&gt; שלום\u202e</bdi>"


def test_long_name_may_break_at_its_underscores() -> None:
    assert wording.user("orders_12m") == "<bdi>orders_<wbr>12m</bdi>"


def test_words_are_listed_as_people_do() -> None:
    assert wording.listed([wording.user("<a>"), wording.user("b"), wording.user("c")]) == (
        "<bdi>&lt;a&gt;</bdi>, <bdi>b</bdi> and <bdi>c</bdi>"
    )


@pytest.mark.parametrize(
    ("check", "figures"),
    [
        (Check("auc", 0.77542, 0.7, True), ("0.775", "0.700")),
        (Check("enough_positives", 1442.0, 50.0, True), ("1,442", "50")),
        (Check("calibration_in_the_large", 0.0009, 0.243, True), ("0.1%", "24.3%")),
    ],
    ids=["a ranking has three digits", "counts have no decimals", "a share is in percent"],
)
def test_figures_of_a_check_have_its_unit(check: Check, figures: tuple[str, str]) -> None:
    assert wording.figures_of(check) == figures


@pytest.mark.parametrize(
    ("share", "text"),
    [
        *((0.125, "12.5%"), (0.999, "99.9%"), (0.005, "0.5%"), (0.25, "25%"), (1.0, "100%"), (0.1, "10%")),
        *((0.07, "7%"), (0.29, "29%"), (0.000001, "0.0001%"), (0.123456, "12.3456%"), (1, "100%")),
    ],
)
def test_share_of_a_rule_has_the_digits_it_was_written_with(share: float, text: str) -> None:
    assert wording.percent_as_written(share) == text
