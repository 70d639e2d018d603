"""What a whole run says of things that are documented and that it has never seen."""

from tests.support.client import Reply
from tests.support.contract_check import ContractCheck
from tests.support.contract_coverage import EXCEPTIONS, complaints, summary

HEALTHY = Reply(
    200,
    [(b"x-request-id", b"1"), (b"cache-control", b"no-store"), (b"content-type", b"application/json")],
    b'{"status": "pass"}',
)


def test_nothing_seen_everything_is_complained_of_but_the_exceptions() -> None:
    check = ContractCheck()
    assert len(complaints(check)) == len(check.documented()) - len(EXCEPTIONS)
    assert "seen 0 of " in summary(check)


def test_one_reply_seen_its_status_and_its_headers_are_no_longer_complained_of() -> None:
    check = ContractCheck()
    before = complaints(check)
    check.reply("GET", "/health/live", HEALTHY)
    after = complaints(check)
    assert [line for line in before if line not in after] == [
        "checkLiveness 200: never seen",
        "checkLiveness Cache-Control: never seen",
        "checkLiveness X-Request-ID: never seen",
    ]


def test_exception_that_was_seen_is_complained_of() -> None:
    check = ContractCheck()
    name, status = next(iter(EXCEPTIONS))
    check.seen[name, int(status)] += 1
    assert f"{name} {status}: excepted, and seen or not documented" in complaints(check)
