"""How the report writes numbers, dates, money and words that a user chose.

Sentences round to tens from 1,000 up (:func:`about`), tables are exact (:func:`exact`). User words are printed as
written, escaped, and isolated, so that right-to-left text can't turn the sentence around it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

from markupsafe import Markup

from contracts.evaluation import Check

MINUS = "−"  # noqa: RUF001 the minus sign, as wide as a plus
NO_DATE = "no date"
SHARE_CHECKS = ("calibration_by_tenth", "calibration_in_the_large", "drift_of_match_rate", "tested_on_the_past")


def exact(value: float) -> str:
    """Write a count: ``22,549``."""
    return f"{round(value):,}".replace("-", MINUS)


def about(value: float) -> str:
    """Write a count for a sentence, rounded to tens from 1,000 up: ``5,500``."""
    return exact(round(value, -1) if abs(value) >= 1000 else value)


def signed(value: float, digits: int = 1) -> str:
    """Write a difference with its sign and one decimal: ``+8.2``."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def percent(share: float, digits: int = 0) -> str:
    """Write a share [0-1] in percent, with more digits where a small one would read as zero: ``24%``, ``0.3%``."""
    while digits < 4 and 0 < abs(share) < 0.5 * 10 ** -(digits + 2):
        digits += 1
    return f"{100 * share:.{digits}f}%".replace("-", MINUS)


def percent_as_written(share: float) -> str:
    """Write a share [0-1] in percent with just the digits that somebody wrote it with: ``12.5%``."""
    return f"{(100 * Decimal(str(share))).normalize():f}%"


def money(value: float, currency: str) -> str:
    """Write an amount, with cents below 20: ``$9,471``, ``EUR 1.72``."""
    sign = MINUS if round(value, 2) < 0 else ""
    space = " " if currency[-1:].isalpha() else ""
    return f"{sign}{currency}{space}{abs(value):,.{0 if abs(value) >= 20 else 2}f}"


def between(low: float, high: float, write: Callable[[float], str] = about) -> Markup:
    """Write a 95 % interval in brackets: ``(5,130 to 5,860)``."""
    return Markup('<span class="soft range">({} to {})</span>').format(write(low), write(high))


def unit_of(share: float) -> int:
    """Tell of how many people a share [0-1] is said, so that at least two are left to say: 100, 1,000 or 10,000."""
    return next((unit for unit in (100, 1_000) if share == 0 or share * unit >= 2), 10_000)


def of_every(share: float) -> str:
    """Write a share as a frequency: ``24 of every 100``."""
    unit = unit_of(share)
    return f"{exact(share * unit)} of every {unit:,}"


def figures(*values: float) -> tuple[str, ...]:
    """Write numbers that stand beside each other with equally many decimals: none if all are whole, else three."""
    digits = 0 if all(float(value).is_integer() for value in values) else 3
    return tuple(f"{value:,.{digits}f}".replace("-", MINUS) for value in values)


def figures_of(check: Check) -> tuple[str, ...]:
    """Write what a check found and what is allowed: shares in percent, counts whole, all else with three digits."""
    values = (check.found, check.allowed)
    return tuple(percent(value, 1) for value in values) if check.name in SHARE_CHECKS else figures(*values)


def day(text: str) -> str:
    """Write an ISO date as ``20 November 2026``; what is no date (``undated``) becomes ``no date``."""
    try:
        parsed = date.fromisoformat(text)
    except ValueError:
        return NO_DATE
    return f"{parsed.day} {parsed:%B} {parsed.year}"


def user(words: str) -> Markup:
    """Write words that a user chose: escaped, with a direction of their own, and breakable at underscores."""
    return Markup("<bdi>{}</bdi>").format(Markup("_<wbr>").join(words.split("_")))


def shorten(words: str, characters: int = 36) -> str:
    """Cut words for a drawing, where they can't wrap; the full ones stand in its title."""
    return words if len(words) <= characters else f"{words[: characters - 1]}…"


def listed(items: list[Markup]) -> Markup:
    """Join words as people do: ``a``, ``a and b``, ``a, b and c``."""
    if len(items) < 2:
        return Markup("").join(items)
    return Markup(", ").join(items[:-1]) + Markup(" and ") + items[-1]
