"""``pseg local``: the embedded AWS alone."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from pseg.commands.options import AsJson
from pseg.console import EXIT_NO, answer, print_json, say

app = typer.Typer(help="The embedded AWS: start it, stop it, point any AWS client at it.", no_args_is_help=True)


@app.command()
def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    party: Annotated[Literal["brand", "partner"], typer.Option(help="Whose account the exports are for.")] = "brand",
    as_json: AsJson = False,
) -> None:
    """Start the embedded AWS and print the exports that point any AWS client at it.

    Example: eval "$(pseg local up)"
    """
    from pseg.commands import embedded

    session, is_new = embedded.start(port)
    exports = session.exports(party)
    if as_json:
        print_json("local.up", {"endpoint": session.endpoint, "pid": session.pid, "exports": exports})
        return
    if others := embedded.unwanted(session):
        answer.print(f"unset {' '.join(others)}", markup=False)
    for name, value in exports.items():
        answer.print(f"export {name}={value}", markup=False)
    answer.print('export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1"', markup=False)
    say(
        f"embedded AWS {'up' if is_new else 'already up'} on {session.endpoint}, acting as {party}; "
        "it stops after a quiet hour"
    )
    if sys.stdout.isatty():
        say('Next  eval "$(pseg local up)", or no exports at all: pseg run PROJECT')


@app.command()
def status(as_json: AsJson = False) -> None:
    """Tell whether the embedded AWS is up; exit code 1 if not.

    Example: pseg local status || pseg local up
    """
    from pseg.local_aws.session import read_session

    session = read_session()
    if as_json:
        print_json("local.status", {"is_up": session is not None, "endpoint": session.endpoint if session else None})
    else:
        answer.print(
            f"up on {session.endpoint}, process {session.pid}" if session else "down; start it with: pseg local up"
        )
    raise typer.Exit(0 if session else EXIT_NO)


@app.command()
def down(as_json: AsJson = False) -> None:
    """Stop the embedded AWS and forget everything in it. What pseg run put into a project folder stays.

    Example: pseg local down
    """
    from pseg.commands import embedded

    was_up = embedded.stop()
    if as_json:
        print_json("local.down", {"was_up": was_up})
    else:
        answer.print("down, everything in it is forgotten" if was_up else "it was not up")
