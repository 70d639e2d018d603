"""Two moves into one gap at once: both take place, one after the other, and no two positions are equal."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from tests.support.client import Client, Reply
from tests.support.tasks import create, path

ROUNDS = 100


def test_move_task_twice_into_one_gap_at_once_makes_both(ada: Client) -> None:
    low, high, one, other = (create(ada, title) for title in ("low", "high", "one", "other"))
    together = Barrier(2)

    def move(task: dict[str, str], body: dict[str, str]) -> Reply:
        together.wait(60)
        return ada.post(f"{path(task)}/move", body)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            into = [(one, {"after": low["id"]}), (other, {"before": high["id"]})]
            moved = [reply.result() for reply in [pool.submit(move, *each) for each in into]]
            assert [reply.status for reply in moved] == [200, 200]
            found = ada.get("/api/v1/me/tasks?sort=position").json()["items"]
            assert [task["title"] for task in found] == ["low", "one", "other", "high"]
            assert len({task["position"] for task in found}) == 4
            assert len({task["version"] for task in found}) == 4
            for task in (one, other):
                ada.post(f"{path(task)}/move", {"at": "last"})
