"""Partner columns without their names, for collaborations whose contract forbids to print them.

Every column and trait of the partner becomes ``fact 1 from PARTNER``, ``fact 2 ...``, throughout: in names, causes,
reasons, checks and lists. A name is also replaced wherever it stands as a word: safe comes before pretty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from contracts.evaluation import Evaluation
from contracts.run_manifest import RunManifest

PARTNER = "partner"
ADVICE = re.compile(r'accept_features( = \["[^"]*"\])?')
ELSEWHERE = "accept_features; its name stands in this goal's own evaluation.json in S3"
CATEGORY = re.compile(r".* was (\d+%) then, is (\d+%) now", re.DOTALL)


def number_names(partner: str, columns: Iterable[str], evaluations: Iterable[Evaluation]) -> dict[str, str]:
    """Give each of the partner's names a number: column or trait -> ``fact 1 from PARTNER``."""
    found, traits = [*columns], []
    for evaluation in evaluations:
        found += [row.feature for row in evaluation.strengths if row.party == PARTNER]
        found += [row.name for row in evaluation.shifts if row.party == PARTNER]
        for group in (evaluation.traits or {}).values():
            traits += [trait.text for trait in group if trait.party == PARTNER]
    return {name: f"fact {number} from {partner}" for number, name in enumerate(dict.fromkeys([*found, *traits]), 1)}


def hide_in_evaluation(evaluation: Evaluation, names: dict[str, str]) -> Evaluation:
    """Return the evaluation without the partner's names, and without the categories of the partner's columns."""
    if not names:
        return evaluation
    ordered = sorted(names, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, ordered))})(?!\w)")
    causes = {row.cause for row in evaluation.shifts if row.party == PARTNER and CATEGORY.match(row.cause)}

    def hide(text: str) -> str:
        for cause in sorted(causes, key=len, reverse=True):
            text = text.replace(cause, CATEGORY.sub(r"one category was \1 then, is \2 now", cause))
        if pattern.search(text):
            text = ADVICE.sub(ELSEWHERE, text)
        return pattern.sub(lambda found: names[found[0]], text)

    quality, traits, model = evaluation.quality, evaluation.traits, evaluation.model
    if "left_out" in model:
        model = {**model, "left_out": [hide(name) for name in model["left_out"]]}
    return replace(
        evaluation,
        model=model,
        checks=tuple(replace(check, text=hide(check.text)) for check in evaluation.checks),
        quality=quality
        and replace(quality, reasons=tuple(replace(row, text=hide(row.text)) for row in quality.reasons)),
        traits=traits
        and {
            segment: tuple(replace(row, text=names[row.text]) if row.party == PARTNER else row for row in rows)
            for segment, rows in traits.items()
        },
        strengths=tuple(
            replace(row, feature=names[row.feature]) if row.party == PARTNER else row for row in evaluation.strengths
        ),
        shifts=tuple(
            replace(row, name=names[row.name] if row.party == PARTNER else row.name, cause=hide(row.cause))
            for row in evaluation.shifts
        ),
    )


def hide_partner_names(manifest: RunManifest) -> RunManifest:
    """Return the run without the partner's names; one that is without them stays as it is."""
    facts = manifest.run.facts
    names = number_names(manifest.run.partner, facts.partner_columns, manifest.evaluations)
    run = replace(
        manifest.run, facts=replace(facts, partner_columns=tuple(names[name] for name in facts.partner_columns))
    )
    return replace(manifest, run=run, evaluations=tuple(hide_in_evaluation(e, names) for e in manifest.evaluations))
