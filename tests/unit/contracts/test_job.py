"""Jobs: one line of summary or reason in the file that the service reads, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.errors import ContractError, PsegError, ServiceError, SettingsError, VerificationError
from contracts.job import MESSAGE_BYTES, run_job


def failing(error: BaseException) -> Callable[[], str]:
    """Work that fails."""

    def work() -> str:
        raise error

    return work


def test_summary_of_a_processing_job_is_its_message(tmp_path: Path) -> None:
    note = tmp_path / "output" / "message"
    assert run_job(lambda: "5 customers, naïve", note) == 0
    assert note.read_text(encoding="utf-8") == "5 customers, naïve"


def test_training_job_that_succeeds_leaves_no_failure(tmp_path: Path) -> None:
    note = tmp_path / "output" / "failure"
    assert run_job(lambda: "5 customers", note) == 0
    assert not note.exists()


@pytest.mark.parametrize("name", ["message", "failure"])
@pytest.mark.parametrize("kind", [ContractError, SettingsError, ServiceError, VerificationError])
def test_error_of_ours_is_the_whole_reason_and_exit_1(tmp_path: Path, name: str, kind: type[PsegError]) -> None:
    error = kind("a column is missing", where="events.parquet", why="found none", fix="bring it")
    assert run_job(failing(error), tmp_path / name) == 1
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert text == "a column is missing · events.parquet · found none · fix: bring it"


@pytest.mark.parametrize("name", ["message", "failure"])
def test_other_error_leaves_its_name_and_goes_on(tmp_path: Path, name: str) -> None:
    with pytest.raises(ZeroDivisionError):
        run_job(failing(ZeroDivisionError("by nought")), tmp_path / name)
    assert (tmp_path / name).read_text() == "ZeroDivisionError: by nought"


def test_interrupt_is_not_held_up(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_job(failing(KeyboardInterrupt()), tmp_path / "message")


@pytest.mark.parametrize("character", ["x", "é", "€", "😀"])
def test_text_is_cut_to_1_kb_of_whole_characters(tmp_path: Path, character: str) -> None:
    for lead in range(4):
        text = "." * lead + character * MESSAGE_BYTES
        run_job(lambda text=text: text, tmp_path / "message")  # type: ignore[misc]
        kept = (tmp_path / "message").read_bytes()
        assert MESSAGE_BYTES - 4 < len(kept) <= 1024
        assert text.startswith(kept.decode("utf-8"))
    with pytest.raises(ValueError, match=character):
        run_job(failing(ValueError(character * 5000)), tmp_path / "failure")
    assert 1020 < (tmp_path / "failure").stat().st_size <= 1024
