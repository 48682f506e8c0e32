"""The report of one run: one HTML file that loads nothing, sends nothing and holds totals only.

Comes in: a run manifest, and nothing else. Goes out: HTML, the same bytes for the same run. Every text of a user is
escaped by the template engine; the page's security policy allows one script, by its hash, and no network at all.
"""

from __future__ import annotations

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from contracts.evaluation import ALL_SCORES
from contracts.model_card import learner_in_words
from contracts.partner_names import hide_partner_names
from contracts.run_manifest import RunManifest
from insights import chapters, wording
from insights.charts import has_interval

TEMPLATES = PackageLoader("insights")


def render_report(manifest: RunManifest) -> str:
    """Render the report.

    Raises
    ------
    ContractError
        If the run contradicts itself: a waterfall that does not sum up, a reach without its hundred rows, a segment
        of a goal that was not evaluated.
    """
    if not manifest.run.may_name_partner_columns:
        manifest = hide_partner_names(manifest)
    goals = chapters.view_goals(manifest)
    environment = Environment(
        loader=TEMPLATES, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        exact=wording.exact,
        about=wording.about,
        percent=wording.percent,
        signed=wording.signed,
        of_every=wording.of_every,
        day=wording.day,
        user=wording.user,
        money=lambda amount: wording.user(wording.money(amount, manifest.run.money.currency)),
        rule=chapters.rule_in_words,
        check_title=chapters.title_of_check,
        check_state=chapters.state_of_check,
        learner=learner_in_words,
        chosen=chapters.settings_in_words,
        most_apart=chapters.most_apart,
    )
    environment.globals.update(
        between=wording.between,
        exact=wording.exact,
        figures_of=wording.figures_of,
        all_scores=ALL_SCORES,
        unit_of=wording.unit_of,
        has_interval=has_interval,
    )
    style, script = (read_asset(environment, name) for name in ("report.css", "report.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html").render(
        run=manifest.run,
        facts=manifest.run.facts,
        goals=goals,
        segments=[segment for goal in goals for segment in goal.segments],
        headline=chapters.headline(goals),
        lines=chapters.weigh_up(goals, manifest.run),
        shifts=chapters.shift_rows(goals),
        measured=chapters.measured_when(goals, manifest.run),
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'",
    )


def read_asset(environment: Environment, name: str) -> Markup:
    """Read the style sheet or the script, which are ours and go into the page as they are."""
    source, _, _ = TEMPLATES.get_source(environment, name)
    return Markup(source)  # noqa: S704
