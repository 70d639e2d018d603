"""Who has an account, where e-mail addresses are verified: no reply, no work and no limit says so, and no stranger gets in."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.clock import clock_of_attempts
from tests.support.credentials import PASSWORD
from tests.support.mails import PAGE, waiting
from tests.support.rows import rows
from tests.support.smtp import text_of, token_of
from tests.support.verification import (
    ACCOUNT,
    ASK,
    OTHER,
    RESET,
    SAME_ID,
    SIGN_IN,
    VERIFY,
    Mails,
    assert_invalid,
    config,
    register,
    registered,
    sign_in,
    state,
    told,
    verified,
)
from todo_api.config import Config


def test_issue_token_with_a_wrong_password_says_nothing_of_an_unverified_account(
    service: Client, mails: Mails, email: str, work: Callable[..., Any]
) -> None:
    registered(service, email)
    wrong, unknown = (
        work(lambda who=who: service.post(SIGN_IN, {"email": who, "password": OTHER}, headers=SAME_ID))
        for who in (email, f"nobody-{email}")
    )
    assert wrong == unknown
    assert wrong[0][0] == 401
    assert wrong[1].hashing == ["verify"]


@pytest.mark.parametrize("again", ["unverified", "verified"])
def test_register_account_with_an_address_that_has_one_is_answered_and_worked_on_alike(
    service: Client, mails: Mails, email: str, url: str, work: Callable[..., Any], again: str
) -> None:
    if again == "verified":
        verified(service, mails, email)
    else:
        registered(service, email)
        mails.next()
    known, new = (work(lambda who=who: register(service, who, OTHER, **SAME_ID)) for who in (email, f"new-{email}"))
    assert known == new
    assert (known[0][0], known[1].hashing, len(known[1].statements)) == (202, ["hash"], 2)
    assert sign_in(service, email, OTHER).code == "invalid_credentials"
    messages = {message["To"]: message for message in mails.next()}
    assert [messages[who]["Subject"] for who in (email, f"new-{email}")] == [
        "Your e-mail address has an account",
        "Verify your e-mail address",
    ]
    assert PAGE.replace("{token}", token_of(messages[email])) in text_of(messages[email])
    assert rows(url, "SELECT count(*) FROM users WHERE id NOT IN (SELECT user_id FROM accounts)") == [(0,)]
    if again == "verified":
        assert sign_in(service, email).status == 200, "nothing has changed"


def test_request_email_verification_is_answered_and_worked_on_alike(
    service: Client, mails: Mails, email: str, work: Callable[..., Any]
) -> None:
    verified(service, mails, email)
    registered(service, f"unverified-{email}")
    mails.next()
    addresses = (email, f"unverified-{email}", f"nobody-{email}")
    one, other, nobody = (work(lambda who=who: service.post(ASK, {"email": who}, headers=SAME_ID)) for who in addresses)
    assert one == other == nobody
    assert (one[0][:2], len(one[1].statements), one[1].hashing) == ((202, b""), 1, [])
    messages = {message["To"]: message["Subject"] for message in mails.next()}
    assert messages == {
        email: "Your e-mail address has an account",
        f"unverified-{email}": "Verify your e-mail address",
    }


def test_register_account_of_a_stranger_with_my_address_lets_them_in_by_no_mail_of_mine(
    service: Client, mails: Mails, email: str, url: str
) -> None:
    """A stranger registers first, and waits for me to verify an account whose password is theirs."""
    registered(service, email, OTHER)
    theirs = mails.token()
    registered(service, email)
    (message,) = mails.next()
    assert message["Subject"] == "Your e-mail address has an account"
    assert_invalid(service.post(VERIFY, {"token": theirs}))
    assert service.post(ASK, {"email": email}).status == 202
    assert_invalid(service.post(VERIFY, {"token": mails.token()}))
    assert [sign_in(service, email, word).code for word in (OTHER, PASSWORD)] == [
        "email_unverified",
        "invalid_credentials",
    ]
    assert service.post(RESET, {"token": token_of(message), "new_password": PASSWORD}).status == 200
    assert sign_in(service, email, OTHER).code == "invalid_credentials"
    assert sign_in(service, email).status == 200
    assert state(url, email) == (True, False)


def test_register_account_at_once_makes_one_account(service: Client, mails: Mails, email: str, url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        replies = [*pool.map(lambda number: register(service, email, f"{PASSWORD} {number}"), range(6))]
    assert {(reply.status, reply.body) for reply in replies} == {(202, b"")}
    assert rows(url, f"SELECT count(*) FROM accounts WHERE email = '{email}'") == [(1,)]
    assert rows(url, "SELECT count(*) FROM users WHERE id NOT IN (SELECT user_id FROM accounts)") == [(0,)]
    assert state(url, email) == (False, True)
    assert len(mails.next()) == 1


def test_register_account_sent_again_with_its_key_is_answered_the_same_and_sends_one_mail(
    service: Client, mails: Mails, email: str, url: str
) -> None:
    key = {"Idempotency-Key": f"key-of-{email}"}
    replies = [register(service, email, **key) for _ in range(2)]
    assert [(reply.status, reply.headers.get("idempotency-replayed")) for reply in replies] == [
        (202, None),
        (202, "true"),
    ]
    assert state(url, email) == (False, False), "it was registered once"
    assert service.post(VERIFY, {"token": mails.token()}).status == 204


def test_register_account_with_a_common_password_is_refused_for_known_and_unknown_addresses_alike(
    service: Client, mails: Mails, email: str, url: str
) -> None:
    registered(service, email)
    mails.next()
    replies = [register(service, who, "passwordpassword", **SAME_ID) for who in (email, f"new-{email}")]
    assert told(replies[0]) == told(replies[1])
    assert replies[0].status == 400
    assert (waiting(url), state(url, email)) == ([], (False, False))


@pytest.fixture
def throttled(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A client of a service of its own, which counts attempts."""
    return new_client(config(url, rate_limit="1000000/minute", trusted_proxies=("127.0.0.1",)))


