"""Doorway *segment file*: a CSV in the format of Amazon Pinpoint's segment import.

UTF-8 without byte order mark, LF, one header, comma separated, a value with comma or quote inside double quotes, no tab
and no line break in any value. Source: Amazon Pinpoint User Guide, "Importing segments". Pinpoint's engagement features
ended on 2026-10-30; the file format is kept, and only ``activation`` knows where files go.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import ContractError

ENDPOINT_COLUMNS = ("ChannelType", "Address", "Id", "User.UserId")
MAX_VALUE_CHARACTERS = 100
FORBIDDEN = r"[\x00-\x1f\x7f]"
SCORE_DIGITS = 6
ADDRESS_FORMS = {
    ("EMAIL",): r"^[^@\s,;<>\"]+@[^@\s,;<>\".]+(\.[^@\s,;<>\".]+)+$",
    ("SMS", "VOICE"): r"^\+[1-9][0-9]{6,14}$",
}


def score_column(goal: str) -> str:
    """Name of the column that holds a goal's propensity score."""
    return f"Metrics.{goal}_score"


def header(goal: str) -> list[str]:
    """Columns of a scored or published CSV of one goal."""
    return [*ENDPOINT_COLUMNS, score_column(goal)]


def writable_mask(rows: pa.Table) -> pa.ChunkedArray:
    """Mark the rows whose endpoint values keep the rules: present, at most 100 characters, no control character."""
    mask = pa.chunked_array([pa.array(np.ones(rows.num_rows, dtype=bool))])
    for name in ENDPOINT_COLUMNS:
        values = rows.column(name)
        short = pc.less_equal(pc.utf8_length(values), MAX_VALUE_CHARACTERS)
        clean = pc.invert(pc.match_substring_regex(values, FORBIDDEN))
        mask = pc.and_(mask, pc.fill_null(pc.and_(short, clean), False))
    return mask


def reachable_mask(rows: pa.Table) -> pa.ChunkedArray:
    """Mark the rows whose address can be one of its channel: e-mail addresses, numbers as E.164 with a plus.

    Source: Amazon Pinpoint API reference, EndpointBatchItem. Tokens of other channels have no form to check.
    """
    mask = pa.chunked_array([pa.array(np.ones(rows.num_rows, dtype=bool))])
    for channels, form in ADDRESS_FORMS.items():
        is_channel = pc.is_in(rows.column("ChannelType"), value_set=pa.array(channels))
        mask = pc.and_(mask, pc.or_(pc.invert(is_channel), pc.match_substring_regex(rows.column("Address"), form)))
    return mask


def write_scored_csv(endpoints: pa.Table, scores: npt.NDArray[np.floating], goal: str) -> str:
    """Write one scored CSV: header and a line per endpoint, scores with six digits.

    Parameters
    ----------
    endpoints : Table of shape (n_rows, any)
        Holds ``ENDPOINT_COLUMNS`` as text.
    scores : ndarray of shape (n_rows,)
        Propensity scores in [0, 1].

    Raises
    ------
    ContractError
        If a score is outside [0, 1] or a value breaks the format.
    """
    if not bool(np.all((scores >= 0) & (scores <= 1))):
        bad = int(np.sum(~((scores >= 0) & (scores <= 1))))
        raise ContractError(
            f"{bad:,} of {len(scores):,} scores are missing or outside 0 to 1", where=score_column(goal)
        )
    unwritable = endpoints.num_rows - (pc.sum(writable_mask(endpoints)).as_py() or 0)
    if unwritable:
        raise ContractError(
            f"{unwritable:,} of {endpoints.num_rows:,} rows have a value that the format forbids",
            where=", ".join(ENDPOINT_COLUMNS),
            why="a value is missing, longer than 100 characters, or holds a tab, line break or control character",
            fix="BuildFeatures drops and counts such rows; write the shards again",
        )
    digits = pa.array(scores.astype(np.float64)).cast(pa.decimal128(SCORE_DIGITS + 1, SCORE_DIGITS), safe=False)
    columns = [quote(endpoints.column(name).cast(pa.string())) for name in ENDPOINT_COLUMNS]
    lines = pc.binary_join_element_wise(*columns, pa.chunked_array([digits.cast(pa.string())]), ",").to_pylist()
    return "\n".join([",".join(header(goal)), *lines]) + "\n"


def quote(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Put a value that holds a comma or a quote inside quotes, each of its quotes doubled (RFC 4180, section 2)."""
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(values, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring_regex(values, '[",]'), quoted, values)


def read_lines(path: Path, goal: str) -> Iterator[tuple[list[str], bytes]]:
    """Read a scored or published CSV line by line, as parsed values and as the bytes they came from.

    Raises
    ------
    ContractError
        If the header is not the goal's, a line is not UTF-8 or not of the format, or the last one is cut off.
    """
    with path.open("rb") as handle:
        first = handle.readline()
        if first.decode("utf-8", "replace") != ",".join(header(goal)) + "\n":
            raise ContractError(
                "the header is not that of a scored CSV",
                where=path.name,
                why=f"found {first[:200]!r}",
                fix="score again",
            )
        for number, line in enumerate(handle, start=2):
            try:
                values = next(csv.reader(io.StringIO(line.decode("utf-8")), strict=True))
                why = "" if len(values) == len(header(goal)) and line.endswith(b"\n") else f"{len(values)} values"
            except (UnicodeDecodeError, csv.Error) as error:
                why = str(error)
            if why:
                raise ContractError(
                    f"line {number} is cut off or not of this format", where=path.name, why=why, fix="score again"
                )
            yield values, line
