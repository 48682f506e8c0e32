"""Doorway *segment file*: a CSV in the format of Amazon Pinpoint's segment import.

UTF-8 without byte order mark, LF, one header, comma separated, a value with comma or quote inside double quotes, no tab
and no line break in any value. Source: Amazon Pinpoint User Guide, "Importing segments". Pinpoint's engagement features
ended on 2026-10-30; the file format is kept, and only ``activation`` knows where files go.

There is one way to write a given row, so reading is parsing, writing again and comparing: what differs is refused.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from contracts.errors import ContractError

ENDPOINT_COLUMNS = ("ChannelType", "Address", "Id", "User.UserId")
# Amazon Pinpoint User Guide, "Importing segments", the table of supported attributes
PLAIN_COLUMNS = (
    *ENDPOINT_COLUMNS,
    "RequestId",
    *(f"Location.{name}" for name in ("City", "Country", "Latitude", "Longitude", "PostalCode", "Region")),
    *(f"Demographic.{name}" for name in ("AppVersion", "Locale", "Make", "Model", "ModelVersion")),
    *(f"Demographic.{name}" for name in ("Platform", "PlatformVersion", "Timezone")),
)
# Each import overwrites what is known: a consent from the day of the snapshot would undo a later refusal.
COLUMNS_ON_REQUEST = ("OptOut", "EndpointStatus", "EffectiveDate")
NAMED_COLUMNS = ("Attributes.", "Metrics.", "User.UserAttributes.")
FORBIDDEN_IN_NAMES = "#:?\\/"
# Amazon Pinpoint API reference, EndpointRequest, and Developer Guide, "Quotas"
MAX_NAME_CHARACTERS = 50
MAX_VALUE_CHARACTERS = 100
MAX_ATTRIBUTES = 250
MAX_FILE_BYTES = 1_000_000_000
FORBIDDEN = r"[\x00-\x1f\x7f]"
SCORE_DIGITS = 6
SCORE_FORM = r"^(0\.[0-9]{6}|1\.000000)$"
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


def check_columns(names: Sequence[str], asked_for: Collection[str] = ()) -> None:
    """Refuse columns that the import does not take.

    Parameters
    ----------
    names : sequence of str
        Columns of one file; or of all files of one application, since attributes are counted over all of them.
    asked_for : collection of str
        Those of ``COLUMNS_ON_REQUEST`` that the project asks for; no other file may set them.

    Raises
    ------
    ContractError
        Naming the column, or the number of attributes beyond 250.
    """
    attributes = [name for name in names if name.startswith(NAMED_COLUMNS)]
    for name in names:
        if why := problem_of(name, asked_for):
            raise ContractError(
                f"column {name} can't stand in a segment file", why=why, fix="rename it or leave it out"
            )
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ContractError(f"columns come twice in a segment file: {', '.join(twice)}", fix="write each once")
    if len(attributes) > MAX_ATTRIBUTES:
        raise ContractError(
            f"{len(attributes):,} attributes, an application takes {MAX_ATTRIBUTES}", fix="write fewer goals"
        )


def problem_of(column: str, asked_for: Collection[str]) -> str:
    """Tell why a column is not taken; empty if it is."""
    kind = next((kind for kind in NAMED_COLUMNS if column.startswith(kind)), None)
    if kind is None:
        if column in COLUMNS_ON_REQUEST and column not in asked_for:
            return "it would overwrite what was set since the snapshot, and nobody asked for it"
        return "" if column in PLAIN_COLUMNS or column in asked_for else "the import knows no such column"
    name = column.removeprefix(kind)
    if not 0 < len(name) <= MAX_NAME_CHARACTERS:
        return f"its name has {len(name)} characters, 1 to {MAX_NAME_CHARACTERS} are allowed"
    is_bad = any(letter in FORBIDDEN_IN_NAMES or not letter.isprintable() for letter in name)
    return f"its name may hold none of {FORBIDDEN_IN_NAMES} and no control character" if is_bad else ""


def text_array(values: pa.Array | pa.ChunkedArray) -> pa.StringArray:
    """Return a text column as one array."""
    values = values.cast(pa.string())
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def bytes_of(values: pa.StringArray) -> npt.NDArray[np.uint8]:
    """Return the UTF-8 bytes of all values, one after the other; no copy is made."""
    _, offsets, content = values.buffers()
    if not len(values) or content is None:
        return np.empty(0, dtype=np.uint8)
    ends = np.frombuffer(offsets, dtype=np.int32)[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(content, dtype=np.uint8)[ends[0] : ends[-1]]


def holds_any(values: pa.StringArray, letters: str) -> bool:
    """Tell if one of some ASCII letters is in any value."""
    content = bytes_of(values)
    return any(bool((content == ord(letter)).any()) for letter in letters)


def writable_mask(rows: pa.Table) -> pa.BooleanArray:
    """Mark the rows whose endpoint values keep the rules: 1 to 100 characters, no control character."""
    mask = pa.array(np.ones(rows.num_rows, dtype=bool))
    for name in ENDPOINT_COLUMNS:
        values = text_array(rows.column(name))
        content, lengths = bytes_of(values), pc.min_max(pc.binary_length(values)).as_py()
        is_plain = not values.null_count and not ((content < 0x20) | (content == 0x7F)).any()
        if is_plain and rows.num_rows and lengths["min"] > 0 and lengths["max"] <= MAX_VALUE_CHARACTERS:
            continue  # the rule for every row at once: nearly always, and in a tenth of the time
        characters = pc.utf8_length(values)
        fits = pc.and_(pc.greater(characters, 0), pc.less_equal(characters, MAX_VALUE_CHARACTERS))
        clean = pc.invert(pc.match_substring_regex(values, FORBIDDEN))
        mask = pc.and_(mask, pc.fill_null(pc.and_(fits, clean), False))
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
        Holds ``ENDPOINT_COLUMNS`` as text; ``Id`` is unique.
    scores : ndarray of shape (n_rows,)
        Propensity scores in [0, 1]; rounded half to even, which is exact for float32.

    Raises
    ------
    ContractError
        If a score is outside [0, 1], a value or the goal's name breaks the format, or an id comes twice.
    """
    check_columns(header(goal))
    is_score = (scores >= 0) & (scores <= 1)
    if not bool(np.all(is_score)):
        raise ContractError(
            f"{int(np.sum(~is_score)):,} of {len(scores):,} scores are missing or outside 0 to 1",
            where=score_column(goal),
        )
    unwritable = endpoints.num_rows - (pc.sum(writable_mask(endpoints)).as_py() or 0)
    if unwritable:
        raise ContractError(
            f"{unwritable:,} of {endpoints.num_rows:,} rows have a value that the format forbids",
            where=", ".join(ENDPOINT_COLUMNS),
            why="a value is missing, longer than 100 characters, or holds a tab, line break or control character",
            fix="BuildFeatures drops and counts such rows; write the shards again",
        )
    if repeated := endpoints.num_rows - pc.count_distinct(endpoints.column("Id")).as_py():
        raise ContractError(
            f"{repeated:,} of {endpoints.num_rows:,} rows repeat an id",
            where="Id",
            why="which of two rows wins at the import is not defined",
            fix="BuildFeatures makes ids unique; write the shards again",
        )
    columns = [text_array(endpoints.column(name)) for name in ENDPOINT_COLUMNS]
    return ",".join(header(goal)) + "\n" + bytes_of(write_lines(columns, score_texts(scores))).tobytes().decode()


