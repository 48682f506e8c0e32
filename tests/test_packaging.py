"""What is installed where: package names, the package list, and the locks."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]["name"]
PACKAGES: list[str] = PYPROJECT["tool"]["setuptools"]["packages"]
OUR_NAMES = sorted(name for name in PACKAGES if "." not in name)
NOT_SHIPPED = {"docs", "examples", "notebooks", "tests"}

EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
LOCKS = ["demo", "dev", "bench", "partner", "image", "test-image", "installer"]
# AWS's XGBoost image 3.2-0; numpy, pandas, pyarrow and scikit-learn are older there than what we develop on
AWS_IMAGE = {"numpy": "2.1.", "pandas": "2.2.3", "pyarrow": "22.", "scikit-learn": "1.8.", "xgboost": "3.2.0"}
PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[0-9][\w.!+]*)(?: ; (?P<marker>[^\\#/]+))? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def read_lines(lock: str) -> list[str]:
    return (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8").splitlines()


def read_pins(lock: str) -> dict[str, tuple[str, str]]:
    """Name of each pinned package -> its version and its environment marker ("" where it always applies)."""
    pins = (PIN.fullmatch(line) for line in read_lines(lock))
    return {pin["name"]: (pin["version"], pin["marker"] or "") for pin in pins if pin}


def expand(extra: str) -> list[Requirement]:
    """All requirements of an extra, those of the extras that it names among them."""
    requirements = [Requirement(text) for text in EXTRAS[extra]]
    ours = [requirement for requirement in requirements if requirement.name == PROJECT]
    others = [requirement for requirement in requirements if requirement.name != PROJECT]
    return others + [found for requirement in ours for name in requirement.extras for found in expand(name)]


@pytest.mark.parametrize("name", OUR_NAMES)
def test_our_package_name_is_provided_by_no_other_distribution(name: str) -> None:
    assert set(packages_distributions()[name]) == {PROJECT}


def test_package_list_names_every_package_folder() -> None:
    folders = (path.parent.relative_to(ROOT) for path in ROOT.glob("[!.]*/**/__init__.py"))
    found = {".".join(folder.parts) for folder in folders if folder.parts[0] not in NOT_SHIPPED}
    assert sorted(PACKAGES) == sorted(found)


def test_types_and_import_rules_are_checked_in_every_package() -> None:
    assert sorted(PYPROJECT["tool"]["mypy"]["files"]) == OUR_NAMES
    assert sorted(PYPROJECT["tool"]["importlinter"]["root_packages"]) == OUR_NAMES


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_only_pins_and_hashes_so_no_address_and_no_path(lock: str) -> None:
    assert [line for line in read_lines(lock) if not PIN.fullmatch(line) and not HASH.fullmatch(line)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_something_and_nothing_of_nvidia(lock: str) -> None:
    pins = read_pins(lock)
    assert pins
    assert [name for name in pins if name.startswith("nvidia")] == []


@pytest.mark.parametrize(
    ("lock", "unwanted"),
    [
        ("image", {"mlflow", "moto", "sagemaker", "xgboost"}),
        ("partner", {"boto3", "moto", "pandas", "sagemaker", "xgboost"}),
        ("demo", {"pytest", "mypy", "ruff"}),
    ],
)
def test_lock_leaves_out_what_its_place_must_not_need(lock: str, unwanted: set[str]) -> None:
    assert unwanted & read_pins(lock).keys() == set()


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock != "dev"])
def test_lock_has_the_versions_that_the_tests_ran(lock: str) -> None:
    tested = read_pins("dev")
    differing = {
        name: (version, tested[name][0])
        for name, (version, _) in read_pins(lock).items()
        if name in tested and tested[name][0] != version
    }
    assert differing.keys() - (AWS_IMAGE if lock == "test-image" else {}) == set()


def test_lock_of_the_image_tests_has_the_versions_of_awss_image() -> None:
    pins = read_pins("test-image")
    assert [name for name, version in AWS_IMAGE.items() if not pins[name][0].startswith(version)] == []


@pytest.mark.parametrize("python", ["3.11.4", "3.12.0"])
@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_dev_lock_contains_the_demo_lock(system: str, python: str) -> None:
    place = {"sys_platform": system, "python_full_version": python, "python_version": python.rpartition(".")[0]}
    place |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}

    def installed(lock: str) -> set[tuple[str, str]]:
        pins = read_pins(lock).items()
        return {(name, version) for name, (version, marker) in pins if not marker or Marker(marker).evaluate(place)}

    assert installed("demo")
    assert installed("demo") - installed("dev") == set()


@pytest.mark.parametrize("extra", ["demo", "dev", "bench", "partner", "image", "test-image"])
def test_lock_satisfies_every_requirement_of_its_extra(extra: str) -> None:
    pins = read_pins(extra)
    for requirement in expand(extra):
        version, _ = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), str(requirement)
