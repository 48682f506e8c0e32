"""The model server's functions: one Parquet shard in, one Pinpoint CSV with header out.

Scoring is row-local: who is chosen is decided later, over everybody. A shard whose features are not the model's is
refused with status 400 and the reason; an exception would show in the log only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from contracts.errors import ContractError
from contracts.feature_table import FeatureTable, encode, read_feature_table
from contracts.model_artifact import ModelCard, read_model_card
from contracts.score_shard import read_shard
from contracts.segment_file import write_scored_csv
from inference.ensemble import Ensemble, load_ensemble

if TYPE_CHECKING:
    from werkzeug import Response

CONTENT_TYPE = "application/x-parquet"


@dataclass(frozen=True)
class Model:
    """A loaded model: its members, its feature contract and its card."""

    ensemble: Ensemble
    table: FeatureTable
    card: ModelCard


def model_fn(model_dir: str) -> Model:
    """Load an unpacked artifact.

    Raises
    ------
    ContractError
        If a file is missing or broken, or the card belongs to other features.
    """
    folder = Path(model_dir)
    table, card = read_feature_table(folder), read_model_card(folder)
    if card.fingerprint != table.fingerprint:
        raise ContractError(
            "the model was trained on other features than it carries", where=model_dir, fix="train again"
        )
    return Model(load_ensemble(folder), table, card)


def transform_fn(model: Model, body: bytes, content_type: str, accept: str) -> tuple[str, str] | Response:
    """Score one request.

    Parameters
    ----------
    model : Model
        From ``model_fn``.
    body : bytes
        One score shard.
    content_type : str
        Must be ``application/x-parquet``.
    accept : str
        Not read: the answer is always ``text/csv``.

    Returns
    -------
    tuple of (str, str) or Response
        The CSV and ``text/csv``; or status 400 with the reason as text.
    """
    try:
        if content_type != CONTENT_TYPE:
            raise ContractError(
                f"content type must be {CONTENT_TYPE}, got {content_type}", fix="send a shard of BuildFeatures"
            )
        rows = read_shard(pa.BufferReader(body), model.table)
        scores = model.ensemble.predict(encode(rows, model.table, where="shard"))
        return write_scored_csv(rows, scores, model.card.goal), "text/csv"
    except ContractError as error:
        return refuse(str(error))


def refuse(reason: str) -> Response:
    """Answer status 400 with a reason; the server passes such a response through unchanged."""
    from werkzeug import Response  # the image's server provides it; nothing else here needs it

    return Response(reason, status=400, mimetype="text/plain")
