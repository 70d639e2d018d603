"""One round trip for a request: counted on the socket between the service and PostgreSQL, whatever the driver does."""

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.support.client import Client
from tests.support.credentials import PASSWORD, SECRET
from tests.support.rows import rows
from tests.support.secured_operations import KEY_SCOPES, SECURED
from todo_api.config import Config

TASKS = "/api/v1/me/tasks"
KEYS = "/api/v1/me/keys"
PROJECTS = "/api/v1/me/projects"


class Wire:
    """Passes bytes on between a client and a server of PostgreSQL, and keeps the client's messages.

    The format is that of PostgreSQL's manual, "Message Formats": a type byte, but for the first, and a length that counts itself.
    """

    def __init__(self, folder: Path, server: str) -> None:
        self.messages: list[tuple[bytes, bytes]] = []
        self._server, self._folder = server, folder
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._start(self._accept)

    def config(self, url: str) -> Config:
        """A service that reaches the database of `url` through here, over one connection."""
        through = make_url(url).update_query_dict({"host": str(self._folder)})
        return Config(database_url=through.render_as_string(hide_password=False), jwt_secret=SECRET, threads=1)

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return  # closed
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._sockets += [client, server]
            self._start(self._pass_on, client, server, True)
            self._start(self._pass_on, server, client, False)

    def _pass_on(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        unread, started = b"", False
        while received := _receive(source):
            if from_client:
                unread += received
                while True:
                    head = 1 if started else 0
                    size = head + int.from_bytes(unread[head : head + 4], "big")
                    if len(unread) < head + 4 or len(unread) < size:
                        break
                    if started:
                        self.messages.append((unread[:1], unread[5:size]))
                    started, unread = True, unread[size:]
            target.sendall(received)
        _shut(target)

    def close(self) -> None:
        _shut(self._listener)
        self._listener.close()
        for one in self._sockets:
            _shut(one)
        for thread in self._threads:
            thread.join(5)
        for one in self._sockets:
            one.close()


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""


def _shut(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # by the other side already


@pytest.fixture(scope="module")
def wire(url: str) -> Iterator[Wire]:
    with tempfile.TemporaryDirectory() as folder:
        host = make_url(url).query["host"]
        with closing(Wire(Path(folder), f"{host}/.s.PGSQL.5432")) as wire:
            yield wire


@pytest.fixture(scope="module")
def anonymous(url: str, wire: Wire, new_client: Callable[[Config], Client]) -> Client:
    """A client of a service behind the wire."""
    return new_client(wire.config(url))


@pytest.fixture
def task(ada: Client) -> str:
    return ada.post(TASKS, {"title": "Count me"}).headers["location"]


REQUESTS: dict[str, tuple[Callable[[Client, str], int], int]] = {
    "getTask": (lambda ada, task: ada.get(task).status, 200),
    "getTask-known": (lambda ada, task: ada.get(task, headers={"If-None-Match": '"1"'}).status, 304),
    "createTask": (lambda ada, _: ada.post(TASKS, {"title": "Another"}).status, 201),
    "replaceTask": (lambda ada, task: ada.put(task, {"title": "Other"}).status, 200),
    "updateTask": (lambda ada, task: ada.patch(task, {"title": "Other"}).status, 200),
    "updateTask-status": (lambda ada, task: ada.patch(task, {"status": "in_progress"}).status, 200),
    "updateTask-condition": (
        lambda ada, task: ada.patch(task, {"title": "Other"}, headers={"If-Match": '"1"'}).status,
        200,
    ),
    "completeTask-toggle": (lambda ada, task: ada.patch(f"{task}/complete").status, 200),
    "completeTask-set": (lambda ada, task: ada.patch(f"{task}/complete", {"completed": True}).status, 200),
    "deleteTask": (lambda ada, task: ada.delete(task).status, 204),
    "deleteTask-condition": (lambda ada, task: ada.delete(task, headers={"If-Match": '"1"'}).status, 204),
    "listTasks": (lambda ada, _: ada.get(TASKS).status, 200),
    "listTasks-filters": (lambda ada, _: ada.get(f"{TASKS}?status=pending&q=count&sort=title").status, 200),
    "listLabels": (lambda ada, _: ada.get("/api/v1/me/labels").status, 200),
    "listChanges": (lambda ada, _: ada.get("/api/v1/me/changes").status, 200),
    "listHistory": (lambda ada, _: ada.get("/api/v1/me/history").status, 200),
    "listTaskHistory": (lambda ada, task: ada.get(f"{task}/history").status, 200),
    "listTrash": (lambda ada, _: ada.get("/api/v1/me/trash").status, 200),
    "createProject": (lambda ada, _: ada.post(PROJECTS, {"name": "x"}).status, 201),
    "listProjects": (lambda ada, _: ada.get(PROJECTS).status, 200),
    "createApiKey": (lambda ada, _: ada.post(KEYS, {"name": "x", "scopes": ["account"]}).status, 201),
    "listApiKeys": (lambda ada, _: ada.get(KEYS).status, 200),
    "getAccount": (lambda ada, _: ada.get("/api/v1/me/account").status, 200),
    "updateAccount": (lambda ada, _: ada.patch("/api/v1/me/account", {"name": "Ada"}).status, 200),
    "updateAccount-condition": (
        lambda ada, _: ada.patch("/api/v1/me/account", {"name": "Ada"}, headers={"If-Match": '"0"'}).status,
        200,
    ),
}


SEVERAL = {
    "moveTask": "the user's row is locked, then the task and its new neighbours are read, then it is written",
    "revertTask": "the user's row is locked first, then the history is read, then members are put back",
    "revertChange": "the same",
    "renameLabel": "the user's row is locked first, so that every task is looked at as it is",
    "removeLabel": "the same",
    "runBatch": "the user's row is locked first, then each operation runs its statements",
    "emptyTrash": "the user's row is locked first, so that all of the trash is seen as it is",
    "purgeItem": "the same",
    "restoreItem": "the same; then it is written, with the rows of labels, the instants of dates and the count of the parent",
    "changeEmail": "the password is read, then checked, then the address is written",
    "changePassword": "the password is read, then checked, then the new one is written, and sessions are ended",
    "deleteAccount": "the password is read, then checked, then the user is deleted",
    "exportAccount": "it reads what there is piece by piece",
    "revokeApiKey": "one; the key to revoke is made first: it has a test of its own",
    "getProject": "one; the project is made first: it has a test of its own",
    "updateProject": "the same",
    "moveProject": "the user's row is locked first, so that the projects are looked at as they are",
    "deleteProject": "the user's row is locked first, so that the statement that deletes sees every task of the project",
}
"""Operations with a token that are not among the requests, with the reason. The list may only shrink."""


def test_every_operation_with_a_token_is_counted_or_has_a_reason() -> None:
    assert {name.partition("-")[0] for name in REQUESTS} | {*SEVERAL} == {
        each.name for each in SECURED if each.method != "HEAD"
    }
    assert {*SEVERAL} & {*REQUESTS} == set()


def test_list_tasks_with_known_tag_is_one_message(ada: Client, wire: Wire, task: str) -> None:
    tag = ada.get(TASKS).headers["etag"]
    wire.messages.clear()
    assert ada.get(TASKS, headers={"If-None-Match": tag}).status == 304
    assert [kind for kind, _ in wire.messages] == [b"Q"]


@pytest.mark.parametrize(("request_", "status"), REQUESTS.values(), ids=REQUESTS)
def test_operation_on_its_happy_path_is_one_message(
    ada: Client, wire: Wire, task: str, request_: Callable[[Client, str], int], status: int
) -> None:
    wire.messages.clear()
    assert request_(ada, task) == status
    assert [kind for kind, _ in wire.messages] == [b"Q"]
    assert {b"BEGIN", b"COMMIT", b"ROLLBACK"} & {*wire.messages[0][1].upper().split()} == set()


WITH_A_KEY = [name for name in REQUESTS if name not in ("createApiKey", "listApiKeys")]
"""No key can do these."""


@pytest.mark.parametrize("name", WITH_A_KEY)
def test_operation_with_an_api_key_is_one_message_more(ada: Client, wire: Wire, task: str, name: str) -> None:
    request, status = REQUESTS[name]
    made = ada.post(KEYS, {"name": "Count me", "scopes": KEY_SCOPES})
    key = ada.signed_in(made.json()["key"])
    wire.messages.clear()
    assert request(key, task) == status
    assert [(kind, b"app.key_digest" in text) for kind, text in wire.messages] == [
        (b"Q", True),
        (b"Q", False),
    ]


def test_get_task_with_a_mistyped_key_asks_the_database_nothing(ada: Client, wire: Wire, task: str) -> None:
    key = ada.post(KEYS, {"name": "Mistype me", "scopes": ["tasks:read"]}).json()["key"]
    wire.messages.clear()
    mistyped = key[:20] + ("A" if key[20] != "A" else "B") + key[21:]
    assert [ada.signed_in(each).get(task).status for each in (mistyped, key[:-1], f"{key}A", "tdk_")] == [401] * 4
    assert wire.messages == []


def test_get_task_for_the_first_time_on_a_connection_is_one_message_more(
    url: str, wire: Wire, task: str, ada: Client, new_client: Callable[[Config], Client]
) -> None:
    """The connection is told what all its statements run in. Preparing one takes no round trip of its own."""
    fresh = new_client(wire.config(url)).signed_in(ada.token)
    wire.messages.clear()
    assert [fresh.get(task).status for _ in range(2)] == [200, 200]
    assert {kind for kind, _ in wire.messages} == {b"Q"}
    told, *asked = [text for _, text in wire.messages]
    assert told.startswith(b"SET LOCAL statement_timeout = '5s'; SELECT pg_backend_pid() = ")
    assert [(text.startswith(b"SET LOCAL ROLE"), b"PREPARE" in text) for text in asked] == [(True, True), (True, False)]


def test_create_task_as_the_users_first_write_is_one_message(new_user: Callable[[], Client], wire: Wire) -> None:
    carol = new_user()
    wire.messages.clear()
    assert carol.post(TASKS, {"title": "First"}).status == 201
    assert [kind for kind, _ in wire.messages] == [b"Q"]


def test_update_task_dry_is_two_messages(ada: Client, wire: Wire, task: str) -> None:
    """The statement, which travels with the BEGIN, and the ROLLBACK: nothing is held while anything else is done."""
    wire.messages.clear()
    assert ada.patch(f"{task}?dry_run=true", {"title": "Other"}).status == 200
    (begun, written), (ended, undone) = wire.messages
    assert (begun, ended, undone) == (b"Q", b"Q", b"ROLLBACK\x00")
    assert {b"BEGIN", b"COMMIT"} & {*written.split()} == {b"BEGIN"}


def test_update_task_with_subtasks_to_another_status_is_one_message(ada: Client, wire: Wire, task: str) -> None:
    assert ada.post(TASKS, {"title": "Below", "parent_id": task.rpartition("/")[2]}).status == 201
    wire.messages.clear()
    assert ada.patch(task, {"status": "in_progress"}).status == 200
    assert [kind for kind, _ in wire.messages] == [b"Q"]


def test_update_task_to_each_status_is_one_message(ada: Client, wire: Wire, task: str) -> None:
    for status in ("in_progress", "pending", "completed", "pending", "cancelled", "pending"):
        wire.messages.clear()
        assert ada.patch(task, {"status": status}).status == 200
        assert [kind for kind, _ in wire.messages] == [b"Q"], status


def test_run_batch_of_creations_takes_as_many_messages_for_two_as_for_twenty(ada: Client, wire: Wire) -> None:
    taken = []
    for number in (2, 2, 20):  # the first time, statements are prepared
        wire.messages.clear()
        body = {"operations": [{"create_task": {"title": "One of them"}}] * number}
        assert ada.post("/api/v1/me/batch", body).status == 200
        taken.append(len(wire.messages))
    assert taken[1] == taken[2]


def test_create_task_of_user_whose_row_is_gone_is_one_message(ada: Client, wire: Wire, url: str, task: str) -> None:
    user_id = ada.get(task).json()["user_id"]
    rows(url, f"DELETE FROM users WHERE id = '{user_id}'")
    wire.messages.clear()
    assert [ada.post(TASKS, {"title": "Anew"}).json()["version"] for _ in range(2)] == [1, 2]
    assert len(wire.messages) == 2


def test_update_task_that_fails_asks_once_more_why(ada: Client, wire: Wire, task: str) -> None:
    """That the counting counts."""
    wire.messages.clear()
    assert ada.patch(task, {"title": "Lost"}, headers={"If-Match": '"0"'}).status == 412
    assert [kind for kind, _ in wire.messages] == [b"Q", b"Q"]


@pytest.mark.parametrize(
    "name",
    [
        "getTask",
        "createTask",
        "updateTask",
        "completeTask-toggle",
        "deleteTask",
        "listTasks",
        "createApiKey",
        "listApiKeys",
    ],
)
def test_operation_of_a_registered_user_is_one_message(anonymous: Client, wire: Wire, name: str) -> None:
    """Though its token is refused once the account is gone."""
    body = {"email": f"{name.lower()}@example.com", "password": PASSWORD}
    assert anonymous.post("/api/v1/auth/register", body).status == 201
    user = anonymous.signed_in(anonymous.post("/api/v1/auth/token", body).json()["access_token"])
    task = user.post(TASKS, {"title": "Count me"}).headers["location"]
    wire.messages.clear()
    request, status = REQUESTS[name]
    assert request(user, task) == status
    assert [kind for kind, _ in wire.messages] == [b"Q"]


def test_revoke_api_key_of_a_registered_user_is_one_message(anonymous: Client, wire: Wire) -> None:
    body = {"email": "revoker@example.com", "password": PASSWORD}
    assert anonymous.post("/api/v1/auth/register", body).status == 201
    user = anonymous.signed_in(anonymous.post("/api/v1/auth/token", body).json()["access_token"])
    key = user.post(KEYS, {"name": "Count me", "scopes": ["tasks:read"]}).json()["id"]
    wire.messages.clear()
    assert user.delete(f"{KEYS}/{key}").status == 204
    assert [kind for kind, _ in wire.messages] == [b"Q"]


def test_get_and_update_project_are_one_message_each(ada: Client, wire: Wire) -> None:
    project = ada.post(PROJECTS, {"name": "Count me"}).headers["location"]
    for request, status in (
        (lambda: ada.get(project).status, 200),
        (lambda: ada.patch(project, {"name": "Counted"}, headers={"If-Match": '"1"'}).status, 200),
    ):
        wire.messages.clear()
        assert request() == status
        assert [kind for kind, _ in wire.messages] == [b"Q"]
