"""Laws of who is chosen: an exact share, best first, ties by id, one row per address, and not a byte changed."""

from __future__ import annotations

import csv
import math
import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from activation.publish import ScoredLine, cut, rank, read_population, write_segment
from contracts.run_settings import Segment
from contracts.segment_file import ENDPOINT_COLUMNS, write_scored_csv
from tests.strategies import scores, writable_values

PERCENTS = st.one_of(
    st.sampled_from([100.0, 10.0, 0.07, 1.1, 5.1, 33.3, 0.01]),
    st.decimals(Decimal("0.01"), 100, places=2).map(float),
)


def line(score: float, endpoint_id: str, address: str = "", channel: str = "EMAIL") -> ScoredLine:
    """One endpoint of a population."""
    return ScoredLine(score, endpoint_id, endpoint_id, (channel, address or endpoint_id), f"{endpoint_id}\n".encode())


@st.composite
def populations(draw: st.DrawFn) -> list[ScoredLine]:
    """Endpoints with many equal scores and many shared addresses."""
    ids = draw(st.lists(st.integers(0, 999), min_size=1, max_size=30, unique=True))
    some = st.sampled_from([0.0, 0.1, 0.5, 1.0])
    channels, addresses = st.sampled_from(["EMAIL", "SMS"]), st.sampled_from("abcdefgh")
    return [line(draw(some), f"id{number:03d}", draw(addresses), draw(channels)) for number in ids]


@settings(max_examples=60)
@given(population=populations())
def test_each_address_stays_once_with_its_best_score_and_lowest_id(population: list[ScoredLine]) -> None:
    ranked, dropped = rank(population)
    assert len(ranked) + dropped == len(population)
    assert len({scored.address for scored in ranked}) == len(ranked)
    assert {scored.address for scored in ranked} == {scored.address for scored in population}
    for scored in ranked:
        rivals = [other for other in population if other.address == scored.address]
        assert scored == min(rivals, key=lambda other: (-other.score, other.endpoint_id))


@settings(max_examples=60)
@given(population=populations(), seed=st.integers(0, 99))
def test_rank_is_by_score_then_id_whatever_the_order_given(population: list[ScoredLine], seed: int) -> None:
    ranked, _ = rank(population)
    assert [(-scored.score, scored.endpoint_id) for scored in ranked] == sorted(
        (-scored.score, scored.endpoint_id) for scored in ranked
    )
    order = np.random.default_rng(seed).permutation(len(population))
    assert rank([population[place] for place in order])[0] == ranked


@settings(max_examples=80)
@given(size=st.one_of(st.integers(1, 300), st.sampled_from([1000, 10_000])), percent=PERCENTS)
def test_cut_is_the_exact_share_rounded_up(size: int, percent: float) -> None:
    ranked = [line(0.5, str(number)) for number in range(size)]
    chosen = cut(ranked, percent)
    assert len(chosen) == math.ceil(size * Decimal(str(percent)) / 100)
    assert 1 <= len(chosen) <= size
    assert chosen == ranked[: len(chosen)]


def test_everybody_is_all_of_a_population_and_nobody_cut() -> None:
    ranked = [line(0.5, str(number)) for number in range(7)]
    assert cut(ranked, 100.0) == ranked
    assert cut([], 10.0) == []


@st.composite
def scored_files(draw: st.DrawFn) -> list[str]:
    """The scored CSVs of a run: unique ids, awkward values."""
    ids = iter(draw(st.lists(writable_values(), min_size=1, max_size=12, unique=True)))
    files = []
    values = writable_values()
    remaining = list(ids)
    while remaining:
        size = draw(st.integers(1, len(remaining)))
        chosen, remaining = remaining[:size], remaining[size:]
        columns = {
            "ChannelType": draw(st.lists(st.sampled_from(["EMAIL", "SMS"]), min_size=size, max_size=size)),
            "Address": draw(
                st.lists(st.one_of(st.sampled_from(["a@b.c", "x,y@b.c"]), values), min_size=size, max_size=size)
            ),
            "Id": chosen,
            "User.UserId": draw(st.lists(values, min_size=size, max_size=size)),
        }
        table = pa.table({name: pa.array(columns[name], pa.string()) for name in ENDPOINT_COLUMNS})
        found = draw(st.lists(scores(), min_size=size, max_size=size))
        files.append(write_scored_csv(table, np.array(found, np.float32), "buy"))
    return files


@settings(max_examples=30)
@given(files=scored_files(), percent=PERCENTS)
def test_published_lines_are_scored_lines_byte_for_byte_and_the_waterfall_sums_up(
    files: list[str], percent: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(files):
            (Path(folder) / f"shard-{number:05d}.parquet.out").write_bytes(text.encode())
        population = read_population(Path(folder), "buy")
        published = write_segment(Path(folder), Segment("few", "buy", percent), population)
        parts = [(Path(folder) / file.key).read_bytes() for file in published.files]
    scored = [line for text in files for line in text.encode().split(b"\n")[1:-1]]
    header, *lines = parts[0].split(b"\n")[:-1]
    assert header == files[0].encode().split(b"\n")[0]
    assert len(parts) == 1
    assert set(lines) <= set(scored)
    assert len(set(lines)) == len(lines) == published.endpoints == published.files[0].rows
    assert published.people <= published.endpoints
    assert [line[-8:] for line in lines] == sorted((line[-8:] for line in lines), reverse=True)
    (_, start), (_, repeated), (_, below) = published.waterfall
    assert start == len({next(csv.reader([line.decode()]))[3] for line in scored})
    assert start - repeated - below == published.people
    assert published.lowest_score == float(lines[-1][-8:])


def test_cut_takes_people_with_every_address_of_theirs() -> None:
    ranked = [
        ScoredLine(0.9, f"{customer}-{channel}", customer, (channel, customer), b"")
        for customer in ("a", "b", "c", "d")
        for channel in ("EMAIL", "SMS")
    ]
    chosen = cut(ranked, 50.0)
    assert {scored.customer for scored in chosen} == {"a", "b"}
    assert len(chosen) == 4
