"""The scored people of one run, read from its scored CSVs into arrays: 10 million endpoints take about 2 GB.

Comes in: every scored CSV (``*.out``). Goes out: the endpoints, best first, as numbers that point back into the files,
so that lines can be copied byte for byte. Refused: what the segment file's contract refuses, an id that comes twice.
"""

from __future__ import annotations

import csv
import mmap
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import ContractError
from contracts.segment_file import ENDPOINT_COLUMNS, SCORE_DIGITS, read_scored_csv

BLOCK_LINES = 100_000
Positions = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Population:
    """Every endpoint of a run, best first; equal scores are ordered by endpoint id.

    Arrays of shape (n_endpoints,): ``millionths`` are scores times 10^6; ``customer`` and ``address`` number the
    distinct customer keys and pairs of channel and address, from 0 on: addresses that differ in case or in blanks
    around them are one, as for refusals. ``channel`` is a position in ``channels``. The line of an endpoint has
    ``size`` bytes from ``start`` on, counted through the files one after the other.
    """

    channels: tuple[str, ...]
    millionths: Codes
    customer: Codes
    channel: Codes
    address: Codes
    start: Positions
    size: Codes
    paths: tuple[Path, ...]
    path_starts: Positions

    def score(self, rows: Positions) -> npt.NDArray[np.float64]:
        """Return the scores in [0, 1] of some endpoints."""
        return np.asarray(self.millionths[rows] / 10**SCORE_DIGITS, dtype=np.float64)

    def lines(self, rows: Positions) -> Iterator[bytes]:
        """Yield the lines of some endpoints as they stand in the files."""
        with ExitStack() as stack:
            files = [stack.enter_context(map_file(path)) for path in self.paths]
            for begin in range(0, len(rows), BLOCK_LINES):
                block = rows[begin : begin + BLOCK_LINES]
                file = np.searchsorted(self.path_starts, self.start[block], side="right") - 1
                start = self.start[block] - self.path_starts[file]
                end = start + self.size[block]
                for number, first, last in zip(file.tolist(), start.tolist(), end.tolist(), strict=True):
                    yield files[number][first:last]

    def customer_keys(self, rows: Positions) -> Iterator[str]:
        """Yield the customer keys of some endpoints; they are read from the lines, since few are asked for."""
        place = ENDPOINT_COLUMNS.index("User.UserId")
        for values in csv.reader(line.decode() for line in self.lines(rows)):
            yield values[place]


def map_file(path: Path) -> mmap.mmap:
    """Map a file into memory for reading."""
    with path.open("rb") as handle:
        return mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)


def read_population(folder: Path, goal: str) -> Population:
    """Read every scored CSV of a run.

    Raises
    ------
    ContractError
        If there is no file or no endpoint, a file or a score is not of the format, or an endpoint id comes twice.
    """
    paths = tuple(sorted(folder.rglob("*.out")))
    if not paths:
        raise ContractError("there is no scored CSV", where=str(folder), fix="check the transform job of this run")
    texts: dict[str, list[pa.StringArray]] = {name: [] for name in ENDPOINT_COLUMNS}
    millionths, start, size, path_starts = [], [], [], [0]
    for path in paths:
        found = read_scored_csv(path, goal)
        channel, address, *_ = (found.endpoints.column(name) for name in ENDPOINT_COLUMNS)
        # no value holds a line feed: pairs stay pairs
        pairs = pc.binary_join_element_wise(channel, folded(address), "\n")
        for name, values in zip(ENDPOINT_COLUMNS, (channel, pairs, *found.endpoints.columns[2:]), strict=True):
            texts[name] += values.chunks
        millionths.append(found.millionths)
        start.append(found.bounds[:-1] + path_starts[-1])
        size.append(np.diff(found.bounds).astype(np.int32))
        path_starts.append(path_starts[-1] + int(found.bounds[-1]))
    scores = np.concatenate(millionths)
    if not len(scores):
        raise ContractError("there is nobody to choose from", where="scored CSVs", fix="check contacts and may_contact")
    id_numbers = number_texts(texts["Id"])
    if id_numbers.max() + 1 < len(scores):
        refuse_repeated_id(texts["Id"], id_numbers, paths, [len(part) for part in millionths])
    order = np.argsort((10**SCORE_DIGITS - scores.astype(np.int64)) * len(scores) + id_numbers)
    channels = sorted(pc.unique(pa.chunked_array(texts["ChannelType"])).to_pylist())
    del texts["Id"], id_numbers  # each text goes as soon as its numbers are there
    return Population(
        channels=tuple(channels),
        millionths=scores[order],
        address=number_texts(texts.pop("Address"))[order],
        customer=number_texts(texts.pop("User.UserId"))[order],
        channel=number_texts(texts.pop("ChannelType"))[order],
        start=np.concatenate(start)[order],
        size=np.concatenate(size)[order],
        paths=paths,
        path_starts=np.array(path_starts[:-1], dtype=np.int64),
    )


def folded(addresses: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write addresses of one mailbox alike, just as refusals are compared: no blanks around, small letters."""
    return pc.utf8_lower(pc.utf8_trim_whitespace(addresses))


def number_texts(pieces: list[pa.StringArray]) -> Codes:
    """Count the distinct texts that sort before each one: equal texts have one number, from 0 on."""
    ranks = pc.rank(pa.chunked_array(pieces), sort_keys="ascending", tiebreaker="dense").to_numpy()
    return np.asarray(ranks - 1, dtype=np.int32)


def refuse_repeated_id(ids: list[pa.StringArray], numbers: Codes, paths: tuple[Path, ...], counts: list[int]) -> None:
    """Raise ``ContractError`` naming the first id that comes a second time, and its file."""
    is_first = np.zeros(len(numbers), dtype=bool)
    is_first[first_of_each(numbers, len(numbers))] = True
    place = int(np.argmin(is_first))
    raise ContractError(
        f"endpoint {pa.chunked_array(ids)[place]} comes twice",
        where=paths[int(np.searchsorted(np.cumsum(counts), place, side="right"))].name,
        fix="score the run again",
    )


def first_of_each(codes: Codes, count: int) -> Positions:
    """Find where each code below ``count`` comes first; positions in rising order.

    Of several assignments to one place numpy keeps the last, so assigning backwards keeps the first.
    """
    first = np.full(count, -1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    is_first = np.zeros(len(codes), dtype=bool)
    is_first[first[first >= 0]] = True
    return np.flatnonzero(is_first)
