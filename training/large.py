"""One booster from more rows than should be in memory at once: on one host or several, and on again after a stop.

Rows come as batches and stay as bins; where even these are too many they lie on the job's volume. Several
hosts each bring their own rows and grow the same trees (XGBoost's collective adds up what the nodes hold).
"""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np
import xgboost as xgb
from xgboost import collective

from contracts.errors import ServiceError
from training.hosts import share
from training.rows import Rows
from training.trees import COMMON, MAX_ROUNDS, PATIENCE_ROUNDS, Parameters, feature_types

# Four of the value, kept while it is binned; six of XGBoost's bins with missing values: four for the place, one by
# column, some for sketching.
BYTES_PER_VALUE = 10
CHECKPOINT_ROUNDS = 10
KEPT = 2

logger = logging.getLogger(__name__)


class Batches(xgb.DataIter):
    """One part of the rows as XGBoost asks for them, four times over: read once where their bins fit in memory."""

    def __init__(self, rows: Rows, part: str, cache: Path | None) -> None:
        self.rows, self.part = rows, part
        self.kinds = feature_types(rows.table)
        self.kept = None if cache else list(rows.read(part))
        self.reset()
        super().__init__(cache_prefix=str(cache / part) if cache else None)

    def next(self, input_data: Callable[..., None]) -> bool:
        """Hand out one batch."""
        batch = next(self.left, None)
        if batch is None:
            return False
        input_data(data=batch[0], label=batch[1], feature_types=self.kinds)
        return True

    def reset(self) -> None:
        """Begin anew."""
        self.left = self.rows.read(self.part) if self.kept is None else iter(self.kept)


def bin_rows(rows: Rows, part: str, cache: Path | None, reference: xgb.DMatrix | None = None) -> xgb.DMatrix:
    """Bin one part; with ``cache``, a folder, the bins lie there instead of in memory."""
    kind = xgb.ExtMemQuantileDMatrix if cache else xgb.QuantileDMatrix
    return kind(Batches(rows, part, cache), ref=reference, enable_categorical=True)


def needs_disk(rows: int, features: int) -> bool:
    """Tell if bins would fill more than half of the machine's memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return BYTES_PER_VALUE * rows * features > memory / 2


@dataclass
class Checkpoints:
    """The trees so far with their losses, in a folder that the service keeps (``CheckpointConfig``).

    Only those of the same rows and parameters are gone on from, which ``fingerprint`` tells. Of several hosts the first
    alone writes and reads. ``folder`` None: nothing is kept.
    """

    folder: Path | None = None
    fingerprint: str = ""
    is_interrupted: bool = field(default=False, init=False)

    def paths(self) -> list[Path]:
        """List the files, the oldest first."""
        if self.folder is None or collective.get_rank():
            return []
        return sorted(self.folder.glob(f"{self.fingerprint[:16]}-*.ubj"))

    def save(self, booster: xgb.Booster, losses: list[float]) -> None:
        """Write one file, whole or not at all, and remove those that are too old."""
        if self.folder is None or collective.get_rank():
            return
        booster.set_attr(losses=json.dumps(losses))
        path = self.folder / f"{self.fingerprint[:16]}-{len(losses):05d}.ubj"
        path.with_suffix(".part").write_bytes(booster.save_raw("ubj"))
        path.with_suffix(".part").rename(path)
        booster.set_attr(losses=None)
        for old in self.paths()[:-KEPT]:
            old.unlink()

    def load(self) -> tuple[bytes, list[float]]:
        """Return the newest file that can be read and its losses, the same on every host; nothing if there is none."""
        found = (b"", "[]")
        for path in reversed(self.paths()):
            try:
                trees = path.read_bytes()
                losses = xgb.Booster(model_file=bytearray(trees)).attr("losses")
            except (OSError, xgb.core.XGBoostError) as error:
                logger.warning("checkpoint %s can't be read: %s", path.name, str(error).partition("\n")[0])
                continue
            if losses:
                found = trees, losses
                break
        return share(found[0], 0), json.loads(share(found[1].encode(), 0))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note SIGTERM instead of dying of it, where there is a folder to save in."""

        def note(_: int, __: FrameType | None) -> None:
            self.is_interrupted = True

        if self.folder is None:
            yield
            return
        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)


def grow_watched(
    train: xgb.DMatrix,
    check: xgb.DMatrix,
    parameters: Parameters,
    seed: int,
    checkpoints: Checkpoints,
) -> tuple[xgb.Booster, list[float]]:
    """Grow until the checked rows have not improved for ``PATIENCE_ROUNDS``, on from the newest checkpoint.

    Where nothing is drawn at random, an interruption changes no tree.

    Returns
    -------
    tuple of (Booster, list of float)
        All trees, and the log loss of the checked rows after each round.

    Raises
    ------
    ServiceError
        If the machine is to be given back; what was grown is saved.
    """
    settings = {**COMMON, **parameters, "seed": seed}
    saved, losses = checkpoints.load()
    booster = xgb.Booster(settings, [train, check], model_file=bytearray(saved) if saved else None)
    if losses:
        logger.info("on from the checkpoint after %d rounds", len(losses))
    with checkpoints.watching():
        while len(losses) < MAX_ROUNDS and len(losses) - int(np.argmin([*losses, np.inf])) <= PATIENCE_ROUNDS:
            booster.update(train, len(losses))
            losses.append(float(booster.eval_set([(check, "check")], len(losses)).rpartition(":")[2]))
            if checkpoints.is_interrupted or len(losses) % CHECKPOINT_ROUNDS == 0:
                checkpoints.save(booster, losses)
            if checkpoints.is_interrupted:
                raise ServiceError(
                    f"training was interrupted after {len(losses)} rounds",
                    why="the service sent SIGTERM: a spot instance was taken back, or the job was stopped",
                    fix="start again: it goes on from there",
                )
    return booster, losses
