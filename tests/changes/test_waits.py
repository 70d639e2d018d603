"""Requests that wait for a change: they are answered when it comes, and hold nothing meanwhile."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import flask
import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import SECRET, token
from tests.support.live import Live, Wire
from tests.support.on_loop import on_loop
from tests.support.processes import soon
from tests.support.rows import rows
from tests.support.tasks import create, path
from todo_api.admission import AdmissionControl
from todo_api.changes import ChangeService, Waits, statements
from todo_api.changes import waits as waiting
from todo_api.config import Config
from todo_api.database import Database
from todo_api.database.greenlets import spawn

CHANGES = "/api/v1/me/changes"
KEYS = "/api/v1/me/keys"


class Waiters:
    """Requests of an application that wait, each in a thread of its own."""

    def __init__(self, client: Client, pool: ThreadPoolExecutor) -> None:
        with client._app.app.app_context():
            self.waits: Waits = flask.g.services.waits
        self._client = client
        self._pool = pool

    def asleep(self) -> int:
        """Return how many wait now."""
        return sum(one.seq is not None for of_user in [*self.waits._waiters.values()] for one in of_user)

    def ask(self, client: Client, since: str, seconds: int = 30, **headers: str) -> Future[Reply]:
        """Return the reply to come of a request that waits."""
        before = self.asleep()
        reply = self._pool.submit(client.get, f"{CHANGES}?since={since}&wait={seconds}", headers=headers)
        assert soon(lambda: reply.done() or self.asleep() > before)
        return reply

    def look(self) -> None:
        """Look at what other processes have written, as the service does all the time."""
        asyncio.run_coroutine_threadsafe(spawn(self.waits.look), self._client._loop).result(60)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as pool:
        yield pool


@pytest.fixture
def waiters(anonymous: Client, pool: ThreadPoolExecutor) -> Waiters:
    return Waiters(anonymous, pool)


def next_of(client: Client) -> str:
    """Return the token of who has everything."""
    return str(client.get(CHANGES).json()["next"])


def titles(reply: Reply) -> list[str]:
    """Return the titles of the tasks of a page."""
    assert reply.status == 200
    return [task["title"] for task in reply.json()["tasks"]]


def test_list_changes_with_wait_is_answered_by_a_write_of_the_process(
    ada: Client, bob: Client, waiters: Waiters
) -> None:
    create(ada)
    create(bob)
    replies = [waiters.ask(ada, next_of(ada)) for _ in range(2)]
    of_bob = waiters.ask(bob, next_of(bob))
    create(ada, "New")
    assert [titles(reply.result(60)) for reply in replies] == [["New"]] * 2
    assert not of_bob.done()
    create(bob, "Other")
    assert titles(of_bob.result(60)) == ["Other"]


def test_list_changes_with_wait_is_answered_by_a_write_of_another_process(
    ada: Client, url: str, waiters: Waiters, new_client: Callable[[Config], Client]
) -> None:
    create(ada)
    elsewhere = new_client(Config(database_url=url, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000))
    reply = waiters.ask(ada, next_of(ada))
    waiters.look()
    create(elsewhere.signed_in(ada.token), "New")
    waiters.look()
    assert titles(reply.result(60)) == ["New"]


def test_list_changes_with_wait_of_who_has_no_row_is_answered_by_the_first_write(ada: Client, waiters: Waiters) -> None:
    reply = waiters.ask(ada, next_of(ada))
    waiters.look()
    assert not reply.done()
    create(ada, "New")
    assert titles(reply.result(60)) == ["New"]


def test_list_changes_with_wait_and_something_there_is_answered_at_once(ada: Client) -> None:
    create(ada)
    since = next_of(ada)
    create(ada, "New")
    assert titles(ada.get(f"{CHANGES}?since={since}&wait=30")) == ["New"]
    assert titles(ada.get(f"{CHANGES}?wait=30")) == ["Buy milk", "New"]


def test_list_changes_at_the_end_of_the_wait_has_nothing_and_the_same_next(ada: Client) -> None:
    create(ada)
    since, tag = next_of(ada), ada.get(CHANGES).headers["etag"]
    page = ada.get(f"{CHANGES}?since={since}&wait=1").json()
    assert page == {"full": False, "tasks": [], "projects": [], "deleted": [], "next": since, "more": False}
    assert ada.get(f"{CHANGES}?since={since}&wait=1", headers={"If-None-Match": tag}).status == 304


def test_list_changes_with_wait_of_who_has_everything_reads_no_page(
    ada: Client, waiters: Waiters, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(ada)
    since = next_of(ada)
    with monkeypatch.context() as patch:
        patch.setattr(ChangeService, "page", None)  # whoever would read one fails
        assert ada.get(f"{CHANGES}?since={since}&wait=1").json()["next"] == since
    reply = waiters.ask(ada, since)
    create(ada, "New")
    assert titles(reply.result(60)) == ["New"]


def test_list_changes_with_wait_after_a_restore_is_410_at_once(ada: Client, url: str) -> None:
    task = create(ada)
    since = next_of(ada)
    rows(url, f"UPDATE users SET epoch = epoch + 1 WHERE id = '{task['user_id']}'")
    assert ada.get(f"{CHANGES}?since={since}&wait=30").code == "resync_required"


def test_list_changes_with_wait_goes_on_waiting_after_a_write_that_changes_nothing(
    ada: Client, waiters: Waiters
) -> None:
    task = create(ada)
    reply = waiters.ask(ada, next_of(ada))
    assert ada.patch(path(task), {"title": task["title"]}).status == 200
    assert ada.post(KEYS, {"name": "x", "scopes": ["account"]}).status == 201
    assert soon(lambda: waiters.asleep() == 1)
    assert not reply.done()
    assert ada.delete(path(task)).status == 204
    assert [each["id"] for each in reply.result(60).json()["deleted"]] == [task["id"]]


def test_list_changes_with_wait_holds_no_slot_and_no_connection(
    url: str, pool: ThreadPoolExecutor, new_client: Callable[[Config], Client]
) -> None:
    one_slot = Config(database_url=url, jwt_secret=SECRET, rate_limit="off", threads=1, queue_limit=60_000)
    ada = new_client(one_slot).signed_in(token("one slot"))
    create(ada)
    waiters = Waiters(ada, pool)
    replies = [waiters.ask(ada, next_of(ada)) for _ in range(5)]
    assert ada.get("/api/v1/me/tasks").status == 200
    create(ada, "New")
    assert [titles(reply.result(60)) for reply in replies] == [["New"]] * 5
    assert ada.get("/api/v1/me/tasks").status == 200


def test_list_changes_of_more_than_ten_that_wait_is_429(ada: Client, bob: Client, waiters: Waiters) -> None:
    create(ada)
    since = next_of(ada)
    replies = [waiters.ask(ada, since) for _ in range(waiting.MOST_OF_USER)]
    refused = ada.get(f"{CHANGES}?since={since}&wait=30")
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (429, "rate_limited", "1")
    assert ada.get(f"{CHANGES}?since={since}").status == 200
    of_bob = waiters.ask(bob, next_of(bob))
    create(bob)
    assert of_bob.result(60).status == 200
    create(ada, "New")
    assert {titles(reply.result(60))[0] for reply in replies} == {"New"}
    again = waiters.ask(ada, next_of(ada))
    create(ada)
    assert again.result(60).status == 200


def test_list_changes_with_wait_in_a_process_with_too_many_is_answered_at_once(
    ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(ada)
    since = next_of(ada)
    monkeypatch.setattr(waiting, "MOST", 0)
    monkeypatch.setattr(AdmissionControl, "pause", None)  # whoever would wait fails
    assert ada.get(f"{CHANGES}?since={since}&wait=30").json()["next"] == since


def test_list_changes_with_wait_by_a_key_that_is_revoked_meanwhile_is_401(ada: Client, waiters: Waiters) -> None:
    create(ada)
    key = ada.post(KEYS, {"name": "Soon gone", "scopes": ["tasks:read"]}).json()
    reply = waiters.ask(ada.signed_in(key["key"]), next_of(ada))
    assert ada.delete(f"{KEYS}/{key['id']}").status == 204
    assert reply.result(60).status == 401


@pytest.mark.parametrize("seconds", [-1, 31])
def test_list_changes_with_a_wait_out_of_bounds_is_400(ada: Client, seconds: int) -> None:
    assert ada.get(f"{CHANGES}?wait={seconds}").status == 400


def test_service_forgets_who_has_left_and_answers_who_waits_when_it_stops(folder: Path, url: str) -> None:
    with Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET) as service, ExitStack() as open_wires:
        service.ready()
        waits = token("who waits")
        service.request("POST", "/api/v1/me/tasks", b'{"title": "There"}', token=waits)
        since = service.request("GET", CHANGES, token=waits).json()["next"]
        asked = (
            f"GET {CHANGES}?since={since}&wait=30 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {waits}\r\n\r\n".encode()
        )
        # Until the service has noticed it, the next one is refused. Their time is over after thirty seconds.
        one_more = f"{CHANGES}?since={since}&wait=1"
        for leave in (Wire.reset, lambda gone: gone.socket.close()):
            for _ in range(waiting.MOST_OF_USER):
                wire = service.wire()
                wire.send(asked)
                leave(wire)
            assert soon(lambda: service.request("GET", one_more, token=waits).status == 200, 20)
        with service.wire() as wire:
            wire.send(asked)
            wire.socket.shutdown(socket.SHUT_WR)
            wire.socket.settimeout(20)
            assert wire.reply().json()["next"] == since
        wires = [open_wires.enter_context(service.wire()) for _ in range(3)]
        for wire in wires:
            wire.send(asked)
        assert soon(lambda: service.request("GET", "/health/live").status == 200)
        service.process.send_signal(signal.SIGTERM)
        assert [wire.reply().status for wire in wires] == [200] * 3
        assert service.end() == 0


@pytest.mark.parametrize(("seen", "asked_for"), [(["ann"], ["ann", "ben"]), (["ann", "ben"], ["ann"])])
@on_loop
def test_waits_read_the_number_of_no_user_that_is_not_seen_or_not_asked_for(
    url: str, seen: list[str], asked_for: list[str]
) -> None:
    rows(url, "INSERT INTO users (id, seq) VALUES ('ann', 1), ('ben', 2) ON CONFLICT DO NOTHING")
    with closing(Database(url, pool_size=1)) as database:
        found = database.as_waiting(seen).fetch_all(statements.waited_for, {"user_ids": asked_for})
    assert found == [("ann", 1)]
