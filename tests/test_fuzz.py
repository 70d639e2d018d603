"""schemathesis against the running server, in short. `make fuzz` does it at length."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SECRET
from tests.fuzz import fuzz
from tests.live import Live


@pytest.fixture(scope="module")
def settings(url: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "JWT_SECRET": SECRET, "RATE_LIMIT": "off"}


@pytest.fixture(scope="module")
def live(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("live"), **settings) as service:
        yield service.ready()


@pytest.mark.parametrize(("any_user", "examples"), [(False, 8), (True, 2)], ids=["own-space", "any-space"])
def test_any_operation_fuzzed_keeps_the_contract(
    live: Live, settings: dict[str, str], tmp_path: Path, any_user: bool, examples: int
) -> None:
    said = fuzz(live, tmp_path, f"--max-examples={examples}", "--seed=1", any_user=any_user, **settings)
    assert "No issues found" in said
