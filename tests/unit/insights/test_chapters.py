"""What the report says of a run as a whole: is anything live, what to know first, where everyone went."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.errors import ContractError
from contracts.evaluation import ALL_SCORES
from contracts.run_manifest import RunManifest
from insights import chapters
from tests.report_runs import failed_run, rich_run, sparse_run

RICH = rich_run()


def lines_of(run: RunManifest) -> list[chapters.Line]:
    return chapters.weigh_up(chapters.view_goals(run), run.run)


def only_failed(run: RunManifest) -> RunManifest:
    """The same run with only the goals that failed."""
    return replace(run, evaluations=run.failed, manifests=())


@pytest.mark.parametrize(
    ("run", "headline"),
    [
        (RICH, "45,000 people are ready to contact. Nothing has been sent."),
        (rich_run(status="approved"), "45,000 people are ready, chosen by approved models. This run has sent nothing."),
        (failed_run(), "22,500 people are ready to contact. Nothing has been sent. 1 of 2 models was stopped."),
        (only_failed(failed_run()), "No segment was made: the model failed 2 checks."),
        (replace(RICH, manifests=()), "No segment was made. Nothing has been sent."),
    ],
    ids=["candidates", "approved", "one stopped", "all stopped", "nothing published"],
)
def test_headline_says_if_anything_is_live(run: RunManifest, headline: str) -> None:
    assert chapters.headline(chapters.view_goals(run)) == headline


def test_all_of_several_goals_stopped_is_counted() -> None:
    failed = failed_run().failed[0]
    run = replace(RICH, evaluations=(failed, replace(failed, goal="other")), manifests=())
    assert chapters.headline(chapters.view_goals(run)) == "No segment was made: 2 of 2 models failed their checks."


@pytest.mark.parametrize(
    "run", [RICH, failed_run(), sparse_run(), rich_run(6)], ids=["rich", "failed", "sparse", "six"]
)
def test_lines_are_at_most_five_gravest_first_and_say_that_a_score_is_no_effect(run: RunManifest) -> None:
    lines = lines_of(run)
    order = [chapters.STATE_ORDER[line.state] for line in lines]
    assert order == sorted(order)
    assert len(lines) <= 5
    assert any("not whom your message <b>persuades</b>" in line.text for line in lines)


def test_stopped_goal_is_the_first_line_with_its_check() -> None:
    first = lines_of(failed_run())[0]
    assert first.state == "stop"
    assert "Stops buying for 90 days" in first.text
    assert "Better than picking at random" in first.text


def test_many_stopped_goals_are_one_line_so_that_none_is_cut_off() -> None:
    failed = failed_run().failed[0]
    many = tuple(replace(failed, goal=f"g{n}", words=replace(failed.words, title=f"goal {n}")) for n in range(6))
    lines = lines_of(replace(RICH, evaluations=many, manifests=()))
    assert all(f"goal {number}" in lines[0].text for number in range(6))


def test_segment_without_holdout_is_named_and_with_one_too_small_too() -> None:
    published = RICH.manifests[0]
    for changes, words in (
        ({"holdout": 0}, "In <bdi>likely_<wbr>to_<wbr>buy</bdi> nobody is held back"),
        ({"holdout": 3}, "The holdout of <bdi>likely_<wbr>to_<wbr>buy</bdi> is too small"),
    ):
        segment = replace(published.segments[0], **changes)  # type: ignore[arg-type]
        run = replace(RICH, manifests=(replace(published, segments=(segment,)), RICH.manifests[1]))
        assert any(words in line.text for line in lines_of(run))


def test_undated_partner_columns_are_said() -> None:
    run = replace(RICH, run=replace(RICH.run, partner_columns_are_static=True))
    assert any("carry no date" in line.text for line in lines_of(run))
    assert not any("carry no date" in line.text for line in lines_of(RICH))


def test_shift_of_a_feature_is_listed_once_and_that_of_the_scores_for_each_goal_worst_first() -> None:
    rows = chapters.shift_rows(chapters.view_goals(RICH))
    assert [row.shift.name for row in rows].count("points_balance") == 1
    assert [row.goals for row in rows if row.shift.name == ALL_SCORES] == [
        ("Stops buying for 90 days",),
        ("Buys again within 30 days",),
    ]
    assert [row.shift.psi for row in rows if row.shift.state == "watch"] == [0.14, 0.12, 0.11]


def test_checks_are_listed_stops_first_then_those_to_watch() -> None:
    stopped = chapters.view_goals(failed_run())[1]
    states = [chapters.state_of_check(check) for check in stopped.checks]
    assert states == ["stop", "stop", "watch", "ok", "ok", "ok", "ok"]
    assert [check.name for check in stopped.failed_checks] == ["auc", "total"]


def test_checks_are_counted_in_the_lines_with_those_to_watch() -> None:
    assert lines_of(RICH)[-1].text == "10 of 11 checks passed, 1 to watch."
    assert lines_of(rich_run(1))[-1].text == "5 of 5 checks passed, and the waterfall adds up to the last person."


def test_waterfall_goes_down_to_the_file() -> None:
    steps = chapters.waterfall_steps(RICH.manifests[0].segments[0])
    assert steps[0] == chapters.Step("customers in the snapshot", 0, 412_680)
    assert steps[-1].left == RICH.manifests[0].segments[0].people
    assert steps[0].left - sum(step.dropped for step in steps) == steps[-1].left


@pytest.mark.parametrize("waterfall", [(), (("all", 100),), (("all", 22_501), ("below the cut", 2))], ids=repr)
def test_waterfall_that_does_not_sum_up_stops_the_report(waterfall: tuple[tuple[str, int], ...]) -> None:
    published = RICH.manifests[0]
    segment = replace(published.segments[0], waterfall=waterfall)
    run = replace(RICH, manifests=(replace(published, segments=(segment,)),))
    with pytest.raises(ContractError, match="the waterfall of likely_to_buy does not sum up"):
        chapters.view_goals(run)


def test_segments_of_a_goal_that_was_not_evaluated_stop_the_report() -> None:
    with pytest.raises(ContractError, match="segments were published for lapse, of which there is no evaluation"):
        chapters.view_goals(replace(RICH, evaluations=RICH.evaluations[:1]))


def test_rule_is_said_in_words() -> None:
    view = chapters.view_goals(RICH)[0].segments[0]
    assert chapters.rule_in_words(view) == "The 10% most likely to <bdi>buy</bdi>, at most 25,000 people."
    everyone = replace(view, published=replace(view.published, top_percent=100.0, minimum_score=0.25, max_size=0))
    assert chapters.rule_in_words(everyone) == "Everyone who was scored, with a chance of at least 25%."
    exact = replace(everyone, published=replace(everyone.published, minimum_score=0.999))
    assert chapters.rule_in_words(exact) == "Everyone who was scored, with a chance of at least 99.9%."


def test_trait_that_sets_apart_most_is_one_that_enough_people_have() -> None:
    traits = (RICH.evaluations[0].traits or {})["likely_to_buy"]
    rare = replace(traits[0], text="rare", people=9, in_segment=1.0, in_everyone=0.0)
    found = chapters.most_apart((rare, *traits), 10)
    assert found == traits[0]
    assert chapters.most_apart((rare,), 10) is None
