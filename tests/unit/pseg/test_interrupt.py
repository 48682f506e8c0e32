"""Ctrl-C: exit code 130, and a last line that says what was cancelled and what goes on."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pseg import console
from pseg.commands import embedded
from tests.interruptible import PSEG
from tests.pseg_process import NOWHERE, ROOT, environment
from tests.worlds import write_project


def interrupt(folder: Path, words: list[str], when: Callable[[], object], **more: str) -> tuple[int, str, str]:
    """Start a command, interrupt it once ``when`` returns, and return exit code, stdout and stderr."""
    process = subprocess.Popen(
        [*PSEG, *words],
        cwd=ROOT,
        env=environment(folder, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    when()
    process.send_signal(signal.SIGINT)
    said, told = process.communicate(timeout=60)
    assert "Traceback" not in told
    return process.returncode, said, told


def test_interrupted_upload_has_started_nothing(tmp_path: Path) -> None:
    project = write_project(tmp_path / "spring", customers=5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        open_connections = []

        def until_it_waits_for_an_answer() -> None:
            connection, _ = silent.accept()
            open_connections.append(connection)
            connection.recv(1)

        where = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code, said, _ = interrupt(
            tmp_path,
            ["pipeline", "upsert", str(project), "--role", "arn:aws:iam::111111111111:role/x", "--json"],
            until_it_waits_for_an_answer,
            **(NOWHERE | {"AWS_ENDPOINT_URL": where}),
        )
        open_connections[0].close()
    assert code == 130
    document = json.loads(said)
    assert document["schema"] == "pseg.pipeline.upsert/1"
    assert document["error"]["code"] == 130
    assert document["error"]["what"] == "nothing was started; what is uploaded is found again the next time"


def servers_of(state: Path) -> list[psutil.Process]:
    """Processes of the embedded AWS of a state folder, up or on their way up."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "pseg.local_aws.server" in (process.info["cmdline"] or []):
            with suppress(psutil.Error):  # it ended meanwhile
                found += [process] if process.environ().get("PSEG_STATE_DIR") == str(state) else []
    return found


@pytest.mark.parametrize("pause", [0, 0.005, 0.05, 0.5], ids=lambda pause: f"{pause} s after it begins")
def test_interrupted_start_of_the_embedded_aws_leaves_none_up(tmp_path: Path, pause: float) -> None:
    state = tmp_path / "state"

    def until_it_starts() -> None:
        deadline = time.monotonic() + 60
        while not (state / "embedded-aws.log").exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(pause)

    code, said, told = interrupt(tmp_path, ["local", "up"], until_it_starts)
    assert (code, said) == (130, "")
    assert told.splitlines()[-1] == "interrupted  the embedded AWS was not started"
    _, still_up = psutil.wait_procs(servers_of(state), timeout=20)
    assert still_up == []


def test_signal_that_is_held_back_comes_afterwards() -> None:
    done = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt), embedded.held_back(signal.SIGINT):
            signal.raise_signal(signal.SIGINT)
            done.append("the block")
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["the block"]


def test_long_work_shows_a_sign_of_life_where_no_terminal_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "HEARTBEAT_SECONDS", 0.05)
    with console.working("uploading 2 tables", if_interrupted=""):
        time.sleep(0.2)
    said = capsys.readouterr().err.splitlines()
    assert said
    assert said[0] == "  still uploading 2 tables after 0 s"
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


def test_short_work_says_nothing_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    with console.working("uploading 2 tables", if_interrupted=""):
        pass
    assert capsys.readouterr().err == ""


def test_interrupt_of_work_says_what_it_left() -> None:
    with pytest.raises(console.Interrupted, match="nothing was started"), console.working("x", "nothing was started"):
        raise KeyboardInterrupt
