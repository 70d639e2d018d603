"""Admission gate: who is started, who waits, and what a refusal is. On a clock of its own, however slow the machine."""

import asyncio
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

import orjson
import pytest
from connexion.spec import Specification

from tests.support.clock import Clock
from todo_api import contract
from todo_api.admission import ANONYMOUS, AdmissionControl, Reservation
from todo_api.admission.control import LOOK_SECONDS
from todo_api.errors import Overloaded, Unauthorized
from todo_api.http.authentication import TokenLookup
from todo_api.http.connexion_app import CompiledSpecification
from todo_api.http.cors import CorsFields
from todo_api.http.problems import render_problem
from todo_api.observability import RequestRecord
from todo_api.server.gate import AdmissionGate

LIMIT = 0.2
TASKS = "/api/v1/me/tasks"
ADA, BOB, EVE = "ada", "bob", "eve"


@pytest.fixture(scope="module")
def specifications() -> list[Specification]:
    documents = [contract.load(path) for path in (contract.TASK_API, contract.OPS_API)]
    return [CompiledSpecification(document) for document in documents]


class Holder:
    """The identity of an API key."""

    subject = ADA
    scopes: frozenset[str] | None = None


class Request:
    """A request at the gate. Once started it claims a slot at once, unless it needs none."""

    def __init__(self, edge: "Edge", name: str, user: str | None, *, needs_slot: bool, **about: Any) -> None:
        fields = [(b"authorization", b"Bearer " + user.encode())] if user else []
        self.scope: dict[str, Any] = {
            "method": about.get("method", "GET"),
            "raw_path": about.get("path", TASKS).encode(),
            "headers": [*fields, *about.get("fields", [])],
            "state": {},
        }
        self.user = user
        self.sent: tuple[int, bytes, bytes] | None = None
        self.end = asyncio.Event()
        self._edge, self._name, self._needs_slot = edge, name, needs_slot

    def start(self) -> None:
        self._edge.started.append(self._name)
        self._edge.tasks.append(self._edge.loop.create_task(self._run()))

    async def _run(self) -> None:
        if not self._needs_slot:
            return
        state, user = self.scope["state"], self.user or ANONYMOUS
        try:
            await self._edge.admission.acquire(user, state["read_at"], state.get("reservation"))
        except Overloaded:
            self._edge.refused_inside.append(self._name)
            return
        self._edge.running.append(self._name)
        await self.end.wait()
        self._edge.running.remove(self._name)
        self._edge.admission.release(user)

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        self.sent = status, head, body
        self._edge.refused.append(self._name)


class Edge:
    """The gate with requests, by name: a name's first part is the user's, who is known unless a stranger."""

    def __init__(self, slots: int, specifications: list[Specification]) -> None:
        self.clock = Clock()
        self.loop = self.clock.new_loop()
        self.admission = AdmissionControl(slots, LIMIT, lambda: self.clock.now)
        self.records: list[RequestRecord] = []
        self.gate = AdmissionGate(self.admission, {ADA: ADA, BOB: BOB, EVE: EVE}.get, CorsFields(()), (self,))
        for specification in specifications:
            self.gate.add_api(specification)
        self.started: list[str] = []
        self.running: list[str] = []
        self.refused: list[str] = []
        self.refused_inside: list[str] = []
        self.requests: dict[str, Request] = {}
        self.queued: dict[str, Any] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def on_start(self, record: RequestRecord) -> None:
        raise AssertionError("no request is started by the gate")

    def on_end(self, record: RequestRecord) -> None:
        self.records.append(record)

    def send(self, *names: str, needs_slot: bool = True, **about: Any) -> None:
        """Send all of them in one turn of the event loop."""

        async def arrive() -> None:
            for name in names:
                user = name.split(" ")[0]
                request = Request(self, name, None if user == "nobody" else user, needs_slot=needs_slot, **about)
                self.requests[name] = request
                self.queued[name] = self.gate.enter(request)

        self.run(arrive())

    def end(self, *names: str) -> None:
        for name in names:
            self.requests[name].end.set()
            self.run(asyncio.sleep(0))

    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def run(self, work: Any) -> None:
        async def settle() -> None:
            await work
            for _ in range(10):
                await asyncio.sleep(0)

        self.loop.run_until_complete(settle())


@pytest.fixture
def edge(specifications: list[Specification]) -> Iterator[Callable[..., Edge]]:
    made: list[Edge] = []

    def make(slots: int, **options: Any) -> Edge:
        made.append(Edge(slots, specifications, **options))
        return made[-1]

    yield make
    for each in made:
        for task in each.tasks:
            task.cancel()
        each.run(asyncio.sleep(0))
        each.loop.close()


def test_requests_of_one_turn_of_the_loop_are_started_only_as_there_are_slots(edge: Callable[..., Edge]) -> None:
    it = edge(4)
    it.send("ada 1", "bob 1", "eve 1", "ada 2", "bob 2", "eve 2")
    assert it.running == ["ada 1", "bob 1", "eve 1", "ada 2"]
    assert it.started == it.running
    it.end("bob 1")
    assert it.started[4:] == ["bob 2"]


