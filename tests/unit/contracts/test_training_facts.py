"""Who was learned from shows in a sample of hashes: how many of other customers were among them."""

from __future__ import annotations

import pytest

from contracts.training_facts import SKETCH, share_in, sketch


def keys(first: int, last: int) -> list[str]:
    return [f"c{number:06d}" for number in range(first, last)]


@pytest.mark.parametrize("size", [100, 50_000])
@pytest.mark.parametrize(("first", "share"), [(0, 1.0), (0.5, 0.5), (1.0, 0.0)])
def test_sketch_tells_how_many_of_others_were_learned_from(size: int, first: float, share: float) -> None:
    known = sketch(keys(0, size))
    assert len(known) == min(size, SKETCH)
    asked = keys(int(first * size), int((1 + first) * size))
    assert share_in(known, asked) == pytest.approx(share, abs=0.06)


def test_nobody_is_in_an_empty_sketch() -> None:
    assert share_in((), keys(0, 10)) == 0.0
    assert share_in(sketch(keys(0, 10)), []) == 0.0
