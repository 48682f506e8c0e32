"""The embedded AWS from outside: start it, find it, stop it, and decide which AWS a command speaks to."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import ServiceError
from pseg.console import Interrupted, ask, working
from pseg.local_aws.session import SessionFile, is_running, read_session, state_dir

START_SECONDS = 60
STOP_SECONDS = 20
SOMEBODY_WAS_FASTER = 3  # exit code of a server that finds another one up
OWN_ENVIRONMENT = (
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one command at a time prepare the accounts: what two of them find missing, both would make."""
    with (state_dir() / "accounts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def log_path() -> Path:
    """Return where the embedded AWS process writes its log."""
    return state_dir() / "embedded-aws.log"


def start(port: int = 0) -> tuple[SessionFile, bool]:
    """Start the embedded AWS, or find the one that is up; return its session and whether it was started now.

    Raises
    ------
    ServiceError
        If it does not come up.
    Interrupted
        If Ctrl-C comes first; it is then stopped again.
    """
    if session := read_session():
        return session, False
    state_dir().mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "SAGEMAKER_")) and not name.lower().endswith("_proxy")
    }
    process = None
    try:
        with working("starting the embedded AWS", if_interrupted="the embedded AWS was not started"):
            with log_path().open("a") as log, held_back(signal.SIGINT):
                process = subprocess.Popen(
                    [sys.executable, "-m", "pseg.local_aws.server", "--port", str(port)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=environment,
                )
            deadline = time.monotonic() + START_SECONDS
            while time.monotonic() < deadline and process.poll() in (None, SOMEBODY_WAS_FASTER):
                if session := read_session():
                    return session, session.pid == process.pid
                time.sleep(0.1)
    except Interrupted:
        if process is not None:
            process.terminate()
        raise
    process.kill()
    raise ServiceError(
        "the embedded AWS did not start", where=str(log_path()), why=tail(log_path()), fix="mend what the log names"
    )


@contextmanager
def held_back(number: signal.Signals) -> Iterator[None]:
    """Let a signal wait until the block is done, so that no process is started whose id nobody got to know."""
    waiting: list[int] = []
    before = signal.signal(number, lambda came, _: waiting.append(came))
    try:
        yield
    finally:
        signal.signal(number, before)
    if waiting:
        signal.raise_signal(number)


def stop() -> bool:
    """Stop the embedded AWS and wait until it is gone; tell whether one was up."""
    session = read_session()
    if session is None:
        return False
    os.kill(session.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    with working("stopping the embedded AWS", if_interrupted="the embedded AWS goes on stopping by itself"):
        while is_running():
            if time.monotonic() > deadline:
                os.kill(session.pid, signal.SIGKILL)
            time.sleep(0.1)
    return True


def tail(path: Path, lines: int = 3) -> str:
    """Last lines of a text file, empty if there is none."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.is_file() else ""


def use(session: SessionFile, party: str = "brand") -> None:
    """Point this process's AWS clients at the embedded AWS, whatever account the environment named before."""
    for name in unwanted(session):
        del os.environ[name]
    os.environ.update(session.exports(party))
    os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1")))


def unwanted(session: SessionFile) -> list[str]:
    """List the AWS settings of the environment that would lead a client away from the embedded AWS."""
    kept = {*session.exports(), "AWS_CA_BUNDLE", "AWS_PAGER"}
    return sorted(name for name in os.environ if name.startswith("AWS_") and name not in kept)


def choose_aws() -> str:
    """Decide which AWS a command speaks to, point this process at it, and say which.

    What the environment names wins; else the embedded AWS if it is up; else boto3's own search for an account.
    """
    if any(os.environ.get(name) for name in OWN_ENVIRONMENT):
        return os.environ.get("AWS_ENDPOINT_URL") or "the AWS account of the environment"
    if session := read_session():
        use(session)
        return f"the embedded AWS on {session.endpoint}"
    return "the AWS account of boto3's configuration"


def is_embedded() -> bool:
    """Tell if AWS clients of this process speak to the embedded AWS, where nothing is billed and no mail goes out."""
    session = read_session()
    leads_away = any(name.startswith("AWS_ENDPOINT_URL_") for name in os.environ)  # one service's own endpoint
    return session is not None and os.environ.get("AWS_ENDPOINT_URL") == session.endpoint and not leads_away


def ask_before_billing(what: str, is_agreed: bool) -> None:
    """Ask before something is billed; the embedded AWS bills nothing, so nobody is asked there.

    Raises
    ------
    SettingsError
        If nobody can be asked and ``--yes`` was not given.
    """
    if not is_embedded():
        ask(f"{what} is billed to the AWS account.", is_agreed)
