"""``pseg estimate``: what a run would cost, before it runs. Asks nobody in AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pseg.commands.options import AsJson, ProjectArgument
from pseg.console import answer, print_json, print_table

if TYPE_CHECKING:
    from pseg.estimate import Estimate, Three
    from pseg.project import Project

Rows = Annotated[
    int | None, typer.Option("--rows", min=1, help="Number of customers, where the tables are not local files.")
]


def estimate(
    project: ProjectArgument,
    score: Annotated[bool, typer.Option("--score", help="The score pipeline instead of the train pipeline.")] = False,
    rows: Rows = None,
    has_differential_privacy: Annotated[
        bool, typer.Option("--differential-privacy", help="The partner's tables demand it: the query costs twice.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a run in an AWS account would cost; on the embedded AWS it costs nothing.

    Example: pseg estimate examples/cdnow --rows 2000000
    """
    from pseg.estimate import count_rows
    from pseg.estimate import estimate as estimate_run
    from pseg.project import read_project

    opened = read_project(project)
    found = estimate_run(
        opened,
        count_rows(opened, rows),
        "score" if score else "train",
        has_differential_privacy=has_differential_privacy,
    )
    show_json(found, opened) if as_json else show(found, opened)


def show_json(found: Estimate, project: Project) -> None:
    """Print the estimate as one document."""
    from contracts.prices import CLEAN_ROOMS_DATE, SAGEMAKER_DATE

    def dollars(three: Three) -> dict[str, float]:
        return dict(zip(("low", "likely", "high"), (round(end, 4) for end in three), strict=True))

    lines = [{"step": line.name, "what": line.what, **dollars(line.dollars)} for line in found.lines]
    cheaper = found.cheaper and {"what": found.cheaper.what, **dollars(found.cheaper.dollars)}
    print_json(
        "estimate",
        {
            "currency": "USD",
            "prices": {"clean_rooms": CLEAN_ROOMS_DATE, "sagemaker": SAGEMAKER_DATE, "region": "us-east-1"},
            "steps": lines,
            "query_with_fewer_workers": cheaper,
            "total": dollars(found.total),
            "budget": project.budget.max_dollars,
        },
    )


def show(found: Estimate, project: Project) -> None:
    """Print the estimate as a table."""
    from contracts.prices import CLEAN_ROOMS_DATE, SAGEMAKER_DATE

    rows = []
    for line in found.lines:
        rows.append((line.name, line.what, *map(money, line.dollars), ""))
        if line.name == "Clean Rooms" and found.cheaper:
            saved = 1 - found.cheaper.dollars[1] / line.dollars[1]
            rows.append(
                (found.cheaper.name, found.cheaper.what, *map(money, found.cheaper.dollars), f"<- saves {saved:.0%}")
            )
    budget = project.budget.max_dollars
    limit = f"budget {money(budget)}, a start stops at it" if budget else "no budget: [budget] max_dollars"
    rows.append(("total", limit, *map(money, found.total), "over budget" if budget and found.total[1] > budget else ""))
    print_table(("step", "what", "low", "likely", "high", ""), rows, right=(2, 3, 4))
    answer.print(
        f"Prices of us-east-1: Clean Rooms {CLEAN_ROOMS_DATE}, SageMaker {SAGEMAKER_DATE}. Times are assumptions; "
        "what was billed stands in the report."
    )


def money(dollars: float) -> str:
    """Write dollars."""
    return f"${dollars:,.2f}"
