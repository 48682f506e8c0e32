"""The code that containers run: our container rooms as one folder with the same import names everywhere.

Equal code gives an equal key, so definitions stay equal, caching stays right, and lineage is exact. There is no
``setup.py`` and no ``requirements.txt`` in it: the XGBoost image would install what they ask for.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

CONTAINER_ROOMS = ("contracts", "clean_rooms", "processing", "training", "inference", "activation", "insights")
SUFFIXES = (".py", ".sql", ".html", ".css", ".js")  # the last three: templates of the report


def collect_code() -> dict[str, bytes]:
    """Collect the container rooms' files, by their path inside the bundle, sorted."""
    found: dict[str, bytes] = {}
    for room in CONTAINER_ROOMS:
        collect_folder(files(room), room, found)
    return dict(sorted(found.items()))


def collect_folder(folder: Traversable, name: str, found: dict[str, bytes]) -> None:
    """Add a folder's files and those of its sub-folders."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            collect_folder(entry, f"{name}/{entry.name}", found)
        elif entry.name.endswith(SUFFIXES):
            found[f"{name}/{entry.name}"] = entry.read_bytes()


def sha256_of(content: dict[str, bytes]) -> str:
    """Hash sorted names and bytes, each with its length, so that no two bundles can look alike."""
    digest = hashlib.sha256()
    for name, data in sorted(content.items()):
        digest.update(f"{len(name)}:{name}{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()
