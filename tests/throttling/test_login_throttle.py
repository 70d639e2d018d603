"""Guessing of passwords: held off by account and by address, while the owner gets in."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.clock import ManualClock
from tests.support.credentials import PASSWORD, SECRET
from tests.support.live import Live
from tests.support.logins import HOME, REGISTER, TOKEN, WRONG, anywhere, most_hashed, register, sign_in
from tests.support.rows import rows
from tests.support.settings import behind_a_proxy
from todo_api.config import Config
from todo_api.errors import Unavailable
from todo_api.throttling import login_throttle
from todo_api.throttling.attempts import AttemptCounters, Backoff, CounterKey, KnownLogins, _LocalAttempts
from todo_api.throttling.login_throttle import (
    ACCOUNT_BACKOFF,
    ADDRESS_BACKOFF,
    MAX_CONCURRENT,
    MAX_WAITING,
    WAIT_TIMEOUT,
    ConcurrencyLimit,
)

TASKS = "/api/v1/me/tasks"
MANY = 300
PAUSE = 0.05
"""Seconds between two guesses, by the clock of the tests."""

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture(scope="module")
def service(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A service behind a proxy. Its limit of requests is out of the way, those of attempts are the usual ones."""
    return new_client(behind_a_proxy(url))


def test_issue_token_of_one_account_attacked_from_everywhere_is_held_off_and_the_owner_gets_in(
    service: Client, clock: ManualClock
) -> None:
    email = "attacked@example.com"
    assert register(service, email, HOME).status == 201
    statuses: Counter[int] = Counter()
    for number in range(MANY):
        clock.move_on(PAUSE)
        statuses[sign_in(service, email, anywhere()).status] += 1
        if number % 100 == 99:
            owner = sign_in(service, email.upper(), HOME, PASSWORD)
            assert owner.status == 200
            assert service.signed_in(owner.json()["access_token"]).get(TASKS).status == 200
    assert statuses.keys() == {401, 429}
    assert ACCOUNT_BACKOFF.free < statuses[401] <= most_hashed(ACCOUNT_BACKOFF.free, MANY * PAUSE)


def test_issue_token_of_many_accounts_attacked_from_one_address_is_held_off_and_others_get_in(
    service: Client, clock: ManualClock
) -> None:
    email = "neighbour@example.com"
    assert register(service, email, HOME).status == 201
    attacker = anywhere()
    statuses: Counter[int] = Counter()
    for number in range(MANY):
        clock.move_on(PAUSE)
        statuses[sign_in(service, f"victim-{number}@example.com", attacker).status] += 1
    assert statuses.keys() == {401, 429}
    free = ADDRESS_BACKOFF["sign-in"].free
    assert free < statuses[401] <= most_hashed(free, MANY * PAUSE)
    assert sign_in(service, email, anywhere(), PASSWORD).status == 200
    assert sign_in(service, email, HOME, PASSWORD).status == 200


def test_issue_token_refused_too_often_waits_longer_each_time_whether_the_account_exists_or_not(
    service: Client, clock: ManualClock
) -> None:
    emails = ["waits-here@example.com", "waits-nowhere@example.com"]
    assert register(service, emails[0], HOME).status == 201
    waits: dict[str, list[int]] = {email: [] for email in emails}
    for email in emails:
        assert [sign_in(service, email, anywhere()).status for _ in range(5)] == [401] * 5
    for _ in range(3):
        for email in emails:
            reply = sign_in(service, email, anywhere(), PASSWORD)
            assert (reply.status, reply.code) == (429, "rate_limited")
            assert "password" in reply.json()["detail"]
            waits[email].append(int(reply.headers["retry-after"]))
        clock.move_on(max(waits[email][-1] for email in emails))
        assert [sign_in(service, email, anywhere()).status for email in emails] == [401, 401]
    assert list(waits.values()) == [[1, 2, 4], [1, 2, 4]]


def test_issue_token_of_one_account_in_any_case_of_letters_is_held_off_together(service: Client) -> None:
    emails = ["spelt@example.com", "SPELT@example.com", "Spelt@Example.COM"] * 2
    assert [sign_in(service, email, anywhere()).status for email in emails] == [401] * ACCOUNT_BACKOFF.free + [429]


def test_reset_password_with_good_tokens_is_no_guess_of_its_address_and_with_bad_ones_is(
    service: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ADDRESS_BACKOFF, "reset", Backoff(free=2, longest=300))
    email, here = "resets@example.com", anywhere()
    assert register(service, email, HOME).status == 201

    def reset(token: str) -> int:
        body = {"token": token, "new_password": PASSWORD}
        return service.post("/api/v1/auth/password-reset", body, headers={"X-Forwarded-For": here}).status

    tokens = [f"tdo_{letter * 43}" for letter in "abcde"]
    for token in tokens:
        rows(
            url,
            f"INSERT INTO one_time_tokens SELECT user_id, gen_random_uuid(), 'reset', encode(sha256('{token}'), 'hex'),"
            f" email, passwords, now(), now() + interval '1 hour' FROM accounts WHERE email = '{email}'",
        )
        assert reset(token) == 200
    assert [reset(token) for token in tokens[:3]] == [400, 400, 429]


