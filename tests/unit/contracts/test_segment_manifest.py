"""Segment manifests: read back whole, refused where they contradict themselves, and a check of what lies there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ContractError, VerificationError
from contracts.segment_manifest import (
    PublishedSegment,
    SegmentManifest,
    describe_file,
    parse_manifest,
    verify_files,
    verify_folder,
)

SEGMENT = PublishedSegment(
    name="likely",
    goal="buy",
    top_percent=10.0,
    people=2,
    endpoints=2,
    lowest_score=0.25,
    expected=0.8,
    waterfall=(("scored", 20), ("address used twice", 1), ("below the cut", 17)),
    files=(),
)
MANIFEST = SegmentManifest("spring", "buy", "candidate", "2026-06-30", "exec1", "arn:model/1", "naïve שלום", (SEGMENT,))


@pytest.fixture
def published(tmp_path: Path) -> SegmentManifest:
    """A segment of two files, on disk as published."""
    folder = tmp_path / "segments" / "likely"
    folder.mkdir(parents=True)
    files = []
    for number in (0, 1):
        path = folder / f"part-{number:04d}.csv"
        path.write_text(f"header\n{number}\n")
        files.append(describe_file(path, f"segments/likely/{path.name}", 1))
    return replace(MANIFEST, segments=(replace(SEGMENT, files=tuple(files)),))


def test_manifest_comes_back_whole(published: SegmentManifest) -> None:
    assert parse_manifest(json.loads(published.to_json()), "here") == published


@pytest.mark.parametrize(
    "waterfall",
    [
        (("scored", 20), ("below the cut", 17)),
        (("scored", 3),),
        (("scored", 20), ("below the cut", 19)),
        (),
    ],
    ids=["one person appears", "one person goes", "one too few", "none"],
)
def test_waterfall_that_does_not_sum_up_is_refused_by_segment(waterfall: tuple[tuple[str, int], ...]) -> None:
    manifest = replace(MANIFEST, segments=(replace(SEGMENT, waterfall=waterfall),))
    with pytest.raises(ContractError, match="the waterfall of likely does not sum up"):
        parse_manifest(json.loads(manifest.to_json()), "here")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("segments"),
        lambda document: document.pop("status"),
        lambda document: document.update(colour="red"),
        lambda document: document["segments"][0].pop("people"),
        lambda document: document["segments"][0].update(files=[{"key": "x"}]),
        lambda document: document["segments"][0].update(waterfall=[["scored"]]),
        lambda document: document["segments"][0].update(waterfall=[["scored", "many"]]),
    ],
    ids=["no segments", "no status", "unknown key", "no people", "half a file", "half a drop", "drop is no number"],
)
def test_document_of_another_form_is_refused_with_its_place(spoil: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads(MANIFEST.to_json())
    spoil(document)
    with pytest.raises(ContractError, match="this is not a segment manifest") as caught:
        parse_manifest(document, "output/manifest.json")
    assert caught.value.where == "output/manifest.json"


def test_files_as_published_are_verified_and_their_rows_counted(published: SegmentManifest, tmp_path: Path) -> None:
    assert verify_files(published, tmp_path) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "part-0001.csv").unlink(), "part-0001.csv is missing"),
        (
            lambda folder: (folder / "part-0000.csv").write_text("header\n9\n"),
            "part-0000.csv is not what was published",
        ),
        (lambda folder: (folder / "part-0000.csv").write_text(""), "part-0000.csv is not what was published"),
    ],
    ids=["lost", "changed", "emptied"],
)
def test_what_differs_from_the_manifest_is_named(
    published: SegmentManifest, tmp_path: Path, change: Callable[[Path], Any], message: str
) -> None:
    change(tmp_path / "segments" / "likely")
    with pytest.raises(VerificationError, match=message):
        verify_files(published, tmp_path)


@pytest.mark.parametrize(
    "keys",
    [
        ["segments/likely/part-0002.csv"],
        ["segments/intruder/part-0000.csv"],
        ["segments/loose.csv"],
        ["holdouts/other.csv"],
        ["holdouts/.hidden", "segments/likely/below/part-0000.csv"],
        [f"holdouts/{number}.csv" for number in range(9)],
    ],
    ids=["in a segment", "in a folder of its own", "beside the segments", "a holdout", "deep and hidden", "many"],
)
def test_files_that_no_manifest_lists_are_named(published: SegmentManifest, tmp_path: Path, keys: list[str]) -> None:
    assert verify_folder((published,), tmp_path) == 2
    for key in keys:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_text("header\n")
    with pytest.raises(VerificationError, match="in no manifest") as caught:
        verify_folder((published,), tmp_path)
    assert [key for key in keys if key in caught.value.what] == keys[:5]
    assert f"{len(keys)} file" in caught.value.why


def test_file_of_another_goal_is_no_stranger(published: SegmentManifest, tmp_path: Path) -> None:
    path = tmp_path / "holdouts" / "leavers.csv"
    path.parent.mkdir()
    path.write_text("User.UserId\nk1\n")
    file = describe_file(path, "holdouts/leavers.csv", 1)
    other = replace(MANIFEST, goal="leave", segments=(replace(SEGMENT, name="leavers", holdout_file=file),))
    assert verify_folder((published, other), tmp_path) == verify_folder((other, published), tmp_path) == 2
    with pytest.raises(VerificationError, match=r"holdouts/leavers.csv: in no manifest"):
        verify_folder((published,), tmp_path)
