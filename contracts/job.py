"""Doorway *job*: what a container tells the service that runs it, the same way on a laptop and in AWS.

A processing container leaves at most 1 KB of text in ``output/message`` (it becomes ``ExitMessage``), a training
container its reason in ``output/failure`` (it becomes ``FailureReason``). Source: SageMaker API reference,
DescribeProcessingJob and DescribeTrainingJob.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from contracts.errors import PsegError

MESSAGE_BYTES = 1024

logger = logging.getLogger(__name__)


def run_job(work: Callable[[], str], note: Path) -> int:
    """Run a job's work, leave its one-line summary or its reason in ``note``, and return the exit code.

    Parameters
    ----------
    work : callable
        Does the job and returns its summary.
    note : Path
        ``/opt/ml/output/message`` or ``/opt/ml/output/failure``.

    Returns
    -------
    int
        0, or 1 after an error of ours. Any other exception is left to end the process with its traceback in the log.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    note.parent.mkdir(parents=True, exist_ok=True)
    try:
        summary = work()
    except PsegError as error:
        logger.error("%s", error)
        note.write_text(shorten(str(error)), encoding="utf-8")
        return 1
    except Exception as error:
        note.write_text(shorten(f"{type(error).__name__}: {error}"), encoding="utf-8")
        raise
    logger.info("%s", summary)
    if note.name == "message":
        note.write_text(shorten(summary), encoding="utf-8")
    return 0


def read_host(ml_dir: Path) -> tuple[int, int]:
    """Tell which of how many hosts this is, from ``config/resourceconfig.json``; (0, 1) where the service wrote none.

    Source: SageMaker Developer Guide, "How Amazon SageMaker Processing configures your processing container".
    """
    path = ml_dir / "config" / "resourceconfig.json"
    if not path.is_file():
        return 0, 1
    document = json.loads(path.read_text(encoding="utf-8"))
    hosts = sorted(document["hosts"])
    return hosts.index(document["current_host"]), len(hosts)


def shorten(text: str) -> str:
    """Cut a text to what the service takes."""
    return text.encode()[:MESSAGE_BYTES].decode(errors="ignore")
