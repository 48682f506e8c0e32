"""Traits of a segment read as people speak, whatever the columns are called."""

from __future__ import annotations

import numpy as np
import pytest

from training.explain import conditions, in_words


@pytest.mark.parametrize(
    ("name", "words", "unit"),
    [
        ("recency_days", "recency", "days"),
        ("events_180d", "events in 180 days", ""),
        ("gap_days_max", "largest gap", "days"),
        ("gap_days_std", "spread of gap", "days"),
        ("amount_mean", "mean amount", ""),
        ("days_active", "active", "days"),
        ("music_affinity", "music affinity", ""),
        ("days", "days", ""),
        ("max", "max", ""),
    ],
)
def test_column_name_is_read_as_words_with_its_unit(name: str, words: str, unit: str) -> None:
    assert in_words(name) == (words, unit)


def test_condition_on_a_number_says_its_unit_and_one_day_is_no_days() -> None:
    values = np.array([1, 1, 1, 46, 46, 1200, np.nan], dtype=np.float32)
    said = [text for text, _ in conditions("recency_days", "number", (), values)]
    assert said[0] == "recency: not known"
    assert "recency: 1 day or less" in said
    assert "recency: 46 days or more" in said
