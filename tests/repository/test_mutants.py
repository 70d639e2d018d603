"""What `make mutants` changes: every module of the packages that it is for."""

from pathlib import Path

import pytest

from tests.mutants import packages as listing
from tests.mutants.packages import ROOT, packages

MUTATED = ("accounts", "api_keys", "auth", "database", "idempotency", "provisioning", "tasks", "throttling")
ELSEWHERE = {"todo_api/provisioning/migrations.py"}
"""What only tests that take minutes run."""


def test_packages_list_every_module_of_theirs_and_tests_that_are_there() -> None:
    listed = {module for package in packages() for module in package.tests}
    folders = [ROOT / "todo_api" / name for name in MUTATED]
    there = {
        str(path.relative_to(ROOT)) for folder in folders for path in folder.glob("*.py") if path.stem != "__init__"
    }
    missing = there - ELSEWHERE - listed
    assert not missing, f"add these to tests/mutants/packages.toml, with the tests that must notice: {sorted(missing)}"


def test_packages_with_a_path_that_is_not_there_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packages.toml").write_text('[auth]\n"todo_api/app.py" = ["tests/test_gone.py"]\n')
    monkeypatch.setattr(listing, "LIST", tmp_path / "packages.toml")
    with pytest.raises(FileNotFoundError, match=r"tests/test_gone\.py"):
        packages()
