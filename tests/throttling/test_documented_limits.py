"""The numbers of `docs/operations.md` on throttling are those of the code."""

from pathlib import Path

import pytest

from todo_api.http.body import MAX_BODY
from todo_api.server import limits
from todo_api.throttling.attempts import ATTEMPT_TTL, KNOWN_LOGIN_TTL
from todo_api.throttling.counters import MAX_KEYS
from todo_api.throttling.login_throttle import (
    ACCOUNT_BACKOFF,
    ADDRESS_BACKOFF,
    MAX_CONCURRENT,
    MAX_WAITING,
    WAIT_TIMEOUT,
)

TEXT = " ".join(Path(__file__).parents[2].joinpath("docs", "operations.md").read_text(encoding="utf-8").split())
WORDS = {1: "one", 2: "two"}


@pytest.mark.parametrize(
    "sentence",
    [
        f"{ACCOUNT_BACKOFF.free} failures of an account and {ADDRESS_BACKOFF['sign-in'].free} of an address are free",
        f"then 2, 4 and so on up to {ACCOUNT_BACKOFF.longest // 60} minutes",
        f"Of registrations, {ADDRESS_BACKOFF['register'].free} from one address are free",
        f"with Redis all machines do, for {KNOWN_LOGIN_TTL // 86400} days",
        f"A worker lets {WORDS[MAX_CONCURRENT]} check a password at once, and {WORDS[MAX_CONCURRENT]} more from familiar addresses",
        f"{MAX_WAITING} wait for their turn, for {WAIT_TIMEOUT:.0f} seconds",
        f"remembers {MAX_KEYS:,} users and addresses of the present window",
        f"{limits.HEAD_BYTES // 1024} KiB with its request line, which has {limits.LINE_BYTES:,} bytes;"
        f" {limits.FIELDS} fields of {limits.FIELD_BYTES // 1024} KiB",
        f"{limits.RATE_BYTES // 1024} KiB in {limits.RATE_SECONDS} s at least, and {MAX_BODY // 1024} KiB",
        f"replies of a worker that are not read yet | {limits.HELD_BYTES >> 20} MiB",
    ],
)
def test_operations_page_tells_the_limit_that_holds(sentence: str) -> None:
    assert sentence in TEXT


def test_operations_page_tells_one_limit_for_all_attempts() -> None:
    assert {ACCOUNT_BACKOFF.longest, *(backoff.longest for backoff in ADDRESS_BACKOFF.values())} == {300}
    assert ATTEMPT_TTL == 86400  # "A day without an attempt forgets them"
