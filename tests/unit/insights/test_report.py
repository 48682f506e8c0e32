"""The report as a file: the same bytes for the same run, sealed, escaped, and no chapter that has nothing to say."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from contracts.run_manifest import RunManifest, read_run_manifest, write_run_manifest
from contracts.run_settings import Words
from insights.report import render_report
from tests.report_runs import RUNS, failed_run, rich_run, sparse_run

PAGES = {name: render_report(make()) for name, make in RUNS.items()}
VOID = {"meta", "input", "br", "wbr", "circle", "line", "path", "rect", "polyline", "polygon"}
HOSTILE = "</script><script>alert(1)</script><img src=http://x onerror=alert(1)> \"'& {{ 7*7 }} \u202eשלום " + "n" * 120


class Page(HTMLParser):
    """Elements, links and texts of a page; an element that is closed in the wrong place is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data.strip())

    def attributes(self, *names: str) -> Iterator[str]:
        """Values of an attribute, over all elements."""
        for _, attributes in self.elements:
            yield from (attributes[name] for name in names if name in attributes)


@pytest.fixture(params=PAGES, ids=str)
def page(request: pytest.FixtureRequest) -> Page:
    return Page(PAGES[request.param])


def make_hostile() -> RunManifest:
    """A rich run in which every text that a user or a partner chooses is hostile."""
    rich = rich_run()
    evaluations = []
    for evaluation in rich.evaluations:
        assert evaluation.quality
        evaluations.append(
            replace(
                evaluation,
                words=Words(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, evaluation.words.better),
                checks=tuple(replace(check, title=HOSTILE, text=HOSTILE) for check in evaluation.checks),
                quality=replace(
                    evaluation.quality, reasons=tuple(replace(r, text=HOSTILE) for r in evaluation.quality.reasons)
                ),
                traits={
                    HOSTILE: tuple(replace(t, text=HOSTILE) for t in next(iter((evaluation.traits or {}).values())))
                },
                model={**evaluation.model, "left_out": [HOSTILE]},
                strengths=tuple(replace(row, feature=HOSTILE) for row in evaluation.strengths),
                shifts=tuple(replace(row, name=f"{HOSTILE}{row.name}", cause=HOSTILE) for row in evaluation.shifts),
            )
        )
    manifests = []
    for manifest in rich.manifests:
        segment = manifest.segments[0]
        waterfall = tuple((f"{HOSTILE}{reason}", count) for reason, count in segment.waterfall)
        files = tuple(replace(file, key=HOSTILE) for file in segment.files)
        spoiled = replace(segment, name=HOSTILE, waterfall=waterfall, files=files, channel=HOSTILE)
        manifests.append(replace(manifest, segments=(spoiled,), model=HOSTILE))
    facts = replace(rich.run.facts, own_columns=(HOSTILE,), partner_columns=(HOSTILE,))
    run = replace(
        rich.run,
        brand=HOSTILE,
        partner=HOSTILE,
        notice=HOSTILE,
        execution_id=HOSTILE,
        money=replace(rich.run.money, currency=HOSTILE),
        facts=facts,
    )
    return RunManifest(run, tuple(evaluations), tuple(manifests))


@pytest.mark.parametrize("name", RUNS)
def test_same_run_gives_the_same_bytes_also_after_its_files_are_read_back(name: str, tmp_path: Path) -> None:
    write_run_manifest(RUNS[name](), tmp_path)
    assert render_report(read_run_manifest(tmp_path)).encode() == PAGES[name].encode()


