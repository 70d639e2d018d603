"""Readers who follow the feed while others write: in the end each has what the server has, wherever it had stopped."""

from random import Random

from tests.support.batches import done, new_id
from tests.support.client import Client
from tests.support.feed import LABELS, PROJECTS, Ask, Reader, Writer, followed, listed, readers, written

WRITERS = 8
WRITES = 25


def asking(client: Client) -> Ask:
    return lambda method, path, body: client.request(method, path, json_body=body)


def test_list_changes_beside_writers_gives_each_reader_what_the_server_has(ada: Client) -> None:
    seed = Random().getrandbits(32)  # noqa: S311  # no secret
    print(f"seed {seed}")  # it stands below the test if it fails
    done(ada, *({"create_task": {"title": f"Task {number}"}} for number in range(100)))
    ask = asking(ada)
    following = readers(ask, seed)
    with followed(following):
        statuses = written([Writer(ask, seed - number) for number in range(WRITERS)], lambda count: count < WRITES)
    assert statuses >= {200, 201, 204}
    # On a slow machine a write may wait for those before it longer than a statement may take.
    assert statuses <= {200, 201, 204, 400, 404, 409, 503}
    expected = listed(ask)
    for reader in following:
        assert (reader.tasks, reader.projects) == expected


def read_to_the_end(reader: Reader, limit: int) -> None:
    while reader.read(limit):
        pass


def test_list_changes_with_limit_1_after_cascades_of_a_hundred_gives_what_the_server_has(ada: Client) -> None:
    ask = asking(ada)
    reader = Reader(ask, 3)
    project = ada.post(PROJECTS, {"name": "Big"}).json()["id"]
    fields = {"project_id": project, "labels": ["home"]}
    done(ada, *({"create_task": {"title": f"Task {number}", **fields}} for number in range(100)))
    read_to_the_end(reader, 1000)
    for act in (
        lambda: ada.patch(f"{LABELS}/home", {"name": "garden"}).status,
        lambda: ada.delete(f"{LABELS}/garden").status,
        lambda: ada.delete(f"{PROJECTS}/{project}").status,
    ):
        assert act() in (200, 204)  # the deletion of a project has no content
        read_to_the_end(reader, 1)
        assert (reader.tasks, reader.projects) == listed(ask)


def test_list_changes_with_limit_1_between_batches_of_a_hundred_gives_what_the_server_has(ada: Client) -> None:
    """Each batch has one number, and the reader stands in the middle of it when the next one is written."""
    ask = asking(ada)
    reader = Reader(ask, 4)
    ids = [new_id() for _ in range(100)]
    for operations in (
        [{"create_task": {"id": id_, "title": "New"}} for id_ in ids],
        [{"update_task": {"id": id_, "change": {"title": "Changed"}}} for id_ in reversed(ids)],
        [{"complete_task": {"id": id_}} for id_ in ids[:50]] + [{"delete_task": {"id": id_}} for id_ in ids[50:]],
        [{"create_task": {"title": "Another"}} for _ in range(50)],
    ):
        done(ada, *operations)
        for _ in range(40):
            reader.read(1)
    read_to_the_end(reader, 1)
    assert (reader.tasks, reader.projects) == listed(ask)
    assert len(reader.tasks) == 100
