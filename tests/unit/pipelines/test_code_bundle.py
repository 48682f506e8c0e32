"""The code bundle: what is in it, and a hash that depends on names and bytes alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.code_bundle import CONTAINER_ROOMS, collect_code, sha256_of

ROOT = Path(__file__).parents[3]


def test_bundle_is_sorted_and_holds_code_of_the_container_rooms_only() -> None:
    code = collect_code()
    assert list(code) == sorted(code)
    assert {name.split("/")[0] for name in code} == set(CONTAINER_ROOMS)
    assert {name.rsplit(".", 1)[1] for name in code} == {"py", "sql", "html", "css", "js"}
    assert "processing/features.sql" in code
    assert {name.split("/")[1] for name in code if name.endswith((".html", ".css", ".js"))} == {"templates"}
    for room in CONTAINER_ROOMS:
        expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / room).rglob("*.py")}
        assert expected == {name for name in code if name.startswith(f"{room}/") and name.endswith(".py")}


def test_bundle_holds_nothing_that_a_toolkit_would_install_and_no_bytecode() -> None:
    for name in collect_code():
        assert Path(name).name not in {"setup.py", "setup.cfg", "pyproject.toml", "requirements.txt"}
        assert "__pycache__" not in name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": b"1"}, {"a": b"2"}),
        ({"a": b"1"}, {"b": b"1"}),
        ({"a": b"1"}, {"a": b"1", "b": b""}),
        ({"a": b"b1"}, {"ab": b"1"}),
        ({"a": b"", "b": b""}, {"a": b"1:b0:"}),
    ],
    ids=["bytes", "name", "empty file", "name or bytes", "framing"],
)
def test_different_bundles_have_different_hashes(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert sha256_of(one) != sha256_of(other)


def test_order_of_the_files_does_not_change_the_hash() -> None:
    assert sha256_of({"a": b"1", "b": b"2"}) == sha256_of({"b": b"2", "a": b"1"})


def hash_of_tree(tree: Path) -> str:
    """Hash of the bundle of a source tree, as a process that imports from it finds it."""
    script = "from pipelines.code_bundle import collect_code, sha256_of; print(sha256_of(collect_code()))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_hash_of_a_tree_depends_on_its_source_alone(tmp_path: Path) -> None:
    for room in (*CONTAINER_ROOMS, "pipelines"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    first = hash_of_tree(tmp_path)
    assert first == sha256_of(collect_code())
    for path in tmp_path.rglob("*.py"):
        os.utime(path, (0, 0))
    (tmp_path / "contracts" / "notes.txt").write_text("not code")
    (tmp_path / "contracts" / "__pycache__" / "stray.py").write_text("not ours")
    assert hash_of_tree(tmp_path) == first
    with (tmp_path / "training" / "train.py").open("a") as handle:
        handle.write("#")
    assert hash_of_tree(tmp_path) != first