def test_issue_token_after_a_success_begins_anew(service: Client) -> None:
    email = "forgetful@example.com"
    assert register(service, email, HOME).status == 201
    for _ in range(3):
        here = anywhere()
        assert [sign_in(service, email, here).status for _ in range(4)] == [401] * 4
        assert sign_in(service, email, here, PASSWORD).status == 200


def test_issue_token_from_home_with_wrong_passwords_is_held_off_there_alone(service: Client) -> None:
    email = "typing@example.com"
    assert register(service, email, HOME).status == 201
    assert [sign_in(service, email, HOME).status for _ in range(6)] == [401] * 5 + [429]
    assert sign_in(service, email, anywhere(), PASSWORD).status == 200


def test_issue_token_many_at_once_are_counted_before_they_are_answered(service: Client) -> None:
    with ThreadPoolExecutor(40) as pool:
        replies = list(pool.map(lambda _: sign_in(service, "at-once@example.com", anywhere()), range(40)))
    statuses = Counter(reply.status for reply in replies)
    assert statuses == {401: 5, 429: 35}


def test_issue_token_that_breaks_the_contract_is_no_attempt(service: Client) -> None:
    for _ in range(10):
        reply = service.post(TOKEN, {"email": "clumsy@example.com"}, headers={"X-Forwarded-For": HOME})
        assert reply.status == 400
    assert sign_in(service, "clumsy@example.com", HOME).status == 401


def test_register_account_too_often_from_one_address_is_held_off(service: Client) -> None:
    here, free = anywhere(), ADDRESS_BACKOFF["register"].free
    for number in range(free):
        assert register(service, f"many-{number // 2}@example.com", here).status == (409 if number % 2 else 201)
    reply = register(service, "one-more@example.com", here)
    assert (reply.status, reply.code) == (429, "rate_limited")
    assert register(service, "one-more@example.com", anywhere()).status == 201


def test_register_account_too_often_with_a_taken_address_leaves_its_owner_signing_in(service: Client) -> None:
    email = "taken-again@example.com"
    assert register(service, email, HOME).status == 201
    statuses = [register(service, email, anywhere()).status for _ in range(ACCOUNT_BACKOFF.free + 1)]
    assert statuses == [409] * ACCOUNT_BACKOFF.free + [429]
    assert sign_in(service, email, anywhere(), PASSWORD).status == 200


def test_issue_token_with_the_right_password_is_no_guess_of_its_address(service: Client) -> None:
    """Many people may share one, and each signs in there for the first time."""
    shared, free = anywhere(), ADDRESS_BACKOFF["sign-in"].free
    emails = [f"colleague-{number}@example.com" for number in range(free + 2)]
    assert [register(service, email, anywhere()).status for email in emails] == [201] * len(emails)
    assert [sign_in(service, email, shared, PASSWORD).status for email in emails] == [200] * len(emails)
    assert sign_in(service, emails[0], anywhere(), PASSWORD).status == 200


def test_register_account_sent_again_with_its_key_is_no_attempt_and_makes_nobody_familiar(service: Client) -> None:
    email, here = "again@example.com", anywhere()
    fields = {"X-Forwarded-For": here, "Idempotency-Key": '"registers-once"'}
    body = {"email": email, "password": PASSWORD}
    replies = [service.post(REGISTER, body, headers=fields) for _ in range(ACCOUNT_BACKOFF.free + 3)]
    assert {(reply.status, reply.json()["id"]) for reply in replies} == {(201, replies[0].json()["id"])}
    elsewhere = anywhere()
    assert service.post(REGISTER, body, headers=fields | {"X-Forwarded-For": elsewhere}).status == 201
    assert [sign_in(service, email, anywhere()).status for _ in range(ACCOUNT_BACKOFF.free)] == [
        401
    ] * ACCOUNT_BACKOFF.free
    assert [sign_in(service, email, address, PASSWORD).status for address in (elsewhere, here)] == [429, 200]


def test_register_account_that_the_contract_or_a_rule_refuses_is_no_attempt(service: Client) -> None:
    common = {"email": "no-attempt@example.com", "password": "1q2w3e4r5t6y"}
    here = {"X-Forwarded-For": anywhere()}
    replies = [service.post(REGISTER, common, headers=here) for _ in range(ACCOUNT_BACKOFF.free + 3)]
    assert {reply.status for reply in replies} == {400}
    assert register(service, common["email"], here["X-Forwarded-For"]).status == 201


def test_attempts_of_a_network_of_ipv6_count_together(service: Client) -> None:
    statuses = [sign_in(service, f"six-{n}@example.com", f"2001:db8:7:7::{n:x}").status for n in range(21)]
    assert statuses == [401] * 20 + [429]
    assert sign_in(service, "six-21@example.com", "2001:db8:7:8::1").status == 401