def test_request_is_refused_at_the_limit_without_being_started(edge: Callable[..., Edge]) -> None:
    it = edge(1)
    it.send("ada 1")
    it.send("bob 1")
    it.pass_time(LIMIT - 0.001)
    assert it.refused == []
    it.pass_time(0.001 + LOOK_SECONDS)
    assert it.refused == ["bob 1"]
    assert it.started == ["ada 1"]


def test_refused_request_leaves_the_queue_to_the_next(edge: Callable[..., Edge]) -> None:
    it = edge(1)
    it.send("ada 1", "bob 1")
    it.pass_time(LIMIT / 2)
    it.send("eve 1")
    it.pass_time(LIMIT / 2 + LOOK_SECONDS)
    it.end("ada 1")
    assert (it.running, it.refused) == (["eve 1"], ["bob 1"])


def test_refusal_is_that_of_the_pipeline(edge: Callable[..., Edge]) -> None:
    it = edge(1)
    it.send("ada 1", "bob 1", fields=[(b"x-request-id", b'a"\\b')])
    it.pass_time(LIMIT + LOOK_SECONDS)
    assert it.requests["bob 1"].sent is not None
    status, head, body = it.requests["bob 1"].sent
    expected_status, fields, expected = render_problem(Overloaded(), 'a"\\b')
    assert (status, body) == (expected_status, expected)
    lines = {tuple(line.split(b": ", 1)) for line in head.split(b"\r\n") if line}
    common = {
        (b"x-request-id", b'a"\\b'),
        (b"x-content-type-options", b"nosniff"),
        (b"vary", b"Authorization"),
    }
    assert lines == {*fields, *common}
    assert orjson.loads(body)["request_id"] == 'a"\\b'


def test_refusal_of_a_request_without_a_token_does_not_vary(edge: Callable[..., Edge]) -> None:
    it = edge(1)
    it.send("ada 1", "nobody 1")
    it.pass_time(LIMIT + LOOK_SECONDS)
    assert it.requests["nobody 1"].sent is not None
    assert b"vary" not in it.requests["nobody 1"].sent[1]


def test_refusal_has_its_record(edge: Callable[..., Edge]) -> None:
    it = edge(1)
    trace = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    it.send("ada 1")
    it.send("bob 1", method="HEAD", path=f"{TASKS}/1", fields=[(b"traceparent", trace)])
    it.pass_time(LIMIT + LOOK_SECONDS)
    (record,) = it.records
    told = (record.method, record.operation, record.route, record.status, record.code, record.subject)
    assert told == ("HEAD", "getTask", "/api/v1/{user_id}/tasks/{task_id}", 503, "overloaded", BOB)
    assert (record.trace_id, record.statements, record.started) == ("a" * 32, 0, False)
    assert record.started_at == 1000.0


def test_client_that_leaves_while_it_waits_is_not_started_nor_refused(edge: Callable[..., Edge]) -> None:
    it = edge(1)
    it.send("ada 1", "bob 1", "eve 1")
    it.gate.leave(it.queued["bob 1"])
    (record,) = it.records
    assert (record.status, record.code, record.operation) == (499, None, "listTasks")
    it.end("ada 1")
    it.pass_time(LIMIT + LOOK_SECONDS)
    assert (it.started, it.refused) == (["ada 1", "eve 1"], [])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
        ("GET", "/"),
        ("GET", "/nothing"),
        ("GET", "/api/v1/nothing"),
        ("DELETE", TASKS),
        ("OPTIONS", TASKS),
        ("OPTIONS", "*"),
    ],
)
def test_request_that_needs_no_slot_is_started_however_many_wait(
    edge: Callable[..., Edge], method: str, path: str
) -> None:
    it = edge(1)
    it.send("ada 1", "bob 1", "nobody 1")
    it.send("nobody 2", needs_slot=False, method=method, path=path)
    assert it.started == ["ada 1", "nobody 2"]


def test_request_that_claims_no_slot_leaves_it_to_the_next(edge: Callable[..., Edge]) -> None:
    """One that is answered 401 or 404, or waits for something else first."""
    it = edge(1)
    it.send("nobody 1", needs_slot=False)
    it.send("ada 1")
    it.send("nobody 2", "nobody 3", needs_slot=False)
    it.send("bob 1")
    assert it.running == ["ada 1"]
    it.end("ada 1")
    assert it.started == ["nobody 1", "ada 1", "nobody 2", "nobody 3", "bob 1"]
    assert it.running == ["bob 1"]


