"""Every doorway that is a JSON document: what is written comes back equal, and one step off its form is refused."""

from __future__ import annotations

import json
import types
from dataclasses import asdict, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.document import read_document
from contracts.evaluation import Evaluation
from contracts.run_facts import RunFacts
from contracts.run_manifest import Run
from contracts.run_settings import RunSettings
from contracts.segment_manifest import SegmentManifest

DOORWAYS = [RunSettings, Evaluation, RunFacts, Run, SegmentManifest]
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(10**12), 10**12),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    Any: st.one_of(st.none(), TEXT, st.integers(0, 9), st.lists(TEXT, max_size=2)),
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type hint, as the dataclasses of doorways use them."""
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        return st.builds(hint, **{field.name: values_of(hints[field.name]) for field in fields(hint)})
    if origin in (Union, types.UnionType):
        return st.one_of(*(st.none() if each is type(None) else values_of(each) for each in arguments))
    if origin is tuple and arguments[-1] is ...:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, arguments))
    if origin is dict:
        return st.dictionaries(TEXT, values_of(arguments[1]), max_size=2)
    return PLAIN[hint]


@pytest.mark.parametrize("doorway", DOORWAYS, ids=lambda doorway: doorway.__name__)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_what_is_written_comes_back_equal(doorway: type, data: st.DataObject) -> None:
    given_document = data.draw(values_of(doorway))
    text = json.dumps(asdict(given_document), ensure_ascii=False)
    assert read_document(doorway, json.loads(text)) == given_document


@pytest.mark.parametrize("doorway", DOORWAYS, ids=lambda doorway: doorway.__name__)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_key_more_less_or_of_another_type_is_refused_by_name(doorway: type, data: st.DataObject) -> None:
    document = json.loads(json.dumps(asdict(data.draw(values_of(doorway)))))
    hints = get_type_hints(doorway)
    name = data.draw(st.sampled_from([each for each, hint in hints.items() if hint is not Any]))
    with pytest.raises(ValueError, match="the document has unknown keys: colour"):
        read_document(doorway, document | {"colour": "red"})
    with pytest.raises(ValueError, match=rf"^{name}(\.colour)?( must be | has unknown keys)"):
        read_document(doorway, document | {name: 5 if get_origin(hints[name]) is dict else {"colour": {}}})
    del document[fields(doorway)[0].name]
    with pytest.raises(ValueError, match=f"the document lacks {fields(doorway)[0].name}"):
        read_document(doorway, document)
