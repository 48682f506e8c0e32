"""Model artifacts: the card comes back whole, and no archive writes outside its folder."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.errors import ContractError
from contracts.model_artifact import JSON_NAME, ModelCard, read_model_card, unpack

CARD = ModelCard(
    goal="buy",
    rounds=12,
    parameters={"eta": 0.05, "objective": "binary:logistic"},
    seed=7,
    train_rows=600,
    validation_rows=200,
    positives=150,
    training_as_of=("2026-01-01", "2026-04-01"),
    fingerprint="a" * 64,
)


def file_entry(name: str) -> tarfile.TarInfo:
    """An entry of three bytes."""
    entry = tarfile.TarInfo(name)
    entry.size = 3
    return entry


def link_entry(kind: bytes, target: str) -> tarfile.TarInfo:
    """An entry that points to another file."""
    entry = tarfile.TarInfo("link")
    entry.type, entry.linkname = kind, target
    return entry


def archive(path: Path, *entries: tarfile.TarInfo) -> Path:
    """Write model.tar.gz with these entries, files full of ``abc``."""
    with tarfile.open(path, "w:gz") as tar:
        for entry in entries:
            tar.addfile(entry, io.BytesIO(b"abc") if entry.isfile() else None)
    return path


def test_card_comes_back_whole(tmp_path: Path) -> None:
    (tmp_path / JSON_NAME).write_bytes(CARD.to_json())
    assert read_model_card(tmp_path) == CARD


@pytest.mark.parametrize("content", [b"", b"[]", b'"text"', b"null", b"{}", b"\xff"], ids=repr)
def test_file_that_holds_no_card_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / JSON_NAME).write_bytes(content)
    with pytest.raises(ContractError, match="this is not a model artifact") as caught:
        read_model_card(tmp_path)
    assert caught.value.where == str(tmp_path / JSON_NAME)


@pytest.mark.parametrize("change", ["less", "more"])
def test_card_of_another_version_is_refused(tmp_path: Path, change: str) -> None:
    document = json.loads(CARD.to_json())
    document.pop("seed") if change == "less" else document.update(colour="red")
    (tmp_path / JSON_NAME).write_text(json.dumps(document))
    with pytest.raises(ContractError, match="this is not a model artifact"):
        read_model_card(tmp_path)


def test_archive_is_unpacked_with_its_folders(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.tar.gz", file_entry("booster.ubj"), file_entry("code/contracts/job.py"))
    folder = unpack(path, tmp_path / "model")
    assert (folder / "booster.ubj").read_bytes() == b"abc"
    assert (folder / "code" / "contracts" / "job.py").read_bytes() == b"abc"


@pytest.mark.parametrize(
    "entry",
    [
        file_entry("../outside"),
        file_entry("code/../../outside"),
        link_entry(tarfile.SYMTYPE, "../outside"),
        link_entry(tarfile.SYMTYPE, "/etc/passwd"),
        link_entry(tarfile.LNKTYPE, "../outside"),
        link_entry(tarfile.CHRTYPE, ""),
    ],
    ids=["parent", "parent in the middle", "link to parent", "link to root", "hard link", "device"],
)
def test_archive_that_points_out_of_its_folder_is_refused(tmp_path: Path, entry: tarfile.TarInfo) -> None:
    path = archive(tmp_path / "model.tar.gz", entry)
    (tmp_path / "outside").write_text("mine")
    with pytest.raises(ContractError, match="the model artifact can't be unpacked") as caught:
        unpack(path, tmp_path / "model")
    assert caught.value.where == str(path)
    assert (tmp_path / "outside").read_text() == "mine"


def test_absolute_path_lands_inside_the_folder(tmp_path: Path) -> None:
    target = tmp_path / "outside"
    unpack(archive(tmp_path / "model.tar.gz", file_entry(str(target))), tmp_path / "model")
    assert not target.exists()
    assert [path.name for path in (tmp_path / "model").rglob("*") if path.is_file()] == ["outside"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: b"not an archive",
        lambda content: content[: len(content) // 2],
        lambda content: content[:40] + b"\xff" * 20 + content[60:],
    ],
    ids=["nothing", "text", "cut off", "middle lost"],
)
def test_broken_archive_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = archive(tmp_path / "model.tar.gz", *[file_entry(f"code/{number}.py") for number in range(40)])
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ContractError, match="the model artifact can't be unpacked"):
        unpack(path, tmp_path / "model")


def test_missing_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="the model artifact can't be unpacked"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "model")
