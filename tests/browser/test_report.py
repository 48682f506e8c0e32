"""The report as people see it: numbers of the evaluation, a slider that tells one story, any width, on paper."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from contracts.evaluation import ALL_SCORES, Check, Strength
from contracts.run_manifest import RunManifest
from insights.wording import SHARE_CHECKS
from tests.browser.conftest import Open
from tests.report_runs import MOVED_TEXT, RUNS, failed_run, rich_run, sparse_run
from tests.unit.insights.test_report import make_hostile

ALL_RUNS = {**{name: make() for name, make in RUNS.items()}, "hostile": make_hostile()}
TABLES = """(tables) => tables.map((table) => [
  table.closest("section").id, table.caption.textContent.trim(),
  [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim())),
])"""
CONTRAST = """() => {
  const parse = (color) => (color.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return [r, g, b];
      if (alpha > 0) throw new Error("half transparent: " + at.className);
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("script, title, desc")) continue;
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const color = parse(element.closest("svg") ? style.fill : style.color).slice(0, 3);
    const [light, dark] = [luminance(color), luminance(background(element))].sort((a, b) => b - a);
    found.push([(light + 0.05) / (dark + 0.05), walker.currentNode.data.trim(), element.className.toString()]);
  }
  return found;
}"""


def tables_of(page: Page) -> dict[tuple[str, str], list[list[str]]]:
    """Read every table: chapter and caption -> rows of texts."""
    found = page.eval_on_selector_all("table", TABLES)
    tables = {(chapter, caption): rows for chapter, caption, rows in found}
    assert len(tables) == len(found)
    return tables


def numbers(text: str) -> list[float]:
    """Read the numbers in a text as people do."""
    return [float(found.replace(",", "").replace("−", "-")) for found in re.findall(r"[−]?\d[\d,]*(?:\.\d+)?", text)]


def says(text: str, *values: float) -> bool:
    """Tell if a text says these numbers, each rounded to as many digits as it shows."""
    shown = numbers(text)
    places = [len(found.partition(".")[2]) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]
    return len(shown) == len(values) and all(
        abs(number - value) <= 0.5 * 10**-digits + 1e-9
        for number, value, digits in zip(shown, values, places, strict=True)
    )


STATES = ["stopped", "watch", "passed"]


def word_of(check: Check) -> str:
    """The word that the result of a check has to be."""
    return "passed" if check.is_passed else "watch" if check.is_warning else "stopped"


def text_of(check: Check) -> str:
    """What has to stand below a check."""
    return "" if check.is_passed else check.text


def facts_of(page: Page, selector: str) -> dict[str, str]:
    """Read a list of facts: term -> text."""
    return dict(
        page.eval_on_selector_all(
            f"{selector} dt", "(all) => all.map((dt) => [dt.innerText, dt.nextElementSibling.innerText])"
        )
    )


def state_of(page: Page) -> dict[str, Any]:
    """Read what the first slider's panel shows."""
    return page.evaluate(
        """() => {
          const panel = document.querySelector("[data-reach]");
          const marker = panel.querySelector(".marker");
          return {
            value: Number(panel.querySelector("input").value),
            spoken: panel.querySelector("input").getAttribute("aria-valuetext"),
            sentence: panel.querySelector("output").textContent,
            at: panel.querySelector("[data-k=at]").textContent,
            dots: panel.querySelectorAll(".hundred .on").length,
            picture: panel.querySelector(".hundred").getAttribute("aria-label"),
            x: Number(marker.querySelector("circle").getAttribute("cx")),
            y: Number(marker.querySelector("circle").getAttribute("cy")),
            pressed: [...panel.querySelectorAll("[aria-pressed=true]")].map((button) => button.textContent.trim()),
          };
        }"""
    )


@pytest.mark.parametrize("name", ALL_RUNS)
def test_report_opens_without_a_network_and_without_a_complaint(show: Open, name: str) -> None:
    page = show(ALL_RUNS[name])
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.images.length + document.querySelectorAll('link, iframe, object').length") == 0


