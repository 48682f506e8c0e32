"""Partner columns without their names, for collaborations whose contract forbids to print them."""

from __future__ import annotations

import re
from dataclasses import replace

from contracts.evaluation import Evaluation
from contracts.run_manifest import RunManifest

PARTNER = "partner"


def hide_partner_names(manifest: RunManifest) -> RunManifest:
    """Return the run with every partner column and trait named ``fact 1 from PARTNER``, ``fact 2 ...``, throughout.

    A column's name is also replaced inside causes and reasons, wherever it stands as a word: safe comes before pretty.
    """
    facts = manifest.run.facts
    columns = [
        *facts.partner_columns,
        *(row.feature for e in manifest.evaluations for row in e.strengths if row.party == PARTNER),
        *(row.name for e in manifest.evaluations for row in e.shifts if row.party == PARTNER),
    ]
    traits = [
        trait.text
        for evaluation in manifest.evaluations
        for group in (evaluation.traits or {}).values()
        for trait in group
        if trait.party == PARTNER
    ]
    names = {
        name: f"fact {number} from {manifest.run.partner}"
        for number, name in enumerate(dict.fromkeys([*columns, *traits]), start=1)
    }
    if not names:
        return manifest
    ordered = sorted(names, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, ordered))})(?!\w)")

    def hide(text: str) -> str:
        return pattern.sub(lambda found: names[found[0]], text)

    def hide_in(evaluation: Evaluation) -> Evaluation:
        quality, traits = evaluation.quality, evaluation.traits
        return replace(
            evaluation,
            quality=quality
            and replace(quality, reasons=tuple(replace(row, text=hide(row.text)) for row in quality.reasons)),
            traits=traits
            and {
                segment: tuple(replace(row, text=names[row.text]) if row.party == PARTNER else row for row in rows)
                for segment, rows in traits.items()
            },
            strengths=tuple(
                replace(row, feature=names[row.feature]) if row.party == PARTNER else row
                for row in evaluation.strengths
            ),
            shifts=tuple(
                replace(row, name=names[row.name] if row.party == PARTNER else row.name, cause=hide(row.cause))
                for row in evaluation.shifts
            ),
        )

    run = replace(
        manifest.run, facts=replace(facts, partner_columns=tuple(names[name] for name in facts.partner_columns))
    )
    return replace(manifest, run=run, evaluations=tuple(map(hide_in, manifest.evaluations)))
