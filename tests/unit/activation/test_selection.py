"""Segments before they are published: what is read of the scored CSVs, who is chosen, and what the numbers mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from activation import segment_files
from activation.population import Population, folded, read_population
from activation.selection import expect, positives_within, select
from contracts.errors import ContractError
from contracts.run_facts import RunFacts
from contracts.run_settings import Segment
from contracts.segment_manifest import PublishedSegment
from tests.scored_runs import HEADER, SCORED, Row, evaluation_of, facts_of, population_of, scored_texts, write_run

# -- reading scored CSVs


def read(tmp_path: Path, *texts: str) -> Population:
    """Read scored CSVs as the step does."""
    return read_population(write_run(tmp_path, list(texts)) / "processing" / "input" / "scored", "buy")


def test_every_line_of_every_file_is_read_once(tmp_path: Path) -> None:
    texts = scored_texts(100)
    population = read(tmp_path, *texts)
    everybody = np.arange(100)
    found = sorted(population.lines(everybody))
    assert found == sorted(line for text in texts for line in text.removeprefix(HEADER).encode().splitlines(True))
    assert population.score(everybody).tolist() == [float(line[-9:]) for line in population.lines(everybody)]


def test_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shard-00000.parquet").write_bytes(b"not scored")
    with pytest.raises(ContractError, match="there is no scored CSV") as caught:
        read_population(tmp_path, "buy")
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize("is_same_file", [True, False], ids=["in one file", "in two files"])
def test_id_that_comes_twice_is_refused_by_name(tmp_path: Path, is_same_file: bool) -> None:
    line = "EMAIL,{0}@example.com,id-1,k{0},0.500000\n"
    first, second = line.format(1), line.format(2)
    texts = [HEADER + first + second] if is_same_file else [HEADER + first, HEADER + second]
    with pytest.raises(ContractError, match="endpoint id-1 comes twice") as caught:
        read(tmp_path, *texts)
    assert caught.value.where == f"shard-{len(texts) - 1:05d}.parquet.out"


@pytest.mark.parametrize(
    "score", ["1.000001", "-0.500000", "nan", "inf", "", "0.5", "half", "1e-3", "0_0.00000", " 0.500000"]
)
def test_score_that_is_not_one_is_refused_by_endpoint(tmp_path: Path, score: str) -> None:
    with pytest.raises(ContractError, match=f"endpoint id-1 has the score {score}"):
        read(tmp_path, f"{HEADER}EMAIL,a@example.com,id-1,k1,{score}\n")


def test_header_in_the_middle_of_a_file_is_refused(tmp_path: Path) -> None:
    first, second, _ = scored_texts()
    with pytest.raises(ContractError, match=r"endpoint Id has the score Metrics.buy_score"):
        read(tmp_path, first + second)


def test_scores_of_another_goal_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="the header is not that of a scored CSV"):
        read(tmp_path, HEADER.replace("buy", "leave"))


# -- writing segments


def write(folder: Path, segment: Segment, population: Population, facts: RunFacts = SCORED) -> PublishedSegment:
    """Write one segment as the step does."""
    return segment_files.write_segment(folder, segment, population, facts, evaluation_of(), seed=7)


@pytest.mark.parametrize("part_bytes", [400, 1000, 100_000])
def test_parts_keep_their_limit_and_each_has_the_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    population = read(tmp_path / "in", *scored_texts(100))
    monkeypatch.setattr(segment_files, "MAX_FILE_BYTES", part_bytes)
    segment = write(tmp_path, Segment("all", "buy", 100.0), population)
    parts = [(tmp_path / file.key).read_text() for file in segment.files]
    assert [file.key for file in segment.files] == [f"segments/all/part-{n:04d}.csv" for n in range(len(parts))]
    assert max(len(part.encode()) for part in parts) <= part_bytes
    assert all(part.startswith(HEADER) and part.count(HEADER) == 1 for part in parts)
    assert (len(parts) == 1) == (part_bytes == 100_000)
    lines = [line for part in parts for line in part.removeprefix(HEADER).splitlines(keepends=True)]
    assert [line.encode() for line in lines] == list(population.lines(np.arange(100)))
    assert [file.rows for file in segment.files] == [part.count("\n") - 1 for part in parts]
    for file, following in zip(segment.files, parts[1:], strict=False):
        assert file.bytes + len(following.splitlines(keepends=True)[1].encode()) > part_bytes


def test_numbers_of_a_segment_are_those_of_its_lines(tmp_path: Path) -> None:
    segment = write(tmp_path, Segment("likely", "buy", 10.0), read(tmp_path / "in", *scored_texts(100)))
    lines = (tmp_path / segment.files[0].key).read_text().splitlines()[1:]
    scores = [float(line.rsplit(",", 1)[1]) for line in lines]
    assert (segment.people, segment.lowest_score) == (10, min(scores))
    assert segment.expected == round(sum(scores), 1)
    assert segment.waterfall == (
        ("all customers", 130),
        ("no consent", 20),
        ("no address", 10),
        ("address used by another customer", 0),
        ("below the cut", 90),
        ("under the minimum score", 0),
        ("over the size cap", 0),
        ("held back", 0),
    )


def test_interval_is_that_of_the_formula() -> None:
    # 100 people of p = 0.2: sum p(1-p) = 16, (20^2) / 50 = 8, so half of it is 1.96 x sqrt(24) = 9.602
    assert expect(20.0, 16.0, people=100, positives=50) == (20.0, 10.4, 29.6)
    assert expect(1.0, 0.5, people=2, positives=1) == (1.0, 0.0, 2.0)
    assert expect(0.0, 0.0, people=0, positives=1) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("percent", "positives"), [(0.07, 2), (1.0, 2), (1.1, 4), (10.0, 20), (99.5, 200), (100.0, 200)]
)
def test_test_positives_are_those_of_the_next_whole_percentage(percent: float, positives: int) -> None:
    assert positives_within(evaluation_of(), percent) == positives


def test_reach_without_positives_in_the_test_counts_as_one() -> None:
    reach = tuple(replace(point, positives=0) for point in evaluation_of().reach)
    assert positives_within(replace(evaluation_of(), reach=reach), 10.0) == 1


def test_evaluation_that_does_not_reach_the_cut_is_refused() -> None:
    short = replace(evaluation_of(), reach=evaluation_of().reach[:9])
    assert positives_within(short, 9.0) == 18
    with pytest.raises(ContractError, match=r"does not say how many the best 9\.5 percent reach"):
        positives_within(short, 9.5)


def pair(customer: str, score: float) -> list[Row]:
    """One customer on two channels."""
    return [(channel, f"{customer}@x", f"{channel}-{customer}", customer, score) for channel in ("EMAIL", "SMS")]


def test_cut_takes_people_with_every_address_of_theirs(tmp_path: Path) -> None:
    rows = [row for customer in "abcd" for row in pair(customer, 0.9)]
    population = population_of(tmp_path / "scored", rows)
    segment = write(tmp_path, Segment("half", "buy", 50.0), population, facts_of(rows))
    assert (segment.people, segment.endpoints) == (2, 4)


@pytest.mark.parametrize("other", ["B@X.COM", " b@x.com", "b@x.com "], ids=["case", "blank before", "blank after"])
def test_spellings_of_one_address_are_one_mailbox_and_the_best_line_stays_as_written(
    tmp_path: Path, other: str
) -> None:
    rows: list[Row] = [("CUSTOM", other, "i1", "k1", 0.9), ("CUSTOM", "b@x.com", "i2", "k2", 0.8)]
    population = population_of(tmp_path / "scored", rows)
    segment = write(tmp_path, Segment("all", "buy", 100.0), population, facts_of(rows))
    assert (tmp_path / segment.files[0].key).read_text() == HEADER + f"CUSTOM,{other},i1,k1,0.900000\n"
    assert dict(segment.waterfall)["address used by another customer"] == 1


@pytest.mark.parametrize("address", ["Ä@X.COM", "ΟΔΟΣ", "İ@x.com", "\u00a0a\u2003", "ß", "a\u3000"])
def test_mailboxes_are_told_apart_as_refusals_tell_them(address: str) -> None:
    ours = folded(pa.chunked_array([[address]]))[0].as_py()
    assert duckdb.execute("SELECT lower(trim(?))", [address]).fetchone() == (ours,)


def test_segment_of_a_channel_counts_and_holds_that_channel_only(tmp_path: Path) -> None:
    rows = [*pair("a", 0.9), ("SMS", "b@x", "SMS-b", "b", 0.8), ("EMAIL", "c@x", "EMAIL-c", "c", 0.7)]
    population = population_of(tmp_path / "scored", rows)
    segment = write(tmp_path, Segment("mails", "buy", 50.0, channel="EMAIL"), population, facts_of(rows, dropped=5))
    text = (tmp_path / segment.files[0].key).read_text()
    assert text == HEADER + "EMAIL,a@x,EMAIL-a,a,0.900000\n"
    assert dict(segment.waterfall) == {
        "all customers": 8,
        "no consent": 6,
        "address used by another customer": 0,
        "below the cut": 1,
        "under the minimum score": 0,
        "over the size cap": 0,
        "held back": 0,
    }


def test_minimum_score_is_at_least_and_the_cap_takes_the_best(tmp_path: Path) -> None:
    rows: list[Row] = [("EMAIL", f"{n}@x", f"i{n}", f"k{n}", n / 10) for n in range(1, 10)]
    population = population_of(tmp_path / "scored", rows)
    least = write(tmp_path, Segment("sure", "buy", 100.0, minimum_score=0.7), population, facts_of(rows))
    assert (least.people, least.lowest_score) == (3, 0.7)
    capped = write(tmp_path, Segment("few", "buy", 100.0, max_size=2), population, facts_of(rows))
    assert (capped.people, capped.lowest_score) == (2, 0.8)
    assert dict(capped.waterfall)["over the size cap"] == 7


def test_nobody_above_the_minimum_leaves_a_segment_without_files(tmp_path: Path) -> None:
    rows = pair("a", 0.4)
    population = population_of(tmp_path / "scored", rows)
    segment = write(tmp_path, Segment("sure", "buy", 100.0, minimum_score=0.5), population, facts_of(rows))
    assert (segment.people, segment.endpoints, segment.files) == (0, 0, ())
    assert (segment.expected, segment.expected_low, segment.expected_high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("size", [7, 690, 700])
@pytest.mark.parametrize("holdout", [0.0, 20.0])
def test_range_of_the_same_people_is_the_same_whichever_rule_chose_them(
    tmp_path: Path, size: int, holdout: float
) -> None:
    texts = scored_texts(size)
    facts = replace(SCORED, customers=size, drops={}, scored={"": size, "EMAIL": size})
    population = read(tmp_path / "in", *texts)
    cut = write(tmp_path, Segment("same", "buy", 5.0, holdout_percent=holdout), population, facts)
    last = int(population.millionths[cut.people + cut.holdout - 1]) / 10**6
    capped = Segment("same", "buy", 100.0, "", 0.0, cut.people + cut.holdout, holdout)
    for segment in (capped, Segment("same", "buy", 60.0, "", last, 0, holdout)):
        found = write(tmp_path, segment, population, facts)
        assert (found.people, found.expected) == (cut.people, cut.expected)
        assert (found.expected_low, found.expected_high) == (cut.expected_low, cut.expected_high)


def test_range_of_a_cut_is_judged_by_the_positives_of_that_reach_in_the_test(tmp_path: Path) -> None:
    population = read(tmp_path / "in", *scored_texts(100))
    segment = write(tmp_path, Segment("few", "buy", 100.0, max_size=10), population)
    scores = np.linspace(0, 1, 100)[-10:]
    expected = expect(scores.sum(), (scores * (1 - scores)).sum(), people=10, positives=20)
    assert (segment.expected, segment.expected_low, segment.expected_high) == expected


def test_channel_on_which_nobody_was_scored_is_refused_by_name(tmp_path: Path) -> None:
    rows = pair("a", 0.4)
    population = population_of(tmp_path, rows)
    with pytest.raises(ContractError, match="nobody to choose from on channel VOICE") as caught:
        select(population, Segment("calls", "buy", 10.0, channel="VOICE"), facts_of(rows), 7)
    assert "EMAIL, SMS" in caught.value.why


@pytest.mark.parametrize(
    "change",
    [{"scored": {"": 3}}, {"customers": 4}, {"drops": {"": (("no consent", 1),)}}, {"scored": {}}],
    ids=["another number scored", "a customer too many", "a drop too many", "none scored"],
)
def test_facts_that_do_not_lead_to_the_scored_people_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    rows = [*pair("a", 0.4), *pair("b", 0.3)]
    population = population_of(tmp_path, rows)
    with pytest.raises(ContractError, match="2 people were scored"):
        select(population, Segment("all", "buy", 100.0), replace(facts_of(rows), **change), 7)


@pytest.mark.parametrize(("size", "percent", "held"), [(1, 1.0, 0), (2, 1.0, 1), (2, 99.9, 1), (10, 99.9, 9)])
def test_holdout_is_rounded_up_but_never_everybody(tmp_path: Path, size: int, percent: float, held: int) -> None:
    segment = Segment("few", "buy", 100.0, max_size=size, holdout_percent=percent)
    chosen = select(read(tmp_path, *scored_texts(100)), segment, SCORED, 7)
    assert (len(chosen.held_back), len(chosen.people)) == (held, size - held)


def test_another_seed_or_segment_holds_others_back(tmp_path: Path) -> None:
    population = read(tmp_path, *scored_texts(100))
    found = [
        set(
            population.customer_keys(
                select(population, Segment(name, "buy", 100.0, "", 0.0, 0, 30.0), SCORED, seed).held_back
            )
        )
        for name, seed in (("one", 7), ("two", 7), ("one", 8))
    ]
    assert [len(held) for held in found] == [30] * 3
    assert found[0] != found[1]
    assert found[0] != found[2]
