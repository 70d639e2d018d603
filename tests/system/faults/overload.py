"""More than the service can take, from clients that go on whatever they are told and from clients that retry at once."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from tests.system.faults.report import Report
from tests.system.faults.sender import Flood, Told, milliseconds, mixture, outcomes
from tests.system.faults.stage import Stage
from todo_api.config import Config

LIMIT = Config(jwt_secret="").queue_limit / 1000
SHARE = 0.7
"""The part of its capacity that the service must answer in overload."""

SLOWEST = 200.0
"""Maximum milliseconds until a reply, at the 95th percentile."""

PROMPT = 50.0
"""Maximum milliseconds from the deadline to a refusal, at the 95th percentile."""

NORMAL = 0.7
ROUNDS = 3
ADDRESSES = 8
"""Addresses of the clients: one alone may not have all the connections of a worker."""

BUSY = 32
"""Connections that keep the service busy without an overload."""

MEASURED = 2.0
"""Seconds of a measurement of the capacity."""

KEPT = 0.99
"""The part of the requests after an overload that must be answered."""

STANDSTILL = 3.0
RATE = 20.0
"""Requests a second during a standstill."""


def overload(stage: Stage, report: Report, seconds: float) -> None:
    """Measures what it can take, then what it answers of twice that, of connections that retry at once, and through standstills.

    What it can take is the mean of before and after each: on a machine that is shared it changes from one minute to the next.
    """
    texts = mixture(stage)
    _capacity(stage, texts)  # until every statement is prepared
    _twice(stage, texts, report, seconds)
    for connections in (200, 400):
        _retrying(stage, texts, report, seconds / 2, connections)
    for name, stand in (("worker", _stop_workers), ("database", _stop_database)):
        _standstill(stage, texts, report, name, stand)


def _capacity(stage: Stage, texts: list[str]) -> float:
    """Return the requests a second that the service answers to a few busy connections."""
    told = Flood(stage, texts, connections=BUSY, seconds=MEASURED, addresses=ADDRESSES).told()
    return outcomes(told)["200"] / MEASURED


class Figure(NamedTuple):
    """Numbers of answered and of refused requests of an overload."""

    capacity: float
    told: Told
    seconds: float

    @property
    def share(self) -> float:
        """Return the part of the capacity that was answered."""
        return float(self.told["outcomes"].get("200", 0)) / self.seconds / self.capacity

    @property
    def holds(self) -> bool:
        """Return whether the numbers are as they must be."""
        slow, late = milliseconds([self.told], "accepted")[2], milliseconds([self.told], "refused")[2]
        is_prompt = slow <= SLOWEST and late <= LIMIT * 1000 + PROMPT
        return self.share >= SHARE and is_prompt and not set(self.told["outcomes"]) - {"200", "503"}

    def __str__(self) -> str:
        _, middle, slow = milliseconds([self.told], "accepted")
        early, _, late = milliseconds([self.told], "refused")
        found = self.told["outcomes"]
        refused = f"{found.get('503', 0)} refused after {early:.0f} to {late:.0f} ms (p5, p95)"
        delays = self.told["delays"]
        sender = f"; the sender was {delays[2] * 1000:.0f} ms late (p95)" if delays else ""
        others = {name: number for name, number in found.items() if name not in ("200", "503")}
        return (
            f"of {self.capacity:.0f}/s that it can take {self.share:.0%} answered, p50 {middle:.0f} ms, p95 {slow:.0f} ms; "
            f"{refused if '503' in found else 'none refused'}{f'; {others}' if others else ''}{sender}"
        )


def _twice(stage: Stage, texts: list[str], report: Report, seconds: float) -> None:
    """Twice what it can take, then what it takes with ease, some rounds; most of them must hold."""
    rounds, before, after = [], [], []
    for _ in range(ROUNDS):
        capacity = _capacity(stage, texts)
        normal = NORMAL * capacity
        stages = [[MEASURED, normal], [seconds, 2 * capacity], [1.0, normal], [MEASURED, normal]]
        told = Flood(stage, texts, stages=stages, addresses=ADDRESSES).told()
        rounds.append(Figure((capacity + _capacity(stage, texts)) / 2, told[1], seconds))
        before.append(told[0])
        after.append(told[3])
    report.figure(
        f"Twice what it can take, for {seconds:.0f} s, {ROUNDS} times",
        " / ".join(map(str, rounds)),
        holds=sum(each.holds for each in rounds) > ROUNDS / 2,
    )
    report.figure(
        f"A second after it, {NORMAL:.0%} of what it can take",
        f"p95 {milliseconds(after, 'accepted')[2]:.0f} ms, before it {milliseconds(before, 'accepted')[2]:.0f} ms; "
        f"outcomes {dict(outcomes(after))}",
        holds=outcomes(after)["200"] >= KEPT * outcomes(after).total(),
    )


def _retrying(stage: Stage, texts: list[str], report: Report, seconds: float, connections: int) -> None:
    capacity = _capacity(stage, texts)
    (told,) = Flood(stage, texts, connections=connections, seconds=seconds, addresses=ADDRESSES).told()
    figure = Figure((capacity + _capacity(stage, texts)) / 2, told, seconds)
    report.figure(f"{connections} connections that retry at once", str(figure), holds=figure.holds)


def _stop_workers(stage: Stage) -> None:
    workers = stage.workers()
    for worker in workers:
        worker.suspend()
    time.sleep(STANDSTILL)
    for worker in workers:
        worker.resume()


def _stop_database(stage: Stage) -> None:
    processes = stage.postgres()
    for process in processes:
        process.suspend()
    time.sleep(STANDSTILL)
    for process in reversed(processes):
        process.resume()


def _standstill(stage: Stage, texts: list[str], report: Report, name: str, stand: Callable[[Stage], None]) -> None:
    """Nobody is refused who could be answered in time: only who has waited for the whole limit, all of it in the standstill."""
    ended = [0.0]

    def act() -> None:
        time.sleep(1.5)
        stand(stage)
        ended[0] = time.monotonic()

    thread = threading.Thread(target=act)
    began = time.monotonic()
    thread.start()
    (told,) = Flood(stage, texts, stages=[[1.5 + STANDSTILL + 2.0, RATE]]).told()
    thread.join()
    end = ended[0] - began
    refused = [(due, seconds) for due, seconds, outcome in told["each"] if outcome != "200"]
    early = [seconds for _, seconds in refused if seconds < LIMIT]
    late = [due for due, _ in refused if due > end]
    report.figure(
        f"A standstill of the {name} for {STANDSTILL:.0f} s at {RATE:.0f} requests/s",
        f"outcomes {told['outcomes']}; refused before {LIMIT * 1000:.0f} ms: {len(early)}, refused of those sent after it: {len(late)}",
        holds=not early and not late and set(told["outcomes"]) <= {"200", "503"},
    )