@pytest.mark.parametrize("name", ["rich", "failed", "sparse"])
def test_numbers_of_the_tables_are_those_of_the_evaluation(show: Open, name: str) -> None:
    run = ALL_RUNS[name]
    tables = tables_of(show(run))
    for number, evaluation in enumerate(run.evaluations, start=1):
        key = f"goal-{number}"
        for row, tenth in zip(tables[key, "Tenths of the test"], evaluation.tenths, strict=True):
            assert says(" ".join(row[:3]), tenth.tenth, tenth.people, tenth.positives)
            assert says(row[3], 100 * tenth.predicted)
            assert says(row[4], 100 * tenth.happened)
            assert says(row[6], tenth.lift)
            if name != "sparse":
                assert says(row[5], 100 * tenth.low, 100 * tenth.high)
        for row, group in zip(
            tables.get((key, "Predicted and happened by group"), []), reversed(evaluation.calibration), strict=True
        ):
            assert says(
                " ".join(row),
                *(100 * v for v in (group.predicted, group.happened, group.low, group.high)),
                group.people,
            )
        checks = tables["checks", f"Checks of {evaluation.words.title or evaluation.goal}"]
        expected = sorted(evaluation.checks, key=lambda check: STATES.index(word_of(check)))
        said = [row for check in expected for row in ([check.title or check.name], [text_of(check)]) if row != [""]]
        assert [row[:1] for row in checks] == said
        for row, check in zip([row for row in checks if len(row) == 4], expected, strict=True):
            unit = 100 if check.name in SHARE_CHECKS else 1
            assert says(row[1], unit * check.found)
            assert says(row[2], unit * check.allowed)
            assert row[3].endswith(word_of(check))
        for row, strength in zip(tables.get((key, "Strength of each fact"), []), evaluation.strengths, strict=True):
            assert row[0] == strength.feature
            assert says(row[1], strength.value)
        if evaluation.partner_value:
            rows = tables[key, f"Extra {evaluation.words.noun} per 1,000 contacted"]
            gains = [*evaluation.partner_value.gains, evaluation.partner_value.at_cut]
            for row, gain in zip(rows, gains, strict=True):
                assert says(" ".join(row), gain.percent, gain.extra, gain.low, gain.high)
            for row in tables[key, f"Order with and without data from {run.run.partner}"]:
                value = evaluation.partner_value
                own, both, gained = {
                    "AUC": (value.auc_own, value.auc_both, value.auc_gain),
                    "Average precision": (
                        value.average_precision_own,
                        value.average_precision_both,
                        value.average_precision_gain,
                    ),
                }[row[0]]
                numbers_of_gain = (gained.low, gained.high) if gained else ()
                assert says(" ".join(row[1:]).replace("+", ""), own, both, both - own, *numbers_of_gain)
        if name == "sparse":
            assert {caption for chapter, caption in tables if chapter == key} == {"Tenths of the test"}


def test_what_moved_is_shown_with_its_cause_and_what_is_steady_is_folded_away(show: Open) -> None:
    run = rich_run()
    page = show(run)
    tables = tables_of(page)
    moved = {row[0].split(" in ")[0]: row for row in tables["changes", "Moved since training"]}
    assert set(moved) == {"points_balance", "visits_per_week", ALL_SCORES}
    assert "watch: The partner's file is 9 days older" in moved["points_balance"][1]
    assert {row[0].split(" in ")[0] for row in tables["changes", "Steady since training"]} == {
        "days_since_last_order",
        ALL_SCORES,
    }
    assert page.get_by_text("watch: Visits fell by 12%").is_visible()
    assert not page.locator("#changes details table").is_visible()
    page.get_by_text("2 that stayed as they were").click()
    assert page.locator("#changes details table").is_visible()


def test_weak_facts_are_folded_away_and_left_out_ones_named(show: Open) -> None:
    run = rich_run()
    many = tuple(Strength(f"fact_{number}", "brand", 1 / number) for number in range(1, 26))
    page = show(replace(run, evaluations=(replace(run.evaluations[0], strengths=many), run.evaluations[1])))
    assert len(tables_of(page)["goal-1", "Strength of each fact"]) == 8
    assert len(tables_of(page)["goal-1", "Weaker facts"]) == 17
    assert not page.get_by_text("fact_9", exact=True).is_visible()
    assert "Left out: household_size. It is the same for everybody" in page.locator("#goal-2").inner_text()
    assert "Left out:" not in page.locator("#goal-1").inner_text()


