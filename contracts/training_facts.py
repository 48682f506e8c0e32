"""Doorway *training facts*: what training found out about its rows and its model.

Written into the artifact, read by Evaluate, which alone judges.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from contracts.document import read_document
from contracts.errors import ContractError
from contracts.evaluation import PartnerValue

FILE_NAME = "training_facts.json"
SKETCH = 1000


@dataclass(frozen=True)
class Trial:
    """One candidate of the search: its parameters, the rounds and the log loss that cross-validation found."""

    parameters: dict[str, Any]
    rounds: int
    log_loss: float


@dataclass(frozen=True)
class Single:
    """What one feature alone predicts: its area under the ROC curve, on rows that it was not fitted to.

    ``low`` is the lower end of its 95 % interval.
    """

    feature: str
    party: str
    auc: float
    low: float


@dataclass(frozen=True)
class Disguised:
    """A feature that is the same for everybody at one time.

    ``ratio`` is how often it changes from row to row in time order, over how often it would in random order.
    """

    feature: str
    party: str
    ratio: float


@dataclass(frozen=True)
class Distribution:
    """How one quantity was distributed over the rows learned from.

    ``shares`` follow ``edges`` (numbers: below the first edge, between, above the last) or ``categories``, then other
    categories, where there are such; the last is the share of missing values.
    """

    name: str
    party: str
    shares: tuple[float, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingFacts:
    """What training found out.

    ``checked`` rows were predicted by models that had not seen their customers, and ``auc`` is how those predictions
    rank; of all rows learned from, ``positives`` had the label. ``random_auc`` is the same with customers dealt out at
    random, None where rows have no time. ``left_out`` names features that the model may not use. ``shuffled_auc`` is
    what can be learned where nothing can, with its standard error. ``learned_from`` are the lowest ``SKETCH`` hashes of
    the customers: who else was learned from shows in a sample of the same hashes (Bar-Yossef et al., Counting distinct
    elements in a data stream, 2002).
    """

    checked: int
    positives: int
    auc: float
    label_rate: float
    match_rate: float | None = None
    is_ordered: bool = False
    random_auc: float | None = None
    linear_weight: float = 0.0
    trials: tuple[Trial, ...] = ()
    singles: tuple[Single, ...] = ()
    disguised: tuple[Disguised, ...] = ()
    left_out: tuple[str, ...] = ()
    shuffled_auc: float = 0.5
    shuffled_error: float = 0.0
    scores: Distribution | None = None
    distributions: tuple[Distribution, ...] = field(default_factory=tuple)
    partner_value: PartnerValue | None = None
    learned_from: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """Write the facts as JSON."""
        document = {"schema": "pseg.training_facts/1", **asdict(self)}
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def sketch(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the lowest ``SKETCH`` hashes of some customers."""
    return tuple(sorted({sha256(key.encode()).hexdigest()[:16] for key in keys})[:SKETCH])


def share_in(known: tuple[str, ...], keys: Iterable[str]) -> float:
    """Estimate which share [0-1] of some customers are among those that a sketch is of."""
    seen = {sha256(key.encode()).hexdigest()[:16] for key in keys}
    if len(known) == SKETCH:  # above its last hash the sketch says nothing
        seen = {found for found in seen if found <= known[-1]}
    return len(seen & set(known)) / len(seen) if seen else 0.0


def read_training_facts(folder: Path) -> TrainingFacts:
    """Read the facts of an unpacked artifact.

    Raises
    ------
    ContractError
        If the file is missing or not of this form.
    """
    path = folder / FILE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        document.pop("schema")
        return read_document(TrainingFacts, document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(
            "these are not the facts of a training", where=str(path), why=str(error), fix="train again"
        ) from error