def score_texts(scores: npt.NDArray[np.floating]) -> pa.StringArray:
    """Write scores in [0, 1] with six digits."""
    millionths = np.rint(scores.astype(np.float64) * 10**SCORE_DIGITS).astype(np.int32)
    texts = np.empty((len(scores), SCORE_DIGITS + 2), dtype=np.uint8)
    texts[:, 1] = ord(".")
    for place in (*range(SCORE_DIGITS + 1, 1, -1), 0):
        millionths, digit = np.divmod(millionths, 10)
        texts[:, place] = digit + ord("0")
    offsets = np.arange(0, texts.size + 1, SCORE_DIGITS + 2, dtype=np.int32)
    return pa.StringArray.from_buffers(len(scores), pa.py_buffer(offsets), pa.py_buffer(texts))


def write_lines(columns: Sequence[pa.StringArray], last: pa.StringArray) -> pa.StringArray:
    """Write the lines of a CSV, each with its line feed; ``last`` needs no quotes."""
    ends = pc.binary_join_element_wise(last, "\n", "")
    return pc.binary_join_element_wise(*(quote(values) for values in columns), ends, ",")


def write_column(name: str, values: pa.StringArray) -> bytes:
    """Write a CSV of one column."""
    return f"{name}\n".encode() + bytes_of(pc.binary_join_element_wise(quote(values), "\n", "")).tobytes()


