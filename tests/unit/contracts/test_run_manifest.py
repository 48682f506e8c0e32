"""Run manifests: two files that come back whole, and are refused where one is missing or of another form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ContractError
from contracts.run_manifest import Run, RunManifest, read_run_manifest, write_run_manifest
from contracts.run_settings import Money
from tests.unit.contracts.test_evaluation import EVALUATION, FAILED
from tests.unit.contracts.test_run_facts import ONE
from tests.unit.contracts.test_segment_manifest import MANIFEST

RUN = Run("spring", "train", "exec1", "Spring", "Acme שלום", "made up", True, Money("€", 0.05), ONE, "c" * 64, "s" * 64)
WHOLE = RunManifest(
    RUN, (EVALUATION, replace(EVALUATION, goal="leave", checks=(FAILED,))), (MANIFEST, replace(MANIFEST, goal="spend"))
)


def test_run_comes_back_whole(tmp_path: Path) -> None:
    write_run_manifest(WHOLE, tmp_path / "output")
    assert sorted(path.name for path in (tmp_path / "output").iterdir()) == ["evaluation.json", "manifest.json"]
    assert read_run_manifest(tmp_path / "output") == WHOLE


def test_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_run_manifest(WHOLE, tmp_path / folder)
    for name in ("manifest.json", "evaluation.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_failed_goals_and_what_was_published_are_told_apart() -> None:
    assert [evaluation.goal for evaluation in WHOLE.failed] == ["leave"]
    assert WHOLE.manifest_of("spend") == WHOLE.manifests[1]
    assert WHOLE.manifest_of("leave") is None


@pytest.mark.parametrize("name", ["manifest.json", "evaluation.json"])
@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b"null", b'"text"', b"\xff"], ids=repr)
def test_half_a_run_is_refused_by_file(tmp_path: Path, name: str, content: bytes | None) -> None:
    write_run_manifest(WHOLE, tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ContractError, match="there is no run here") as caught:
        read_run_manifest(tmp_path)
    assert caught.value.where == str(tmp_path / name)
    assert "pseg run PROJECT" in caught.value.fix


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda document: document["run"].pop("kind"), "run lacks kind"),
        (lambda document: document["run"]["facts"].update(customers="1"), "run.facts.customers must be int, got str"),
        (lambda document: document["manifests"][0].pop("goal"), "lacks goal"),
        (lambda document: document["manifests"][0]["segments"][0].update(people=3), "likely does not sum up"),
    ],
)
def test_run_of_another_form_is_refused_with_the_place(tmp_path: Path, spoil: Any, words: str) -> None:
    write_run_manifest(WHOLE, tmp_path)
    document = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    spoil(document)
    (tmp_path / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        read_run_manifest(tmp_path)
    assert words in str(caught.value)
