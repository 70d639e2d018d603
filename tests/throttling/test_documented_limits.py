"""The numbers of `docs/operations.md` on throttling are those of the code."""

from pathlib import Path

import pytest

from todo_api.http.body import MAX_BODY
from todo_api.server import limits
from todo_api.throttling.attempts import FAMILIAR, FORGOTTEN
from todo_api.throttling.counters import MOST_KEYS
from todo_api.throttling.login_throttle import AT_ONCE, OF_ACCOUNT, OF_ADDRESS, PATIENCE, WAITING

TEXT = " ".join(Path(__file__).parents[2].joinpath("docs", "operations.md").read_text(encoding="utf-8").split())
WORDS = {1: "one", 2: "two"}


@pytest.mark.parametrize(
    "sentence",
    [
        f"{OF_ACCOUNT.free} failures of an account and {OF_ADDRESS['sign-in'].free} of an address are free",
        f"then 2, 4 and so on up to {OF_ACCOUNT.longest // 60} minutes",
        f"Of registrations, {OF_ADDRESS['register'].free} from one address are free",
        f"with Redis all machines do, for {FAMILIAR // 86400} days",
        f"A worker lets {WORDS[AT_ONCE]} check a password at once, and {WORDS[AT_ONCE]} more from familiar addresses",
        f"{WAITING} wait for their turn, for {PATIENCE:.0f} seconds",
        f"remembers {MOST_KEYS:,} users and addresses of the present window",
        f"{limits.HEAD_BYTES // 1024} KiB with its request line, which has {limits.LINE_BYTES:,} bytes;"
        f" {limits.FIELDS} fields of {limits.FIELD_BYTES // 1024} KiB",
        f"{limits.RATE_BYTES // 1024} KiB in {limits.RATE_SECONDS} s at least, and {MAX_BODY // 1024} KiB",
        f"replies of a worker that are not read yet | {limits.HELD_BYTES >> 20} MiB",
    ],
)
def test_operations_page_tells_the_limit_that_holds(sentence: str) -> None:
    assert sentence in TEXT


def test_operations_page_tells_one_limit_for_all_attempts() -> None:
    assert {OF_ACCOUNT.longest, *(allowance.longest for allowance in OF_ADDRESS.values())} == {300}
    assert FORGOTTEN == 86400  # "A day without an attempt forgets them"
