"""What `make mutants` changes: every module of the packages that it is for."""

from pathlib import Path

import pytest

from tests.mutants import packages as listing
from tests.mutants.packages import ROOT, packages

MUTATED = (
    "accounts",
    "api_keys",
    "auth",
    "database",
    "dry_runs",
    "idempotency",
    "past",
    "provisioning",
    "tasks",
    "throttling",
    "undo",
)
ELSEWHERE = {"todo_api/provisioning/migrations.py"}
"""What only tests that take minutes run."""

OF_NO_MODULE = {
    "tests/auth/test_scopes.py": "compares the contract with the documentation; authorization is in http",
    "tests/database/test_row_rules.py": "tests the constraints that migrations make",
}
"""Tests that would notice a change of none of the modules."""


def test_packages_list_every_module_of_theirs_and_tests_that_are_there() -> None:
    listed = {module for package in packages() for module in package.tests}
    folders = [ROOT / "todo_api" / name for name in MUTATED]
    there = {
        str(path.relative_to(ROOT)) for folder in folders for path in folder.glob("*.py") if path.stem != "__init__"
    }
    missing = there - ELSEWHERE - listed
    assert not missing, f"add these to tests/mutants/packages.toml, with the tests that must notice: {sorted(missing)}"


def test_packages_name_every_test_of_theirs_or_say_why_not() -> None:
    listed = {test for package in packages() for tests in package.tests.values() for test in tests}
    there = {str(path.relative_to(ROOT)) for name in MUTATED for path in (ROOT / "tests" / name).glob("test_*.py")}
    missing = sorted(there - listed - OF_NO_MODULE.keys())
    assert not missing, f"add these to tests/mutants/packages.toml, each to the modules that it tests: {missing}"
    assert OF_NO_MODULE.keys() <= there - listed


def test_packages_with_a_path_that_is_not_there_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packages.toml").write_text('[auth]\n"todo_api/app.py" = ["tests/test_gone.py"]\n')
    monkeypatch.setattr(listing, "LIST", tmp_path / "packages.toml")
    with pytest.raises(FileNotFoundError, match=r"tests/test_gone\.py"):
        packages()
