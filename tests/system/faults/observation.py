"""Observations of the load during a fault, compared with the promises."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import quantiles

from tests.system.faults.load import IN_PROGRESS, UNAVAILABLE, Load, Sent

RECOVERY = 3.0
"""Seconds from a fault's end after which no request fails."""

NOT_FOUND = 404

EXCUSED = {UNAVAILABLE, IN_PROGRESS, "closed", "refused"}
"""What a fault may make of a request. 409 is that of a creation sent again while the first is under way; the load minds any other."""


def is_good(sent: Sent) -> bool:
    """Return whether the reply is one that the request should get."""
    return isinstance(sent.outcome, int) and (sent.outcome < 300 or (sent.looked_for and sent.outcome == NOT_FOUND))


def percentile_95(seconds: list[float]) -> float:
    """In seconds; infinite where there are too few to tell."""
    return quantiles(seconds, n=20)[-1] if len(seconds) >= 20 else float("inf")


@dataclass
class Row:
    """One line of the page's table."""

    name: str
    what: str
    times: int = 0
    requests: int = 0
    outcomes: Counter[int | str] = field(default_factory=Counter)
    longest: float = 0.0
    back: float = 0.0
    strict: bool = False
    """Return whether the fault may fail no request at all."""
    complaints: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Return whether every promise was kept."""
        return not self.complaints

    def add(self, began: float, ended: float, sent: list[Sent]) -> None:
        """One fault more, with the requests of its time."""
        during = [it for it in sent if it.at + it.seconds >= began]
        after = [it for it in during if it.at >= ended]
        good = [it.at + it.seconds - ended for it in during if is_good(it) and it.at + it.seconds >= ended]
        late = [it.at - ended for it in after if not is_good(it)]
        back = max([min(good, default=float("inf")), *late])
        self.times += 1
        self.requests += len(during)
        self.outcomes += Counter(it.outcome for it in during)
        self.longest = max([self.longest, *(it.seconds for it in during)])
        self.back = max(self.back, back)
        wrong = {it.outcome for it in during if not is_good(it)} - EXCUSED
        if wrong:
            self.complaints.append(f"requests ended as {sorted(map(str, wrong))}")
        if self.strict and any(not is_good(it) for it in during):
            self.complaints.append("requests failed")
        if back > RECOVERY:
            self.complaints.append(f"requests failed until {back:.1f} s after the end")


def observe(load: Load, row: Row, act: Callable[[], float], settle: float = 5.0) -> None:
    """Has a fault happen under the load, which goes on for `settle` seconds. `act` returns when the fault ended (monotonic)."""
    first, began = len(load.sent), time.monotonic()
    try:
        ended = act()
    except (TimeoutError, RuntimeError) as error:
        row.complaints.append(f"gave up: {str(error)[:300]}")
        ended = time.monotonic()
    time.sleep(max(0.0, ended + settle - time.monotonic()))
    row.add(began, ended, load.sent[first:])
