"""Laws of who is chosen: an exact share, best first, ties by id, one row per address, and not a byte changed."""

from __future__ import annotations

import csv
import hashlib
import itertools
import math
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activation import segment_files
from activation.population import Population, read_population
from activation.segment_files import write_segment
from activation.selection import Selection, expected_reach, select, share
from contracts.run_settings import Segment
from tests.scored_runs import Row, evaluation_of, facts_of, population_of, write_csv
from tests.strategies import scores, writable_values

PERCENTS = st.one_of(
    st.sampled_from([100.0, 10.0, 0.07, 1.1, 5.1, 33.3, 0.01]),
    st.decimals(Decimal("0.01"), 100, places=2).map(float),
)
SEED = 7


@st.composite
def runs(draw: st.DrawFn) -> list[Row]:
    """Endpoints with many equal scores, many shared addresses and several addresses per customer."""
    ids = draw(st.lists(st.integers(0, 999), min_size=1, max_size=30, unique=True))
    channels, addresses = st.sampled_from(["EMAIL", "SMS"]), st.sampled_from([*"abcdefgh", *"ABCD", " a", "E "])
    customers, some = st.sampled_from([f"k{n}" for n in range(12)]), st.sampled_from([0.0, 0.1, 0.5, 1.0])
    return [(draw(channels), draw(addresses), f"id{number:03d}", draw(customers), draw(some)) for number in ids]


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    """Segments with every part of a rule."""
    return Segment(
        "few",
        "buy",
        draw(PERCENTS),
        channel=draw(st.sampled_from(["", "EMAIL", "SMS"])),
        minimum_score=draw(st.sampled_from([0.0, 0.1, 0.100001, 0.5, 1.0])),
        max_size=draw(st.sampled_from([0, 1, 3, 100])),
        holdout_percent=draw(st.sampled_from([0.0, 0.01, 10.0, 50.0, 99.9])),
    )


def mailbox(row: Row) -> tuple[str, str]:
    """Where a row's messages arrive: case and blanks around an address make no difference."""
    return row[0], row[1].strip().lower()


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Best first, equal scores by id."""
    return sorted(rows, key=lambda row: (-row[4], row[2]))


def choose_plainly(rows: list[Row], segment: Segment) -> tuple[list[Row], list[str], list[int]]:
    """What the rules say, in plain Python: lines of the file, customers held back, how many people each step leaves."""
    scored = in_order(row for row in rows if segment.channel in ("", row[0]))
    first: dict[tuple[str, str], Row] = {}
    for row in scored:
        first.setdefault(mailbox(row), row)
    ranked = list(first.values())
    best: dict[str, float] = {}
    for row in ranked:
        best.setdefault(row[3], row[4])
    people = list(best)
    above = people[: math.ceil(len(people) * Fraction(str(segment.top_percent)) / 100)]
    sure = [customer for customer in above if best[customer] >= segment.minimum_score]
    chosen = sure[: segment.max_size or None]
    losers = {row[3] for row in scored if first[mailbox(row)][3] != row[3]}
    by_hash = sorted(
        set(chosen) - losers, key=lambda key: hashlib.sha256(f"{SEED}|{segment.name}|{key}".encode()).hexdigest()
    )
    wanted = math.ceil(len(chosen) * Fraction(str(segment.holdout_percent)) / 100)
    held = set(by_hash[: min(wanted, max(0, len(chosen) - 1))])
    in_file = [customer for customer in chosen if customer not in held]
    left = [len({row[3] for row in scored}), *map(len, (people, above, sure, chosen, in_file))]
    return [row for row in ranked if row[3] in in_file], sorted(held), left


def chosen_of(population: Population, selection: Selection) -> list[list[str]]:
    """Values of a selection's lines."""
    return list(csv.reader(line.decode() for line in population.lines(selection.endpoints)))


@settings(max_examples=200)
@given(rows=runs(), segment=segments())
def test_chosen_are_those_that_a_plain_reading_of_the_rule_chooses(rows: list[Row], segment: Segment) -> None:
    with tempfile.TemporaryDirectory() as folder:
        population = population_of(Path(folder), rows)
        if segment.channel not in ("", *population.channels):
            return
        selection = select(population, segment, facts_of(rows, dropped=3), SEED)
        lines, held, left = choose_plainly(rows, segment)
        assert chosen_of(population, selection) == [[*row[:4], f"{row[4]:.6f}"] for row in lines]
        assert sorted(population.customer_keys(selection.held_back)) == held
    counts = [count for _, count in selection.waterfall]
    assert counts[2:] == [before - after for before, after in itertools.pairwise(left)]
    assert counts[0] - sum(counts[1:]) == len(selection.people) == len({row[3] for row in lines})


@settings(max_examples=60)
@given(rows=runs(), segment=segments(), seed=st.integers(0, 99))
def test_choice_is_the_same_whatever_order_and_files_the_lines_come_in(
    rows: list[Row], segment: Segment, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(rows))
    found = []
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder, "a"), rows)
        for number, place in enumerate(order):
            write_csv(Path(folder, "b"), [rows[place]], number)
        for name in ("a", "b"):
            population = read_population(Path(folder, name), "buy")
            if segment.channel not in ("", *population.channels):
                return
            found.append(chosen_of(population, select(population, segment, facts_of(rows), SEED)))
    assert found[0] == found[1]


@given(count=st.one_of(st.integers(0, 300), st.sampled_from([1000, 10_000, 10**7])), percent=PERCENTS)
def test_share_is_exact_and_rounded_up(count: int, percent: float) -> None:
    assert share(count, percent) == math.ceil(count * Decimal(str(percent)) / 100)
    assert min(count, 1) <= share(count, percent) <= count