def test_serve_with_two_workers_lets_the_owner_in_wherever_they_signed_in(tmp_path: Path, url: str) -> None:
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "TRUSTED_PROXIES": "127.0.0.1"}
    with Live(tmp_path, "--workers", "2", **settings) as live:
        live.ready()

        def ask(path: str, address: str, password: str) -> int:
            body = f'{{"email": "two@example.com", "password": "{password}"}}'.encode()
            return live.request("POST", path, body, f"X-Forwarded-For: {address}").status

        assert ask(REGISTER, HOME, PASSWORD) == 201
        attempts = Counter(ask(TOKEN, anywhere(), WRONG) for _ in range(60))
        assert attempts[429] > 40
        assert [ask(TOKEN, HOME, PASSWORD) for _ in range(10)] == [200] * 10
        assert "example.com" not in live.output()


def test_allowance_delay_doubles_up_to_the_longest() -> None:
    backoff = Backoff(free=3, longest=10)
    assert [backoff.delay(number) for number in (1, 2, 3, 4, 5, 6, 7, 10_000)] == [0, 0, 1, 2, 4, 8, 10, 10]


def test_familiar_pairs_are_known_and_others_are_not_however_many() -> None:
    pairs = KnownLogins(size=1024)
    for number in range(5000):
        pairs.add(f"pair {number}")
        assert f"pair {number}" in pairs
    assert "another" not in pairs


def test_attempts_are_remembered_of_so_many_keys_and_the_one_longest_ago_is_forgotten() -> None:
    backoff = Backoff(free=1, longest=60)
    local = _LocalAttempts(max_keys=100)
    for number in range(1000):
        assert local.begin([CounterKey(f"key {number}", backoff)]) == 0
        assert len(local._seen) <= 100
    waits = [local.begin([CounterKey(f"key {number}", backoff)]) > 0 for number in (999, 900, 899, 0)]
    assert waits == [True, True, False, False]


def test_attempts_of_a_key_that_goes_on_are_remembered_however_many_others_there_are() -> None:
    attacked = CounterKey("attacked", Backoff(free=10_000, longest=60))
    local = _LocalAttempts(max_keys=10)
    for number in range(100):
        assert local.begin([attacked]) == local.begin([CounterKey(f"key {number}", attacked.backoff)]) == 0
    assert local._seen["attacked"][0] == 100


def test_attempts_given_back_do_not_grow_what_is_remembered() -> None:
    local = _LocalAttempts(max_keys=100)
    for number in range(1000):
        key = CounterKey(f"key {number}", Backoff(free=1, longest=60))
        local.begin([key])
        local.refund([key])
        local.forget(key)
    assert local._seen == {}


def test_attempts_given_back_are_none() -> None:
    async def run() -> list[int]:
        attempts, key = AttemptCounters(KnownLogins(64)), CounterKey("a", Backoff(free=2, longest=60))
        waits = []
        for _ in range(5):
            waits.append(await attempts.begin([key]))
            await attempts.refund([key])
        waits += [await attempts.begin([key]) for _ in range(3)]
        return waits

    assert asyncio.run(run()) == [0] * 7 + [1]


def test_wait_for_a_turn_ends_after_two_seconds_and_leaves_the_turns_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second stands for a tenth of one."""
    assert WAIT_TIMEOUT == 2
    monkeypatch.setattr(login_throttle, "WAIT_TIMEOUT", 0.2)

    async def run() -> list[str]:
        turns, hold, said = ConcurrencyLimit(), asyncio.Event(), []

        async def work() -> str:
            try:
                async with turns.slot():
                    await hold.wait()
            except Unavailable:
                return "sent away"
            return "served"

        holding = [asyncio.create_task(work()) for _ in range(MAX_CONCURRENT)]
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            said += await asyncio.gather(*(work() for _ in range(MAX_WAITING)))
        hold.set()
        said += await asyncio.gather(*holding)
        async with asyncio.timeout(5):
            said += await asyncio.gather(*(work() for _ in range(MAX_WAITING)))
        return said

    assert asyncio.run(run()) == ["sent away"] * MAX_WAITING + ["served"] * (MAX_CONCURRENT + MAX_WAITING)


def test_turns_are_taken_by_few_at_once_and_a_long_line_is_sent_away() -> None:
    async def run() -> tuple[int, int, int]:
        turns, running, most, sent_away = ConcurrencyLimit(), 0, 0, 0

        async def work() -> None:
            nonlocal running, most, sent_away
            try:
                async with turns.slot():
                    running += 1
                    most = max(most, running)
                    await asyncio.sleep(0.01)
                    running -= 1
            except Unavailable:
                sent_away += 1

        await asyncio.gather(*(work() for _ in range(MAX_WAITING + 10)))
        return most, sent_away, running

    assert asyncio.run(run()) == (MAX_CONCURRENT, 10 - MAX_CONCURRENT, 0)
