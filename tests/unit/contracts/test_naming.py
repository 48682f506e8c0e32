"""Names that several rooms must spell alike."""

from __future__ import annotations

import re

import pytest

from contracts.naming import camel, package_group, package_parameter


@pytest.mark.parametrize(
    ("goal", "parameter"),
    [
        ("buy", "BuyModelPackageArn"),
        ("big_spender", "BigSpenderModelPackageArn"),
        ("buys_2_times", "Buys2TimesModelPackageArn"),
    ],
)
def test_parameter_is_camel_case_without_underscore(goal: str, parameter: str) -> None:
    assert package_parameter(goal) == parameter
    assert parameter.startswith(camel(goal))


def test_group_has_letters_digits_and_hyphens_only() -> None:
    assert package_group("spring-sale", "big_spender") == "spring-sale--big-spender"
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", package_group("spring", "buy_2"))
