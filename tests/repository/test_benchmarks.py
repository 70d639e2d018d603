"""The floor of the benchmarks runs the service's statements, so it must follow them: no command of CI runs a benchmark."""

from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import orjson
import pytest

from tests.support.client import Client
from tests.support.credentials import SECRET, token
from tests.support.on_loop import on_loop
from tests.support.pages import ROOT

TASKS = "/api/v1/me/tasks"
USER = "floor"


@pytest.fixture
def floor(url: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, which reads its settings when it is imported."""
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("JWT_SECRET", SECRET)
    spec = spec_from_file_location("floor", ROOT / "benchmarks" / "floor.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_floor_answers_each_operation_as_the_service_does(floor: ModuleType, anonymous: Client) -> None:
    @on_loop
    def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        status, reply, _ = floor.answer(method, path, "", token(USER), b"" if body is None else orjson.dumps(body))
        return status, orjson.loads(reply)

    service = anonymous.signed_in(token(USER))

    def shown() -> dict[str, Any]:
        read = service.get(place).json()
        return {name: read[name] for name in ("title", "status", "completed_at", "updated_at", "version", "position")}

    status, task = ask("POST", TASKS, {"title": "Made"})
    place = f"{TASKS}/{task['id']}"
    assert status == 201
    assert shown().items() <= task.items()
    for method, path, body in (
        ("PATCH", place, {"title": "Changed"}),
        ("PATCH", f"{place}/complete", None),
        ("GET", place, None),
    ):
        status, task = ask(method, path, body)
        assert status == 200
        assert shown().items() <= task.items()
    assert ask("GET", TASKS)[1]["items"] == [task]