def test_policy_forbids_everything_but_the_one_script(page: Page) -> None:
    policy = next(a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    scripts = [a for tag, a in page.elements if tag == "script"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert [a for a in scripts if a.get("type") != "application/json"] == [{}]


def test_policy_names_the_hash_of_the_script() -> None:
    script = PAGES["rich"].rsplit("<script>", 1)[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in unescape(PAGES["rich"])


def test_page_loads_nothing_and_links_into_itself(page: Page) -> None:
    ids = list(page.attributes("id"))
    assert len(ids) == len(set(ids))
    links = list(page.attributes("href", "src", "xlink:href", "action"))
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    for reference in page.attributes("aria-labelledby", "for"):
        assert set(reference.split()) <= set(ids)


def test_every_drawing_has_a_name_and_every_table_a_caption_and_scoped_heads(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes.get("aria-label") or attributes["aria-labelledby"]
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        assert not any(name.startswith("on") for name in attributes)
    assert tags.count("table") == tags.count("caption")
    assert tags.count("h1") == 1
    assert tags.count("h2") == tags.count("section")


@pytest.mark.parametrize("name", RUNS)
def test_headings_skip_no_level(name: str) -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])", PAGES[name])]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_four_goals_fit_into_400_kib() -> None:
    assert len(render_report(rich_run(4)).encode()) <= 400 * 1024


def test_hostile_names_stay_text_everywhere() -> None:
    html = render_report(make_hostile())
    page = Page(html)
    assert [tag for tag, _ in page.elements if tag == "img"] == []
    assert html.count("<script") == html.count('<script type="application/json">') + 1
    assert "49" not in "".join(re.findall(r"\{\{.*?\}\}", html))
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    ids = list(page.attributes("id"))
    assert len(ids) == len(set(ids))


def test_ribbon_shows_the_notice_whenever_there_is_one() -> None:
    assert '<div class="ribbon">' in PAGES["rich"]
    assert rich_run().run.notice in PAGES["rich"]
    assert '<div class="ribbon">' not in PAGES["sparse"]


@pytest.mark.parametrize(
    "words",
    [
        "How many people",
        "Who is in it",
        "What moves the score",
        "Does the data from",
        "Can you plan",
        "How good is it",
        "Is the model still about these people",
        "Harbour Points",
        "to contact,",
        "the partner",
    ],
)
def test_what_a_run_does_not_have_is_absent_and_no_stub(words: str) -> None:
    assert words in PAGES["rich"]
    assert words not in PAGES["sparse"]


def test_undated_customers_are_said_to_be_undated() -> None:
    assert "not dated: the table of customers has no date" in PAGES["sparse"]
    assert "undated" not in PAGES["sparse"].replace("not dated", "")
    assert "not dated" not in PAGES["rich"]


def test_stopped_goal_says_its_check_has_no_quality_word_and_shows_the_test_as_the_test() -> None:
    html = PAGES["failed"]
    chapter = html[html.index('id="goal-2"') : html.index('id="people"')]
    assert "Stopped by “<bdi>Better than picking at random</bdi>”" in chapter
    assert "0.581, at least 0.600 is needed. <bdi>Too little is known of who will leave.</bdi>" in chapter
    assert "How good is it" not in chapter
    assert "How many would it have reached in the test?" in chapter
    assert 'type="range"' not in chapter
    checks = html[html.index('id="checks"') : html.index('id="method"')]
    assert checks.index("Checks of Stops buying") < checks.index("Checks of Buys again")
    assert checks.index("stopped") < checks.index("passed")


def test_published_goal_whose_expectation_was_not_counted_does_not_say_that_nobody_was_scored() -> None:
    rich = rich_run(1)
    html = render_report(replace(rich, manifests=(replace(rich.manifests[0], reach=()),)))
    assert "This run did not count what to expect of today’s people." in html
    assert "Nobody was scored" not in html


def test_too_small_holdout_says_how_many_people_would_do() -> None:
    rich = rich_run(1)
    segment = replace(
        rich.manifests[0].segments[0], people=4_000, expected=200.0, holdout=20, waterfall=(("scored", 4_000),)
    )
    html = render_report(replace(rich, manifests=(replace(rich.manifests[0], segments=(segment,)),)))
    assert "This holdout is too small to show any realistic effect" in html
    assert "people would show 2.5 points." in html


def test_empty_segment_says_that_nobody_is_in_it_and_which_step_took_the_last_away() -> None:
    rich = rich_run(1)
    waterfall = (("scored", 400), ("below the cut", 388), ("under the minimum score", 12), ("over the size cap", 0))
    segment = replace(
        rich.manifests[0].segments[0],
        people=0,
        endpoints=0,
        expected=0.0,
        expected_low=0.0,
        expected_high=0.0,
        lowest_score=0.0,
        holdout=0,
        waterfall=waterfall,
        files=(),
    )
    html = render_report(replace(rich, manifests=(replace(rich.manifests[0], segments=(segment,)),)))
    summary = html[html.index('id="summary"') : html.index('id="segments"')]
    assert "<b>Nobody is in this segment.</b> The last 12 people went at the step “<bdi>under the minimum" in summary
    assert "Of every" not in summary
    assert "Each picture is one hundred people" not in summary
    assert "Each picture is one hundred people" in PAGES["rich"]
    assert "<svg" not in summary
    segments = html[html.index('id="segments"') : html.index('id="goal-1"')]
    assert "Nobody is in it, so there is no file.</b> The last 12 people went at the step" in segments
    assert "holdout_percent" not in segments
    Page(html)


def test_holdout_for_which_there_are_too_few_people_does_not_ask_for_a_setting_that_is_there() -> None:
    rich = rich_run(1)
    segment = replace(rich.manifests[0].segments[0], people=1, expected=0.2, holdout=0, waterfall=(("scored", 1),))
    html = render_report(replace(rich, manifests=(replace(rich.manifests[0], segments=(segment,)),)))
    assert "there are too few people for a random group beside the file" in html
    assert "Set holdout_percent" not in html


def test_numbers_of_a_model_whose_customers_have_moved_are_vouched_for_in_the_test_only() -> None:
    html = PAGES["rich"]
    buy, lapse = html[html.index('id="goal-1"') : html.index('id="goal-2"')], html[html.index('id="goal-2"') :]
    assert "<b>Yes.</b> Where it said" in buy
    assert "<b>In the test, yes; but today’s customers have moved.</b> Where it said" in lapse


def test_score_run_says_that_what_the_model_was_tested_with_was_measured_when_it_was_trained() -> None:
    rich = rich_run(status="approved")
    html = render_report(replace(rich, run=replace(rich.run, kind="score")))
    measured = "measured when the models were trained, from customers as of 31 August 2026"
    changes = html[html.index('id="changes"') : html.index('id="checks"')]
    assert "Had customers moved when the model was trained?" in changes
    assert f"As {measured}: customers scored otherwise" in changes
    checks = html[html.index('id="checks"') : html.index('id="method"')]
    assert f"All of it was {measured}" in checks
    assert html.count(measured) == 4  # with the quality of both goals
    for claim in ("still about these people", "since training", "today’s customers score", "customers have moved"):
        assert claim not in html
        assert claim in PAGES["approved"]
    Page(html)


@pytest.mark.parametrize("dates", [[], ["undated"]])
def test_score_run_of_a_model_without_dates_names_none(dates: list[str]) -> None:
    sparse = sparse_run()
    evaluation = replace(sparse.evaluations[0], model={**sparse.evaluations[0].model, "training_as_of": dates})
    html = render_report(replace(sparse, run=replace(sparse.run, kind="score"), evaluations=(evaluation,)))
    assert "All of it was measured when the model was trained: where" in html
    Page(html)


def test_approve_command_is_printed_for_candidates_only() -> None:
    assert "pseg model approve buy" in PAGES["rich"]
    assert "pseg model approve" not in PAGES["approved"]
    assert "Approved, not sent by this run" in PAGES["approved"]


def test_goal_may_fill_several_segments() -> None:
    rich = rich_run(1)
    segment = rich.manifests[0].segments[0]
    second = replace(segment, name="second", top_percent=0.5, channel="", max_size=0)
    html = render_report(replace(rich, manifests=(replace(rich.manifests[0], segments=(segment, second)),)))
    assert "second</bdi> (0.5%, shown at 1%)" in html
    assert html.count('<tr class="here"><th scope="row">Top 0.5%') == 1
    assert "2 segments" in html
    Page(html)


def test_segment_whose_people_are_not_those_of_a_cut_has_no_row_and_no_button() -> None:
    rich = rich_run(1)
    segment = replace(rich.manifests[0].segments[0], people=15, holdout=0, waterfall=(("scored", 15),))
    html = render_report(replace(rich, manifests=(replace(rich.manifests[0], segments=(segment,)),)))
    panel = html[html.index("<h3>How many people should you contact?</h3>") :]
    panel = panel[: panel.index("Where everyone went")]
    assert "This segment (" not in panel
    assert '<tr class="here">' not in panel
    assert 'value="1">' in panel  # the slider starts at the least cut that has as many
    assert "15 people are in the file of" in panel


def test_six_goals_have_a_chapter_each() -> None:
    page = Page(PAGES["six goals"])
    assert [i for i in page.attributes("id") if re.fullmatch(r"goal-\d", i)] == [f"goal-{n}" for n in range(1, 7)]


def test_no_run_of_the_samples_is_alike() -> None:
    assert len(set(PAGES.values())) == len(PAGES)
    assert sparse_run() != failed_run()
