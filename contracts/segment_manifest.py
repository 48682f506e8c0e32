"""Doorway *segment manifest*: what a publish wrote, beside the files and written last. Without it, nothing counts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.document import read_document
from contracts.errors import ContractError, VerificationError

FILE_NAME = "manifest.json"
PLACES = ("segments", "holdouts")  # the folders that a publish fills, beside its manifest
MAX_NAMED = 5  # so many files are named in an error
STATUSES = ("candidate", "approved")
BELOW_CUT = "below the cut"  # the waterfall's step after which only cap, address rules and holdout take people away


@dataclass(frozen=True)
class PublishedFile:
    """One CSV: key relative to the manifest, data rows (without header), size and hash."""

    key: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Moves:
    """People of a segment against the last run of the same segment: new ones, those who left, those who stayed."""

    entered: int
    left: int
    stayed: int


@dataclass(frozen=True)
class PublishedSegment:
    """One segment: its rule in numbers, where everyone went, and its files.

    ``people`` are customers, ``endpoints`` their addresses in the files. ``waterfall`` runs from all customers to the
    file: each entry is a reason and how many people it took away; the first is the start, and start minus all the
    others is the number of people in the file. ``lowest_score`` is 0 where nobody is in it. ``expected`` is how many of
    the people in the file will do it, with its 95 % interval. ``holdout`` people are kept back; their keys lie in
    ``holdout_file``, beside the segments. ``since_last`` is None where there is no earlier run to compare with.
    """

    name: str
    goal: str
    top_percent: float
    people: int
    endpoints: int
    lowest_score: float
    expected: float
    waterfall: tuple[tuple[str, int], ...]
    files: tuple[PublishedFile, ...]
    channel: str = ""
    minimum_score: float = 0.0
    max_size: int = 0
    holdout_percent: float = 0.0
    holdout: int = 0
    holdout_file: PublishedFile | None = None
    expected_low: float = 0.0
    expected_high: float = 0.0
    since_last: Moves | None = None

    @property
    def all_files(self) -> tuple[PublishedFile, ...]:
        """Every file of the segment, that of the people held back among them."""
        return self.files + ((self.holdout_file,) if self.holdout_file else ())


@dataclass(frozen=True)
class ExpectedReach:
    """The best ``percent`` of the scored people: how many, how many will do it (95 % interval), the lowest score."""

    percent: int
    people: int
    expected: float
    low: float
    high: float
    lowest_score: float


@dataclass(frozen=True)
class SegmentManifest:
    """One publish: which run and model it comes from, and whether a person approved that model.

    ``model`` is the package's ARN where a person approved it, else the address of the artifact. ``notice`` is what the
    project wants said wherever its results show (for example: synthetic partner data). ``reach`` has 100 rows.
    """

    project: str
    goal: str
    status: str
    as_of: str
    execution_id: str
    model: str
    notice: str
    segments: tuple[PublishedSegment, ...]
    reach: tuple[ExpectedReach, ...] = ()

    def to_json(self) -> bytes:
        """Write the manifest as JSON."""
        document = {"schema": "pseg.segment_manifest/1", **asdict(self)}
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def parse_manifest(document: dict[str, Any], where: str) -> SegmentManifest:
    """Read a manifest.

    Raises
    ------
    ContractError
        If it is not of this form, or a waterfall does not sum up.
    """
    try:
        manifest = read_document(SegmentManifest, {key: document[key] for key in document if key != "schema"})
    except (TypeError, ValueError) as error:
        raise ContractError(
            "this is not a segment manifest", where=where, why=str(error), fix="publish again"
        ) from error
    for segment in manifest.segments:
        counts = [count for _, count in segment.waterfall]
        if not counts or counts[0] - sum(counts[1:]) != segment.people:
            raise ContractError(f"the waterfall of {segment.name} does not sum up", where=where, fix="publish again")
    return manifest


def describe_file(path: Path, key: str, rows: int) -> PublishedFile:
    """Describe a file that was written."""
    return PublishedFile(key, rows, path.stat().st_size, sha256_of(path))


def sha256_of(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def verify_files(manifest: SegmentManifest, folder: Path) -> int:
    """Compare every file of a manifest with what lies in ``folder``; return how many rows they hold.

    Raises
    ------
    VerificationError
        If a file is missing or differs.
    """
    for segment in manifest.segments:
        for file in segment.all_files:
            path = folder / file.key
            if not path.is_file() or sha256_of(path) != file.sha256:
                problem = "is missing" if not path.is_file() else "is not what was published"
                raise VerificationError(
                    f"{file.key} {problem}", where=str(folder), fix="publish the run again; do not send this file"
                )
    return sum(file.rows for segment in manifest.segments for file in segment.files)


def verify_folder(manifests: tuple[SegmentManifest, ...], folder: Path) -> int:
    """Compare everything below ``segments/`` and ``holdouts/`` with the manifests; return how many rows are published.

    Raises
    ------
    VerificationError
        If a file is missing or differs, or any lies there that no manifest lists.
    """
    rows = sum(verify_files(manifest, folder) for manifest in manifests)
    known = {folder / file.key for m in manifests for segment in m.segments for file in segment.all_files}
    found = {path for place in PLACES for path in (folder / place).rglob("*") if path.is_symlink() or not path.is_dir()}
    if foreign := [path.relative_to(folder).as_posix() for path in sorted(found - known)]:
        raise VerificationError(
            f"{', '.join(foreign[:MAX_NAMED])}{' and more' if len(foreign) > MAX_NAMED else ''}: in no manifest",
            where=str(folder),
            why=f"{len(foreign):,} file{'s' if len(foreign) > 1 else ''} that this run did not publish",
            fix="remove what is not yours to send, or fetch the run again",
        )
    return rows
