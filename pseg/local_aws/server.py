"""The process behind ``pseg local up``: serves until it is told to stop, or has been quiet for an hour.

It holds a lock for as long as it lives, so that there is one session at a time and a stale session file is recognised.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from pseg.local_aws.app import build
from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT, SessionFile, lock_path, session_path, state_dir
from pseg.local_aws.wire import serve_in_thread

logger = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Serve one session."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--idle-minutes", type=float, default=60)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    state_dir().mkdir(parents=True, exist_ok=True, mode=0o700)
    with lock_path().open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.error("an embedded AWS is already up; stop it with: pseg local down")
            return 3
        session_path().unlink(missing_ok=True)  # of a process that was killed
        for leftover in state_dir().glob("work-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        return serve(arguments.port, arguments.idle_minutes * 60)


def serve(port: int, idle_seconds: float) -> int:
    """Serve until stopped; leave nothing behind but the log."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    work_dir = Path(tempfile.mkdtemp(prefix="work-", dir=state_dir()))
    aws = build(work_dir)
    server = serve_in_thread(aws, port)
    try:
        session = SessionFile(aws.endpoint, os.getpid(), aws.keys[BRAND_ACCOUNT], aws.keys[PARTNER_ACCOUNT])
        session.write(session_path())
        logger.info("up on %s", aws.endpoint)
        while not stop.wait(1):
            if time.monotonic() - aws.last_request > idle_seconds and not aws.is_busy():
                logger.info("quiet for %.0f minutes, stopping", idle_seconds / 60)
                break
    finally:
        session_path().unlink(missing_ok=True)
        aws.close()
        server.shutdown()
        shutil.rmtree(work_dir, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