@settings(max_examples=60)
@given(rows=runs(), percent=PERCENTS, later=st.floats(0, 1, width=16))
def test_people_held_back_once_are_held_back_in_the_next_run_as_far_as_all_are_chosen(
    rows: list[Row], percent: float, later: float
) -> None:
    segment = Segment("few", "buy", 100.0, holdout_percent=percent if percent < 100 else 50.0)
    held = []
    for scored in (rows, [(*row[:4], later) for row in rows]):
        with tempfile.TemporaryDirectory() as folder:
            population = population_of(Path(folder), scored)
            first = {mailbox(row): row for row in reversed(in_order(scored))}
            if any(first[mailbox(row)][3] != row[3] for row in scored):
                return  # somebody lost an address to another, so others are chosen or held back
            selection = select(population, segment, facts_of(scored), SEED)
            held.append(set(population.customer_keys(selection.held_back)))
            assert held[-1].isdisjoint(values[3] for values in chosen_of(population, selection))
    assert held[0] == held[1]


@settings(max_examples=200)
@given(rows=runs(), segment=segments())
def test_nobody_held_back_is_written_to_under_another_key_or_spelling(rows: list[Row], segment: Segment) -> None:
    with tempfile.TemporaryDirectory() as folder:
        population = population_of(Path(folder), rows)
        if segment.channel not in ("", *population.channels):
            return
        selection = select(population, replace(segment, holdout_percent=50.0), facts_of(rows), SEED)
        held = set(population.customer_keys(selection.held_back))
        in_file = {mailbox((values[0], values[1], "", "", 0.0)) for values in chosen_of(population, selection)}
    on_channel = [row for row in rows if segment.channel in ("", row[0])]
    assert in_file.isdisjoint(mailbox(row) for row in on_channel if row[3] in held)


@st.composite
def scored_files(draw: st.DrawFn) -> list[list[Row]]:
    """The rows of a run's scored CSVs: unique ids, awkward values."""
    ids = draw(st.lists(writable_values(), min_size=1, max_size=12, unique=True))
    addresses = st.one_of(st.sampled_from(["a@b.c", "x,y@b.c"]), writable_values())
    channels = st.sampled_from(["EMAIL", "SMS"])
    rows = [(draw(channels), draw(addresses), id_, draw(writable_values()), draw(scores())) for id_ in ids]
    cut = draw(st.integers(0, len(rows)))
    return [rows[:cut], rows[cut:]]


@settings(max_examples=40)
@given(files=scored_files(), percent=PERCENTS)
def test_published_lines_are_scored_lines_byte_for_byte_and_the_waterfall_sums_up(
    files: list[list[Row]], percent: float
) -> None:
    rows = [row for file in files for row in file]
    segment = Segment("few", "buy", percent, holdout_percent=20.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, file in enumerate(files):
            write_csv(folder / "scored", file, number)
        scored = [path.read_bytes() for path in sorted((folder / "scored").iterdir())]
        population = read_population(folder / "scored", "buy")
        published = write_segment(folder, segment, population, facts_of(rows, 2), evaluation_of(), SEED)
        parts = [(folder / file.key).read_bytes() for file in published.files]
        assert published.holdout_file
        with (folder / published.holdout_file.key).open(newline="", encoding="utf-8") as handle:
            (title,), *held = csv.reader(handle)
    lines = [line for part in parts for line in part.split(b"\n")[1:-1]]
    assert all(part.startswith(scored[0].split(b"\n")[0] + b"\n") for part in parts)
    assert set(lines) <= {line for text in scored for line in text.split(b"\n")[1:-1]}
    assert len(set(lines)) == len(lines) == published.endpoints == sum(file.rows for file in published.files)
    assert [line[-8:] for line in lines] == sorted((line[-8:] for line in lines), reverse=True)
    people = {next(csv.reader([line.decode()]))[3] for line in lines}
    counts = [count for _, count in published.waterfall]
    assert counts[0] - sum(counts[1:]) == published.people == len(people)
    assert title == "User.UserId"
    assert [key for (key,) in held] == sorted(key for (key,) in held)
    assert published.holdout == published.holdout_file.rows == len(held)
    assert people.isdisjoint(key for (key,) in held)
    if lines:
        assert published.lowest_score == float(lines[-1][-8:])
    else:
        assert (published.files, published.lowest_score, published.expected) == ((), 0.0, 0.0)


@settings(max_examples=20)
@given(rows=runs(), limit=st.integers(100, 400))
def test_parts_keep_their_limit_and_lose_no_line(rows: list[Row], limit: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment_files, "MAX_FILE_BYTES", limit)
        folder = Path(name)
        population = population_of(folder / "scored", rows)
        everybody = np.arange(len(rows))
        files = segment_files.write_parts(folder, "all", "buy", population, everybody)
        parts = [(folder / file.key).read_bytes() for file in files]
        assert max(map(len, parts)) <= limit
        found = b"".join(part.partition(b"\n")[2] for part in parts)
        assert found == b"".join(population.lines(everybody))


@settings(max_examples=40)
@given(rows=runs())
def test_reach_counts_each_scored_person_once_and_only_grows(rows: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reach = expected_reach(population_of(Path(folder), rows), evaluation_of())
    best: dict[str, float] = {}
    for row in in_order(rows):
        best.setdefault(row[3], row[4])
    assert [row.percent for row in reach] == list(range(1, 101))
    assert reach[-1].people == len(best)
    assert reach[-1].expected == pytest.approx(sum(best.values()), abs=0.05)
    assert reach[-1].lowest_score == pytest.approx(min(best.values()), abs=1e-6)
    for row, following in itertools.pairwise(reach):
        assert (row.people, row.expected) <= (following.people, following.expected)
        assert row.lowest_score >= following.lowest_score
        assert 0 <= row.low <= row.expected <= row.high <= row.people