def quote(values: pa.StringArray) -> pa.StringArray:
    """Put a value that holds a comma or a quote inside quotes, each of its quotes doubled (RFC 4180, section 2)."""
    if not holds_any(values, '",'):
        return values
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(values, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring_regex(values, '[",]'), quoted, values)


@dataclass(frozen=True)
class ScoredLines:
    """The lines of one scored CSV: what they say, and where in the file they lie.

    ``endpoints`` has ``ENDPOINT_COLUMNS`` as text, ``millionths`` the scores of its rows times 10^6. Line ``n`` lies
    in the file's bytes from ``bounds[n]`` up to ``bounds[n + 1]``.
    """

    endpoints: pa.Table
    millionths: npt.NDArray[np.int32]
    bounds: npt.NDArray[np.int64]


def read_scored_csv(path: Path, goal: str) -> ScoredLines:
    """Read a scored or published CSV.

    Raises
    ------
    ContractError
        If it is larger than 1 GB, the header is not the goal's, a line is not just as ``write_scored_csv`` writes it
        (the first such line is named), or a score is none (the first such endpoint is named).
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ContractError("a scored CSV is larger than 1 GB", where=path.name, fix="write smaller score shards")
    content = path.read_bytes()
    first = content[: content.find(b"\n") + 1]
    if first != (",".join(header(goal)) + "\n").encode():
        raise ContractError(
            "the header is not that of a scored CSV",
            where=path.name,
            why=f"found {(first or content)[:200]!r}",
            fix="score again",
        )
    ends = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == ord("\n")) + 1
    columns = parse_lines(memoryview(content), goal)
    if columns is None:
        whole = memoryview(content)
        number = bisect_left(
            range(len(ends)), True, lo=1, key=lambda last: parse_lines(whole[: ends[last]], goal) is None
        )
        raise ContractError(
            f"line {number + 1} is cut off or not of this format",
            where=path.name,
            why="five values of at most 100 characters and a line feed, without control characters, are written so",
            fix="score again",
        )
    scores = columns.column(score_column(goal)).combine_chunks()
    is_score = pc.match_substring_regex(scores, SCORE_FORM)
    bad = pc.index(is_score, False).as_py()
    if bad >= 0:
        raise ContractError(
            f"endpoint {columns.column('Id')[bad]} has the score {scores[bad]}", where=path.name, fix="score again"
        )
    digits = np.delete(bytes_of(scores).reshape(-1, SCORE_DIGITS + 2), 1, axis=1).astype(np.int32) - ord("0")
    return ScoredLines(
        columns.select(ENDPOINT_COLUMNS),
        digits @ (10 ** np.arange(SCORE_DIGITS, -1, -1, dtype=np.int32)),
        ends,
    )


def parse_lines(content: memoryview, goal: str) -> pa.Table | None:
    """Parse a CSV whose header is right; None if a line is not just as it would be written.

    The parser gets the header too, to skip it: it would take a byte order mark off the first value that it sees.
    """
    names = header(goal)
    body = content[len(",".join(names)) + 1 :]
    if not body:
        return pa.table({name: pa.array([], pa.string()) for name in names})
    try:
        columns = csv.read_csv(
            pa.BufferReader(content),
            csv.ReadOptions(column_names=names, skip_rows=1, block_size=len(content) + 1),
            csv.ParseOptions(ignore_empty_lines=False),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid:
        return None
    *endpoint, score = (text_array(columns.column(name)) for name in names)
    is_written_so = pa.py_buffer(bytes_of(write_lines(endpoint, score))).equals(pa.py_buffer(body))
    return columns if is_written_so and pc.all(writable_mask(columns)).as_py() else None
