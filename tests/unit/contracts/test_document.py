"""Documents are read strictly: what is wrong is named by its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from contracts.document import read_document


@dataclass(frozen=True)
class Leaf:
    """The innermost part."""

    size: int
    share: float = 0.5
    is_green: bool = False


@dataclass(frozen=True)
class Tree:
    """Every type that a doorway uses."""

    name: str
    leaf: Leaf
    leaves: tuple[Leaf, ...] = ()
    pair: tuple[str, int] = ("", 0)
    counts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    perhaps: float | None = None
    extra: Leaf | None = None
    anything: dict[str, Any] = field(default_factory=dict)


SMALL = {"name": "oak", "leaf": {"size": 1}}


def test_defaults_are_filled_in_and_types_are_kept() -> None:
    assert read_document(Tree, SMALL) == Tree("oak", Leaf(1))
    whole = SMALL | {
        "leaves": [{"size": 2, "share": 1, "is_green": True}],
        "pair": ["a", 1],
        "counts": {"x": [1, 2]},
        "perhaps": 3,
        "extra": {"size": 4},
        "anything": {"a": [None, 1.5]},
    }
    found = read_document(Tree, whole)
    assert found.leaves == (Leaf(2, 1.0, True),)
    assert (found.pair, found.counts, found.extra) == (("a", 1), {"x": (1, 2)}, Leaf(4))
    assert isinstance(found.perhaps, float)
    assert isinstance(found.leaves[0].share, float)
    assert found.anything == {"a": [None, 1.5]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": 1, "age": 2}, "the document has unknown keys: age, colour"),
        ({"leaf": {}}, "leaf lacks size"),
        ({"leaf": {"size": 1, "colour": 2}}, "leaf has unknown keys: colour"),
        ({"leaf": 5}, "leaf must be an object, got int"),
        ({"leaf": None}, "leaf must be an object, got NoneType"),
        ({"leaves": {}}, "leaves must be tuple, got dict"),
        ({"leaves": [{"size": 1}, {"size": "1"}]}, "leaves[1].size must be int, got str"),
        ({"leaves": [{"size": 1.0}]}, "leaves[0].size must be int, got float"),
        ({"leaves": [{"size": True}]}, "leaves[0].size must be int, got bool"),
        ({"leaves": [{"size": 1, "is_green": 1}]}, "leaves[0].is_green must be bool, got int"),
        ({"leaves": [{"size": 1, "share": True}]}, "leaves[0].share must be float, got bool"),
        ({"pair": ["a"]}, "pair must have 2 values, got 1"),
        ({"pair": ["a", "b"]}, "pair[1] must be int, got str"),
        ({"counts": []}, "counts must be dict, got list"),
        ({"counts": {"x": [1, "y"]}}, "counts.x[1] must be int, got str"),
        ({"perhaps": "much"}, "perhaps must be float, got str"),
        ({"extra": []}, "extra must be an object, got list"),
        ({"name": None}, "name must be str, got NoneType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_named_by_its_place(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"must|lacks|keys") as caught:
        read_document(Tree, SMALL | change)
    assert str(caught.value) == words


def test_missing_keys_are_all_named() -> None:
    with pytest.raises(ValueError, match="the document lacks name, leaf"):
        read_document(Tree, {})


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_what_is_no_object_is_no_document(value: Any) -> None:
    with pytest.raises(ValueError, match="the document must be an object, got"):
        read_document(Tree, value)
