"""Effects of others on one user: of floods that are refused, and of a user whose searches are heavy."""

from tests.system.faults.report import Report
from tests.system.faults.sender import TASKS, Flood, milliseconds, outcomes, request
from tests.system.faults.stage import Stage, token

CONNECTIONS = 50
"""That flood, each of which sends again at once."""

LIGHT_RATE = 10.0
QUICK = 10.0
"""Milliseconds within which half of a light user's requests are answered, whatever flood is refused beside them."""

SEARCHES = (8, 32)
"""At a time."""

WORDS = 8
HEAVY = """
SET LOCAL session_replication_role = replica;
INSERT INTO users (id, seq, pending) VALUES ('heavy', 1500, 1500);
INSERT INTO tasks (id, user_id, title, description, status, created_at, updated_at, version)
SELECT gen_random_uuid(), 'heavy', 'Heavy ' || number, repeat('a long text of many words, ', 185), 'pending', now(), now(), number
FROM generate_series(1, 1500) AS number
"""


def floods(stage: Stage, report: Report, seconds: float) -> None:
    """Floods that never reach the database, from an address over its limit, beside a light user of the same address."""
    stage.stop()
    stage.start(RATE_LIMIT="600/minute")
    light = [request("GET", f"{TASKS}?limit=20", token("light"))]
    forged = token("somebody")[:-4] + "AAAA"
    kinds = {
        "no token (401)": request("GET", TASKS),
        "a made-up token (401)": request("GET", TASKS, "no.such.token"),
        "a token with a wrong signature (401)": request("GET", TASKS, forged),
        "a user over the limit (429)": request("GET", TASKS, token("greedy")),
        "no such path (404)": request("GET", "/nowhere"),
        "no such method (405)": request("DELETE", TASKS),
        "a page": request("GET", "/api/v1/ui/"),
    }
    for name, text in kinds.items():
        flood = Flood(stage, [text], connections=CONNECTIONS, seconds=seconds + 1.5)
        told = Flood(stage, light, stages=[[1.5, LIGHT_RATE], [seconds, LIGHT_RATE]]).told()[1:]
        (flooded,) = flood.told()
        _, middle, slow = milliseconds(told, "accepted")
        sent = sum(flooded["outcomes"].values()) / (seconds + 1.5)
        report.figure(
            f"A flood of {name}",
            f"{CONNECTIONS} connections, {sent:.0f}/s, outcomes {flooded['outcomes']}: "
            f"a light user has p50 {middle:.1f} ms, p95 {slow:.1f} ms, outcomes {dict(outcomes(told))}",
            holds=0 <= middle <= QUICK and set(outcomes(told)) == {"200"},
        )
    stage.stop()
    stage.start()


def searches(stage: Stage, report: Report, seconds: float) -> None:
    """A user with 1,500 tasks of 5,000 characters searches for eight words, many times at once, beside another user."""
    stage.sql(HEAVY)
    words = "+".join(f"none{number}" for number in range(WORDS))
    heavy = [request("GET", f"{TASKS}?q={words}", token("heavy"))]
    victim = [request("GET", f"{TASKS}?limit=20", token("victim"))]
    for connections in SEARCHES:
        flood = Flood(stage, heavy, connections=connections, seconds=seconds + 1.5)
        told = Flood(stage, victim, stages=[[1.5, 2 * LIGHT_RATE], [seconds, 2 * LIGHT_RATE]]).told()[1:]
        (searched,) = flood.told()
        _, middle, slow = milliseconds(told, "accepted")
        report.figure(
            f"{connections} heavy searches of one user at a time",
            f"their outcomes {searched['outcomes']}: "
            f"another user has p50 {middle:.0f} ms, p95 {slow:.0f} ms, outcomes {dict(outcomes(told))}",
            holds=set(outcomes(told)) == {"200"},
        )