def test_check_to_watch_has_its_text_below_it(show: Open) -> None:
    page = show(rich_run())
    assert "10 of 11 checks passed, 1 is to watch." in page.locator("#checks .lead").inner_text()
    assert page.locator("#checks tr.text").all_inner_texts() == [MOVED_TEXT]


def test_reach_table_is_what_was_published_and_the_cut_of_the_segment_is_marked(show: Open) -> None:
    run = rich_run(is_cut_only=True)
    page = show(run)
    assert page.locator("table.reach tr.here .tag").all_inner_texts() == ["likely_to_buy", "likely_to_lapse"]
    tables = tables_of(page)
    for number, manifest in enumerate(run.manifests, start=1):
        rows = tables[f"goal-{number}", "Reach and precision"]
        assert len(rows) == 7 + (manifest.segments[0].top_percent == 8)
        for row in rows:
            percent = 100 if row[0] == "Everyone" else int(numbers(row[0])[0])
            cut, everyone = manifest.reach[percent - 1], manifest.reach[-1]
            assert says(row[1], cut.people)
            assert says(row[2], cut.expected, cut.low, cut.high)
            assert says(row[3], 100 * cut.expected / cut.people, 100)
            assert says(row[4], 100 * cut.expected / everyone.expected)
            assert says(row[5], cut.people - cut.expected)
            assert says(row[6], cut.expected / cut.people / (everyone.expected / everyone.people))
            assert says(row[7], 0.42 * cut.people / cut.expected)


def test_stopped_goal_shows_what_happened_in_the_test(show: Open) -> None:
    evaluation = failed_run().evaluations[1]
    page = show(failed_run())
    points = {point.percent: point for point in evaluation.reach}
    for row in tables_of(page)["goal-2", "Reach in the test"]:
        point = points[100 if row[0] == "Everyone" else int(numbers(row[0])[0])]
        assert says(" ".join(row[1:3]), point.people, point.positives)
    assert page.locator("#goal-2 input[type=range]").count() == 0
    assert page.locator("#goal-1 input[type=range]").is_visible()


def test_segment_summary_waterfall_and_traits_are_those_of_the_manifest(show: Open) -> None:
    run = rich_run()
    page = show(run)
    tables = tables_of(page)
    for number, (evaluation, manifest) in enumerate(zip(run.evaluations, run.manifests, strict=True)):
        segment = manifest.segments[0]
        facts = facts_of(page, f"#summary article:nth-of-type({number + 1})")
        assert facts["Quality"] == evaluation.quality.word  # type: ignore[union-attr]
        assert says(facts["In the file"], segment.people)
        assert says(facts["Tested on"], evaluation.people, evaluation.positives)
        expected = numbers(facts[f"Expected to {evaluation.words.verb}"])
        assert expected == [
            round(value, -1) for value in (segment.expected, segment.expected_low, segment.expected_high)
        ]
        rows = tables["people", f"From everyone to the file of {segment.name}"]
        dropped = [-numbers(row[2])[0] for row in rows[1:-1]]
        assert numbers(rows[0][3])[0] - sum(dropped) == numbers(rows[-1][3])[0] == segment.people
        assert [(row[0], drop) for row, drop in zip(rows[1:-1], dropped, strict=True)] == list(segment.waterfall[1:])
        for row, trait in zip(
            tables[f"goal-{number + 1}", f"Segment {segment.name} (filled) against everyone (ring)"],
            (evaluation.traits or {})[segment.name],
            strict=True,
        ):
            if trait.people < 10:
                assert row[2] == "fewer than 10"
            else:
                assert says(" ".join(row[2:]), 100 * trait.in_segment, 100 * trait.in_everyone)


