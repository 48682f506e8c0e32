"""What the partner's data is worth for one goal, in people and in money, and the sentence that says so."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from contracts.evaluation import PartnerValue
from contracts.run_settings import Money, Words
from insights.wording import about, between, exact, money, signed, user

NOTED = 0.1


@dataclass(frozen=True)
class Worth:
    """One estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Worth:
        """Scale it."""
        return Worth(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Verdict:
    """The answer (``headline``), the sentence that follows, amounts, a note, and a few words for the summary."""

    headline: str
    sentence: Markup
    amounts: tuple[tuple[str, Markup], ...]
    note: Markup
    summary: Markup


@dataclass(frozen=True)
class Scope:
    """Over whom the gain counts: ``contacts`` people at the cut, ``matched`` customers that the partner knows."""

    contacts: float
    matched: int


def worth_per_1000_matched(value: PartnerValue, scope: Scope, per_conversion: float) -> Worth:
    """Return what 1,000 matched customers' data brings at the cut; it is also the fee at which it breaks even.

    ``extra per 1,000 contacts x contacts / 1,000 x value per conversion / matched x 1,000``.
    """
    cut = value.at_cut
    return Worth(cut.extra, cut.low, cut.high).times(scope.contacts * per_conversion / scope.matched)


def positives_needed(value: PartnerValue, break_even: float) -> float:
    """Return how many more positives in the test would settle if the gain is worth its price.

    A 95 % interval narrows with the square root of the positives. It is settled when its upper end falls to the extra
    positives per 1,000 contacts that pay the fee (``break_even``) or its lower end rises above 0.
    """
    cut = value.at_cut
    half = (cut.high - cut.low) / 2
    room = max(break_even - cut.extra, cut.extra)
    return value.positives * ((half / room) ** 2 - 1)


def enough(value: PartnerValue, base_rate: float, worth: Worth | None, fee: float | None) -> float:
    """Return how many extra positives per 1,000 contacts would matter.

    As many as pay the fee; without a fee a tenth of those whom 1,000 contacts chosen at random would find.
    """
    if fee and worth:
        return fee * value.at_cut.high / worth.high if worth.high > 0 else math.inf
    return NOTED * 1000 * base_rate


def judge_partner(
    value: PartnerValue, base_rate: float, words: Words, partner: str, costs: Money, scope: Scope | None
) -> Verdict:
    """Say if the partner's data helps, and if it pays.

    Parameters
    ----------
    value : PartnerValue
        Extra positives per 1,000 contacts, with and without the partner's data on the same customers and folds.
    base_rate : float
        Share of all customers who did it, (0, 1).
    scope : Scope or None
        None where nothing was published or nobody is matched: there is then no amount of money.
    """
    cut = value.at_cut
    if cut.high < 0:
        return harm(value, words, partner)
    per_conversion, fee = costs.value_per_conversion, costs.partner_fee_per_1000
    worth = None
    if scope and scope.matched and scope.contacts and per_conversion is not None:
        worth = worth_per_1000_matched(value, scope, per_conversion)
    if cut.low <= 0:
        return no_gain(value, enough(value, base_rate, worth, fee), words, partner, costs, worth)
    return gain(value, words, partner, costs, scope, worth, fee)


def harm(value: PartnerValue, words: Words, partner: str) -> Verdict:
    """Word the case in which the whole interval is below zero."""
    cut = value.at_cut
    sentence = Markup("With data from {} the model finds {} fewer {} per 1,000 contacts {}.").format(
        user(partner), f"{-cut.extra:.1f}", user(words.noun), between(-cut.high, -cut.low, lambda v: f"{v:.1f}")
    )
    return Verdict("It makes this prediction worse.", sentence, (), Markup(""), Markup("makes it worse"))


def no_gain(
    value: PartnerValue, wanted: float, words: Words, partner: str, costs: Money, worth: Worth | None
) -> Verdict:
    """Word the case in which the interval holds zero: nothing, or where it holds what is wanted, can't tell."""
    cut = value.at_cut
    is_nothing = cut.high <= wanted
    sentence = Markup(
        "With and without data from {} {}the difference is {} {} per 1,000 contacts, "
        "and anything from {} to {} fits the test."
    ).format(
        user(partner),
        "the model finds the same people: " if is_nothing else "",
        *(signed(cut.extra), user(words.noun), signed(cut.low), signed(cut.high)),
    )
    fee = costs.partner_fee_per_1000
    if is_nothing:
        note = unpriced(costs)
        if worth and fee is not None:
            note = Markup("For this goal alone, no fee is worth paying.")
        elif worth:
            most = user(money(worth.high, costs.currency))
            note = Markup("If there is a gain, it is worth at most {} per 1,000 matched customers.").format(most)
        return Verdict("No. It adds nothing to this prediction.", sentence, (), note, Markup("adds nothing here"))
    more = positives_needed(value, wanted)
    note = Markup("The test is too small to rule out a gain {}; {} more {} in the test would settle it.").format(
        "worth its price" if worth and fee is not None else "that matters",
        exact(max(math.ceil(more / 100), 1) * 100),
        user(words.noun),
    )
    if worth is None:
        note += Markup(" ") + unpriced(costs)
    return Verdict("We can’t tell: the test shows no gain.", sentence, (), note, Markup("can’t tell yet"))


def gain(
    value: PartnerValue,
    words: Words,
    partner: str,
    costs: Money,
    scope: Scope | None,
    worth: Worth | None,
    fee: float | None,
) -> Verdict:
    """Word the case in which the whole interval is above zero."""
    cut = value.at_cut
    contacts = scope.contacts if scope else 1000.0
    extra = Worth(cut.extra, cut.low, cut.high).times(contacts / 1000)
    more = Markup("<b>{} more {}</b>").format(about(extra.value), user(words.noun))
    reached = Markup("With data from {}, the same {} contacts reach {} {}.").format(
        user(partner), exact(contacts), more, between(extra.low, extra.high)
    )
    if worth is None or scope is None:
        short = Markup("{} more {} per 1,000 contacts").format(signed(cut.extra).lstrip("+"), user(words.noun))
        return Verdict("Yes, it helps.", reached, (), unpriced(costs), short)

    def write(amount: float) -> Markup:
        return user(money(amount, costs.currency))

    def ranged(amounts: Worth) -> Markup:
        return Markup("{} {}").format(write(amounts.value), between(amounts.low, amounts.high, write))

    amounts = [("Worth, per 1,000 matched customers", ranged(worth))]
    headline = "Yes, it helps."
    note = Markup("Counted at {} per {}, as set in project.toml.").format(
        write(costs.value_per_conversion or 0.0), user(words.one)
    )
    if fee is None:
        note += Markup(" Set partner_fee_per_1000 there to see if it pays.")
    else:
        left = Worth(worth.value - fee, worth.low - fee, worth.high - fee).times(scope.matched / 1000)
        amounts += [
            ("You pay, per 1,000 matched", write(fee)),
            ("Left over, per run", ranged(left)),
            ("Break-even fee, per 1,000 matched", write(worth.value)),
        ]
        if worth.low >= fee:
            headline = "Yes, and it pays for itself."
        elif worth.value >= fee:
            headline = "Yes, and it probably pays for itself."
            note += Markup(" The low end is under the fee, so ask for a price of {} to be safe.").format(
                write(worth.low)
            )
        else:
            headline = "It helps, but costs more than it brings."
            note += Markup(" Break-even: {} per 1,000 matched.").format(write(worth.value))
    summary = Markup("worth about {} per 1,000 matched customers").format(write(worth.value))
    return Verdict(headline, reached, tuple(amounts), note, summary)


def unpriced(costs: Money) -> Markup:
    """Say what to set to see money; nothing where it is set and only people are missing."""
    if costs.value_per_conversion is None:
        return Markup("Set value_per_conversion in project.toml to see money.")
    return Markup("")