def test_user_with_half_of_the_slots_is_passed_over_while_others_wait(edge: Callable[..., Edge]) -> None:
    it = edge(4)
    it.send("eve 1", "eve 2", "eve 3")
    it.send(*(f"eve {number}" for number in range(4, 100)))
    assert it.running == ["eve 1", "eve 2", "eve 3"]
    it.send("ada 1", "bob 1")
    assert it.running[3:] == ["ada 1"]
    it.end("eve 1")
    assert it.running == ["eve 2", "eve 3", "ada 1", "bob 1"]
    it.end("ada 1", "bob 1")
    assert it.running == ["eve 2", "eve 3", "eve 4"]


def test_tokens_that_nobody_has_verified_wait_as_one_stranger(edge: Callable[..., Edge]) -> None:
    it = edge(4)
    for number in range(100):
        it.send(f"nobody {number}", fields=[(b"authorization", b"Bearer forged-%d" % number)])
    assert len(it.running) == 3
    it.send("ada 1", "bob 1")
    assert it.running[3:] == ["ada 1"]
    it.end(it.running[0])
    assert it.running[3:] == ["bob 1"]
    assert it.started == ["nobody 0", "nobody 1", "nobody 2", "ada 1", "bob 1"]


def test_standstill_refuses_nobody_who_is_read_after_it(edge: Callable[..., Edge]) -> None:
    it = edge(2)
    it.send("ada 1")
    it.clock.now += 3
    names = [f"{user} {number}" for number in range(2, 32) for user in (ADA, BOB)]
    it.send(*names)
    while it.running:
        it.end(*it.running)
        it.pass_time(0.005)
    assert sorted(it.started) == sorted(["ada 1", *names])
    assert (it.refused, it.refused_inside) == ([], [])


def test_reservation_is_claimed_once(edge: Callable[..., Edge]) -> None:
    it = edge(2)
    assert it.admission.try_take(ANONYMOUS)
    reservation = Reservation(it.admission, ANONYMOUS)
    assert reservation.claim(ADA)
    assert not reservation.claim(ADA)
    reservation.cancel()
    it.send("bob 1", "bob 2")
    assert it.running == ["bob 1"]


def test_reservation_of_another_is_not_for_a_user_with_half_of_the_slots(edge: Callable[..., Edge]) -> None:
    it = edge(4)
    it.send("eve 1", "eve 2")
    assert it.admission.try_take(ANONYMOUS)
    reservation = Reservation(it.admission, ANONYMOUS)
    assert not reservation.claim(EVE)
    it.send("ada 1", "bob 1")
    assert it.running == ["eve 1", "eve 2", "ada 1", "bob 1"]


def test_request_with_an_api_key_keeps_the_slot_of_its_look_up(edge: Callable[..., Edge]) -> None:
    it = edge(1)
    record = RequestRecord("GET", "id", None, ())
    record.ready_at = it.clock.now
    state: dict[str, Any] = {"record": record}
    lookup = TokenLookup("key_", str, lambda _: Holder(), admission=it.admission)

    async def ask() -> None:
        await lookup.authenticate("key_1", state)
        await it.admission.acquire(ADA, record.ready_at, state["reservation"])
        it.running.append("ada, by key")

    it.send("eve 1")
    it.tasks.append(it.loop.create_task(ask()))
    it.run(asyncio.sleep(0))
    it.send("bob 1")
    it.pass_time(LIMIT - 0.001)
    it.end("eve 1")
    assert it.running == ["ada, by key"]

    async def done() -> None:
        it.admission.release(ADA)

    it.run(done())
    assert it.running[1:] == ["bob 1"]


def test_look_up_that_finds_nobody_leaves_its_slot_to_the_next(edge: Callable[..., Edge]) -> None:
    it = edge(1)
    state: dict[str, Any] = {"record": RequestRecord("GET", "id", None, ())}

    def find(_: str) -> Holder:
        raise Unauthorized

    lookup = TokenLookup("key_", str, find, admission=it.admission)
    task = it.loop.create_task(lookup.authenticate("key_1", state))
    it.loop.run_until_complete(asyncio.wait([task]))
    assert isinstance(task.exception(), Unauthorized)
    it.send("bob 1")
    assert it.running == ["bob 1"]


def test_reply_that_has_begun_waits_in_the_same_queue(edge: Callable[..., Edge]) -> None:
    it = edge(1)
    it.send("ada 1")
    piece = it.loop.create_task(it.admission.acquire(BOB, inf))
    it.tasks.append(piece)
    it.run(asyncio.sleep(0))
    it.send("eve 1")
    it.pass_time(LIMIT / 2)
    it.end("ada 1")
    assert piece.done()
    it.pass_time(LIMIT + LOOK_SECONDS)
    assert it.refused == ["eve 1"]


def test_nothing_is_kept_of_requests_that_are_over(edge: Callable[..., Edge]) -> None:
    it = edge(2)
    it.send(*(f"stranger{number} 1" for number in range(20)), "ada 1", "bob 1")
    it.pass_time(2 * LIMIT)
    it.end(*it.running)
    assert not it.running
    assert not it.admission._held
    assert not it.admission._waiting
