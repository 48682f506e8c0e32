"""The exceptions of this project, drawn once.

PsegError                  says what happened, where, why, and what to do
├── ContractError          something that crossed a doorway breaks its contract (bad input; nothing was written)
├── SettingsError          project.toml or the run settings are wrong
├── ServiceError           AWS (or the embedded AWS) refused, failed or can't be reached
└── VerificationError      what was published is not what was promised
"""

from __future__ import annotations


class PsegError(Exception):
    """An error for people: one sentence each for what, where, why and fix.

    Parameters
    ----------
    what : str
        What happened.
    where : str
        File, column, row count or step.
    why : str
        The cause.
    fix : str
        What to do now.
    """

    def __init__(self, what: str, *, where: str = "", why: str = "", fix: str = "") -> None:
        self.what = what
        self.where = where
        self.why = why
        self.fix = fix
        super().__init__(" · ".join(part for part in (what, where, why, fix and f"fix: {fix}") if part))


class ContractError(PsegError):
    """Something that crossed a doorway breaks its contract."""


class SettingsError(PsegError):
    """The project file or the run settings are wrong."""


class ServiceError(PsegError):
    """AWS, or the embedded AWS, refused, failed or can't be reached."""


class VerificationError(PsegError):
    """What was published is not what was promised."""
