"""Doorway *model artifact*: what is inside model.tar.gz. Written by training, read by inference.

``booster.ubj`` (XGBoost's own format, never a pickle), ``feature_table.json``, ``model.json`` and ``code/``, the bundle
that scores it: a model carries the code it was trained with.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.errors import ContractError

BOOSTER_NAME = "booster.ubj"
JSON_NAME = "model.json"
CODE_DIR = "code"


@dataclass(frozen=True)
class ModelCard:
    """What a model is: its goal, how it was trained and on how many customers."""

    goal: str
    rounds: int
    parameters: dict[str, Any]
    seed: int
    train_rows: int
    validation_rows: int
    positives: int
    training_as_of: tuple[str, ...]
    fingerprint: str

    def to_json(self) -> bytes:
        """Write the card as JSON."""
        return (json.dumps({"schema": "pseg.model/1", **asdict(self)}, indent=1, sort_keys=True) + "\n").encode()


def read_model_card(folder: Path) -> ModelCard:
    """Read the card of an unpacked artifact.

    Raises
    ------
    ContractError
        If it is missing or not of this form.
    """
    path = folder / JSON_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        document.pop("schema")
        return ModelCard(**{**document, "training_as_of": tuple(document["training_as_of"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(
            "this is not a model artifact", where=str(path), why=str(error), fix="train again"
        ) from error


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack model.tar.gz safely (no absolute path, no link out of the folder) and return the folder.

    Raises
    ------
    ContractError
        If it is missing, broken, or points out of the folder.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ContractError(
            "the model artifact can't be unpacked", where=str(archive), why=str(error), fix="train again"
        ) from error
    return folder
