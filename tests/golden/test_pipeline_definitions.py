"""Both pipelines of tests' world project are these very definitions; ``REWRITE_GOLDEN=1`` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.definitions import KINDS, define, make_project, without_hashes
from tests.embedded_aws import TwoAccounts
from tests.embedded_aws import accounts as accounts

FOLDER = Path(__file__).parent


@pytest.mark.parametrize("kind", KINDS)
def test_definition_is_the_golden_one(accounts: TwoAccounts, tmp_path: Path, kind: str) -> None:
    found = without_hashes(define(make_project(tmp_path / "spring"), kind))
    golden = FOLDER / f"{kind}_pipeline" / "expected.json"
    if os.environ.get("REWRITE_GOLDEN") == "1":
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")
