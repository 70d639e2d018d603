"""`make test` needs Python and make alone: what needs another program is left out without it."""

import re
from pathlib import Path

import pytest

from tests.support.programs import FOUND, USES
from tests.support.redis_server import RedisServer

TESTS = Path(__file__).parents[1]
ELSEWHERE = {"mutants", "system"}
OTHERS = {"git", "java", "jq", "npm", "openssl", "psql"}


def test_test_is_skipped_without_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FOUND, "redis-server", None)
    with pytest.raises(pytest.skip.Exception, match="redis-server is missing"):
        RedisServer().start()


def test_tests_start_no_program_that_may_be_missing_by_its_name() -> None:
    started = re.compile(rf'\[\s*"({"|".join(sorted(OTHERS | USES.keys()))})"')
    files = [path for path in TESTS.glob("*/test_*.py") if path.parent.name not in ELSEWHERE]
    assert [path.name for path in files if started.search(path.read_text(encoding="utf-8"))] == []
