"""``pseg``: the command line. Commands import what they need when they run, so that help is there at once."""

from __future__ import annotations

import logging
import os
import sys

import typer

from pseg.commands import init, local, model, pipeline, run, segments

app = typer.Typer(
    name="pseg",
    help="Predictive segments from AWS Clean Rooms. Start with: pseg run examples/cdnow",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.command()(run.run)
app.command()(init.init)
app.add_typer(local.app, name="local")
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(model.app, name="model")
app.add_typer(segments.app, name="segments")


def main() -> None:
    """Run the command line; errors of AWS become one screen of text and exit code 3."""
    logging.basicConfig(level=logging.ERROR)
    as_json, is_debug = "--json" in sys.argv, bool(os.environ.get("PSEG_DEBUG"))
    from contracts.errors import PsegError, ServiceError
    from pseg.console import EXIT_INTERRUPTED, exit_code, print_error, say

    try:
        app()
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except PsegError as error:
        print_error(error, "error", as_json)
        sys.exit(exit_code(error))
    except Exception as error:
        from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError

        if is_debug or not isinstance(error, (BotoCoreError, ClientError)):
            raise
        wrapped = ServiceError("AWS refused", why=str(error), fix="check the credentials, the region and the rights")
        if isinstance(error, EndpointConnectionError | NoCredentialsError):
            where = os.environ.get("AWS_ENDPOINT_URL", "")
            wrapped = ServiceError(
                "AWS can't be reached",
                where=where,
                why=str(error),
                fix="start the embedded AWS: pseg local up (and use the exports it prints), or set up an AWS account",
            )
        print_error(wrapped, "error", as_json)
        sys.exit(exit_code(wrapped))
