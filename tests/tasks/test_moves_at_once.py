"""Two moves into one gap at once: both take place, one after the other, and no two positions are equal."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.support.client import Client, Reply
from tests.support.tasks import create, path
from tests.support.trees import wrong

ROUNDS = 100


@pytest.mark.parametrize(
    ("is_below", "comes_from"), [(False, "the same branch"), (True, "the same branch"), (True, "elsewhere")]
)
def test_move_task_twice_into_one_gap_at_once_makes_both(
    ada: Client, direct: str, is_below: bool, comes_from: str
) -> None:
    parent = create(ada, "parent")["id"] if is_below else None
    away = {"parent_id": create(ada, "away")["id"] if comes_from == "elsewhere" else parent}
    low, high = (create(ada, title, parent_id=parent) for title in ("low", "high"))
    one, other = (create(ada, title, **away) for title in ("one", "other"))
    together = Barrier(2)

    def move(task: dict[str, str], body: dict[str, str]) -> Reply:
        together.wait(60)
        return ada.post(f"{path(task)}/move", body)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            into = [
                (one, {"after": low["id"], "parent_id": parent}),
                (other, {"before": high["id"], "parent_id": parent}),
            ]
            moved = [reply.result() for reply in [pool.submit(move, *each) for each in into]]
            assert [reply.status for reply in moved] == [200, 200]
            found = ada.get(f"/api/v1/me/tasks?sort=position&parent_id={parent or 'none'}").json()["items"]
            found = [task for task in found if task["title"] != "away"]
            assert [task["title"] for task in found] == ["low", "one", "other", "high"]
            assert len({task["position"] for task in found}) == 4
            assert len({task["version"] for task in found}) == 4
            assert wrong(direct, low) == []
            for task in (one, other):
                ada.post(f"{path(task)}/move", {"at": "last", **away})