def test_slider_moves_sentence_dots_picture_marker_and_preset_together(show: Open) -> None:
    run = rich_run(1, is_cut_only=True)
    reach = run.manifests[0].reach
    page = show(run)
    before = state_of(page)
    assert before["value"] == 10
    assert before["pressed"] == ["This segment (10%)"]
    page.locator("input[type=range]").fill("50")
    after = state_of(page)
    cut, everyone = reach[49], reach[-1]
    assert numbers(after["sentence"]) == [cut.people, *(round(v, -1) for v in (cut.expected, cut.low, cut.high))]
    assert after["at"] == f"top 50% = {cut.people:,} people"
    assert after["spoken"] == f"{after['at']}. {after['sentence']}"
    assert after["dots"] == round(100 * cut.expected / cut.people) < before["dots"]
    assert says(after["picture"], 100 * cut.expected / cut.people, 100)
    assert after["pressed"] == []
    page.get_by_role("button", name="All").click()
    end = state_of(page)
    assert (end["value"], end["pressed"]) == (100, ["All"])
    assert (after["x"] - before["x"]) / (end["x"] - before["x"]) == pytest.approx(40 / 90, abs=1e-3)
    share = [row.expected / everyone.expected for row in (reach[9], cut)]
    assert (before["y"] - after["y"]) / (before["y"] - end["y"]) == pytest.approx(
        (share[1] - share[0]) / (1 - share[0]), abs=2e-3
    )


def test_slider_says_at_every_stop_what_was_published(show: Open) -> None:
    run = rich_run(1)
    said = show(run).evaluate(
        """() => {
          const slider = document.querySelector("input"), output = document.querySelector("output");
          return Array.from({ length: 100 }, (_, at) => {
            slider.value = at + 1; slider.dispatchEvent(new Event("input")); return output.textContent;
          });
        }"""
    )
    for text, row in zip(said, run.manifests[0].reach, strict=True):
        rounded = [round(v, -1) if v >= 1000 else round(v) for v in (row.expected, row.low, row.high)]
        assert numbers(text) == [row.people, *rounded]


def test_slider_and_links_work_from_the_keyboard(show: Open) -> None:
    page = show(rich_run(1, is_cut_only=True))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the summary"
    page.locator("input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    assert state_of(page)["value"] == 11
    page.keyboard.press("End")
    assert state_of(page)["at"].startswith("top 100% = ")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert (state_of(page)["value"], state_of(page)["pressed"]) == (1, ["Top 1%"])


def test_without_javascript_the_slider_is_absent_and_all_else_stands(show: Open) -> None:
    without, with_script = (show(rich_run(), javascript=on) for on in (False, True))
    assert not without.locator("input[type=range]").first.is_visible()
    assert without.locator("output").first.inner_text() == with_script.locator("output").first.inner_text()
    assert without.locator("svg").count() == with_script.locator("svg").count()
    assert without.locator("table").count() == with_script.locator("table").count()


@pytest.mark.parametrize("name", ["rich", "failed", "sparse", "hostile"])
def test_page_does_not_scroll_sideways_at_any_width(show: Open, name: str) -> None:
    page = show(ALL_RUNS[name], width=390)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for width in (390, 600, 861, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.body.scrollWidth") <= width


def test_hostile_names_run_nothing_and_keep_their_direction(show: Open) -> None:
    run: RunManifest = make_hostile()
    page = show(run)
    assert page.evaluate("document.scripts.length") == 1 + len(run.manifests)
    assert run.run.notice in page.locator(".ribbon").text_content()  # type: ignore[operator]
    assert page.locator("bdi").count() > 50


def test_text_contrast_is_at_least_4_5(show: Open) -> None:
    for run in (rich_run(), failed_run()):
        page = show(run)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        found = page.evaluate(CONTRAST)
        assert len(found) > 300
        assert [item for item in found if item[0] < 4.5] == []


@pytest.mark.parametrize(
    ("name", "pages"), [("rich", range(12, 15)), ("sparse", range(5, 8)), ("failed", range(10, 14))]
)
def test_printed_report_has_a_page_for_each_chapter_and_its_details_open(
    show: Open, tmp_path: Path, name: str, pages: range
) -> None:
    page = show(ALL_RUNS[name])
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) in pages
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_chapter_that_a_run_does_not_have_is_in_no_menu(show: Open) -> None:
    menu = show(sparse_run()).locator("nav a").all_inner_texts()
    assert menu == ["Summary", "Segments", "buy", "Who was dropped", "Checks", "How it was made"]


def test_one_preset_is_enough_for_two_at_one_place(show: Open) -> None:
    run = rich_run(1, is_cut_only=True)
    manifest = run.manifests[0]
    tiny = replace(manifest.segments[0], top_percent=0.5)
    page = show(replace(run, manifests=(replace(manifest, segments=(tiny,)),)))
    assert state_of(page)["pressed"] == ["This segment (0.5%, shown at 1%)"]