def test_mails_to_one_address_are_limited_whoever_asks_and_however(throttled: Client, mails: Mails, email: str) -> None:
    """Registrations, requests and changes of an address count together, from everywhere."""
    mine = throttled.signed_in(None)
    with clock_of_attempts() as clock:
        client = verified(mine, mails, f"mine-{email}")
        clock.move_on(86400)
        requests: list[Callable[[str], Reply]] = [
            lambda address: register(mine, email, **{"X-Forwarded-For": address}),
            lambda address: mine.post(ASK, {"email": email.upper()}, headers={"X-Forwarded-For": address}),
            lambda address: mine.post(f"{RESET}/request", {"email": email}, headers={"X-Forwarded-For": address}),
        ]
        assert [ask(f"192.0.2.{number}").status for number, ask in enumerate(requests)] == [202] * 3
        changed = client.post(f"{ACCOUNT}/email", {"password": PASSWORD, "email": email})
        limited = [ask(f"192.0.2.{10 + number}") for number, ask in enumerate(requests)]
        assert {(reply.status, reply.headers["retry-after"]) for reply in [changed, *limited]} == {(429, "1")}


def test_register_account_with_an_address_of_another_does_not_make_the_sender_known_there(
    throttled: Client, mails: Mails, email: str
) -> None:
    """Who has signed in before may guess past the limits of others."""
    verified(throttled.signed_in(None), mails, email)
    attacker = {"X-Forwarded-For": "192.0.2.66"}
    with clock_of_attempts() as clock:
        clock.move_on(86400)
        assert register(throttled, email, OTHER, **attacker).status == 202
        guesses = [
            throttled.post(SIGN_IN, {"email": email, "password": OTHER}, headers={"X-Forwarded-For": f"192.0.2.{n}"})
            for n in (66, 66, 66, 66, 66, 66, 67)
        ]
        assert [reply.status for reply in guesses] == [401] * 5 + [429] * 2


def test_register_account_of_many_addresses_from_one_has_to_wait(throttled: Client, mails: Mails, email: str) -> None:
    with clock_of_attempts():
        sent = [register(throttled, f"{number}-{email}", **{"X-Forwarded-For": "192.0.2.99"}) for number in range(51)]
        assert [reply.status for reply in sent] == [202] * 50 + [429]
