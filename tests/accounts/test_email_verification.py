"""E-mail addresses that have to be verified: by a token from a mail, once, and while the account has the address."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from tests.support.client import Client
from tests.support.credentials import PASSWORD, SECRET
from tests.support.locks import somebody_waits
from tests.support.mails import VERIFY_PAGE, waiting
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from tests.support.smtp import text_of, token_of
from tests.support.verification import (
    ACCOUNT,
    ASK,
    AUTH,
    NEW,
    OTHER,
    RESET,
    VERIFY,
    Mails,
    assert_invalid,
    config,
    register,
    registered,
    sign_in,
    state,
    verified,
)
from todo_api.accounts import one_time_tokens, recovery_statements
from todo_api.accounts.administration import Administration
from todo_api.accounts.one_time_tokens import Purpose
from todo_api.config import Config
from todo_api.database import Database


def test_register_account_is_signed_in_to_only_once_its_address_is_verified(
    service: Client, mails: Mails, email: str
) -> None:
    registered(service, email.upper())
    reply = sign_in(service, email)
    assert (reply.status, reply.code, reply.headers.get("www-authenticate")) == (403, "email_unverified", None)
    (message,) = mails.next()
    assert (message["Subject"], message["To"]) == ("Verify your e-mail address", email)
    token = token_of(message)
    for subtype in ("plain", "html"):
        assert VERIFY_PAGE.replace("{token}", token) in text_of(message, subtype)
        assert "Ada" not in text_of(message, subtype).replace(token, "")
    reply = service.post(VERIFY, {"token": token})
    assert (reply.status, reply.body, reply.headers["cache-control"]) == (204, b"", "no-store")
    tokens = sign_in(service, email).json()
    account = service.signed_in(tokens["access_token"]).get(ACCOUNT).json()
    assert (account["email"], account["name"], account["version"]) == (email, "Ada", 0)
    assert service.post(f"{AUTH}/refresh", {"refresh_token": tokens["refresh_token"]}).status == 200


def test_request_email_verification_again_sends_another_token_and_both_are_good(
    service: Client, mails: Mails, email: str
) -> None:
    registered(service, email)
    tokens = [mails.token()]
    assert service.post(ASK, {"email": email.upper()}).status == 202
    tokens.append(mails.token())
    assert tokens[0] != tokens[1]
    assert [service.post(VERIFY, {"token": token}).status for token in tokens] == [204, 204]


def test_issue_token_of_a_verified_address_again_and_again_counts_as_no_mail(
    service: Client, mails: Mails, email: str, url: str, new_client: Callable[[Config], Client]
) -> None:
    verified(service, mails, email)
    service = new_client(config(url, rate_limit="600/minute"))
    assert [sign_in(service, email).status for _ in range(6)] == [200] * 6
    assert service.post(ASK, {"email": email}).status == 202


def test_verify_email_with_a_used_token_is_refused(service: Client, mails: Mails, email: str) -> None:
    registered(service, email)
    token = mails.token()
    assert service.post(VERIFY, {"token": token}).status == 204
    assert_invalid(service.post(VERIFY, {"token": token}))


def test_verify_email_at_once_with_one_token_is_done_once(service: Client, mails: Mails, email: str, url: str) -> None:
    registered(service, email)
    token = mails.token()
    with ThreadPoolExecutor(6) as pool:
        replies = [*pool.map(lambda _: service.post(VERIFY, {"token": token}).status, range(6))]
    assert sorted(replies) == [204] + [400] * 5
    assert state(url, email) == (True, False)


def test_verify_email_after_an_hour_is_refused(service: Client, mails: Mails, email: str, url: str) -> None:
    registered(service, email)
    token = mails.token()
    hour = "interval '1 hour'"
    rows(url, f"UPDATE one_time_tokens SET created_at = created_at - {hour}, expires_at = expires_at - {hour}")
    assert_invalid(service.post(VERIFY, {"token": token}))
    assert state(url, email) == (False, False)


@pytest.mark.parametrize("change", ["purpose = 'reset'", "expires_at = now(), created_at = now() - interval '1 hour'"])
def test_verify_email_with_a_token_that_changes_after_it_is_found_is_refused(
    service: Client, mails: Mails, email: str, url: str, database: Database, change: str
) -> None:
    registered(service, email)
    found = on_loop(one_time_tokens.find)(database, mails.token(), Purpose.VERIFY)
    rows(url, f"UPDATE one_time_tokens SET {change} WHERE user_id = '{found.user_id}'")
    use = on_loop(lambda: database.as_user(found.user_id).fetch_one(recovery_statements.VERIFY_EMAIL, found._asdict()))
    assert use() is None
    assert state(url, email) == (False, False)


def test_tokens_of_one_kind_are_refused_for_the_other(service: Client, mails: Mails, email: str, url: str) -> None:
    registered(service, email)
    verification = mails.token()
    assert_invalid(service.post(RESET, {"token": verification, "new_password": NEW}))
    assert service.post(f"{RESET}/request", {"email": email}).status == 202
    reset = mails.token()
    assert_invalid(service.post(VERIFY, {"token": reset}))
    assert (sign_in(service, email).code, state(url, email)) == ("email_unverified", (False, False))
    assert service.post(VERIFY, {"token": verification}).status == 204, "what was refused leaves it as it was"


def test_reset_password_verifies_the_address(service: Client, mails: Mails, email: str) -> None:
    registered(service, email)
    verification = mails.token()
    assert service.post(f"{RESET}/request", {"email": email}).status == 202
    assert service.post(RESET, {"token": mails.token(), "new_password": NEW}).status == 200
    assert sign_in(service, email, NEW).status == 200
    assert_invalid(service.post(VERIFY, {"token": verification}))


def test_reset_password_later_leaves_when_the_address_was_verified(
    service: Client, mails: Mails, email: str, url: str
) -> None:
    verified(service, mails, email)
    when = rows(url, f"SELECT email_verified_at FROM accounts WHERE email = '{email}'")
    assert service.post(f"{RESET}/request", {"email": email}).status == 202
    assert service.post(RESET, {"token": mails.token(), "new_password": NEW}).status == 200
    assert rows(url, f"SELECT email_verified_at FROM accounts WHERE email = '{email}'") == when


def test_verify_email_sent_again_with_its_key_is_answered_the_same(service: Client, mails: Mails, email: str) -> None:
    registered(service, email)
    body, key = {"token": mails.token()}, {"Idempotency-Key": f"key-of-{email}"}
    assert [service.post(VERIFY, body, headers=key).status for _ in range(2)] == [204, 204]


def test_change_email_needs_the_new_address_verified_at_the_next_sign_in(
    service: Client, mails: Mails, email: str, url: str
) -> None:
    client = verified(service, mails, email)
    assert service.post(ASK, {"email": email}).status == 202
    mails.next()
    reply = client.post(f"{ACCOUNT}/email", {"password": PASSWORD, "email": f"new-{email}"})
    assert (reply.status, reply.json()["email"]) == (200, f"new-{email}")
    assert state(url, f"new-{email}") == (False, False)
    assert client.get(ACCOUNT).status == 200, "sessions stay"
    assert sign_in(service, f"new-{email}").code == "email_unverified"
    (message,) = mails.next()
    assert (message["To"], message["Subject"]) == (f"new-{email}", "Verify your e-mail address")
    back = client.post(f"{ACCOUNT}/email", {"password": PASSWORD, "email": email})
    assert back.status == 200
    assert_invalid(service.post(VERIFY, {"token": token_of(message)}))
    assert service.post(VERIFY, {"token": mails.token()}).status == 204
    assert sign_in(service, email).status == 200


def test_change_email_that_is_refused_sends_no_mail_and_leaves_the_address_verified(
    service: Client, mails: Mails, email: str, url: str
) -> None:
    client = verified(service, mails, email)
    verified(service, mails, f"taken-{email}")
    for body, headers, code in (
        ({"password": OTHER, "email": f"new-{email}"}, {}, "wrong_password"),
        ({"password": PASSWORD, "email": f"taken-{email}"}, {}, "email_taken"),
        ({"password": PASSWORD, "email": f"new-{email}"}, {"If-Match": '"99"'}, "precondition_failed"),
    ):
        assert client.post(f"{ACCOUNT}/email", body, headers=headers).code == code
        assert (waiting(url), state(url, email)) == ([], (True, False))


def test_change_email_and_register_account_at_once_with_one_address_do_not_deadlock(
    service: Client, mails: Mails, email: str, url: str
) -> None:
    clients = [verified(service, mails, f"{number}-{email}") for number in range(2)]
    with ThreadPoolExecutor(4) as pool:
        changes = [
            pool.submit(client.post, f"{ACCOUNT}/email", {"password": PASSWORD, "email": email}) for client in clients
        ]
        registrations = [pool.submit(register, service, email) for _ in range(2)]
        assert {one.result().status for one in registrations} == {202}
        assert {one.result().status for one in changes} <= {200, 409}
    assert rows(url, f"SELECT count(*) FROM accounts WHERE email = '{email}'") == [(1,)]


def test_register_account_while_another_changes_to_its_address_is_503_and_leaves_them_theirs(
    service: Client, mails: Mails, email: str, url: str
) -> None:
    verified(service, mails, f"old-{email}")
    ((user,),) = rows(url, f"SELECT user_id FROM accounts WHERE email = 'old-{email}'")
    with closing(psycopg2.connect(url)) as database, database.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute("SELECT set_config('app.user_id', %s, true)", (user,))
        cursor.execute("UPDATE accounts SET email = %s WHERE user_id = %s", (email, user))
        assert cursor.rowcount == 1
        registration = pool.submit(register, service, email)
        assert somebody_waits(url)
        database.commit()
        reply = registration.result()
    assert (reply.status, reply.code, waiting(url)) == (503, "unavailable", [])
    assert sign_in(service, f"old-{email}").code == "invalid_credentials"
    assert sign_in(service, email).status == 200


def test_issue_token_for_accounts_of_before_needs_their_address_verified_and_sessions_stay(
    url: str, service: Client, mails: Mails, email: str, new_client: Callable[[Config], Client]
) -> None:
    before = new_client(config(url, email_verification="off"))
    assert register(before, email).status == 201
    tokens = sign_in(before, email).json()
    assert waiting(url) == []
    assert sign_in(service, email).code == "email_unverified"
    assert service.post(f"{AUTH}/refresh", {"refresh_token": tokens["refresh_token"]}).status == 200
    assert service.post(ASK, {"email": email}).status == 202
    assert service.post(VERIFY, {"token": mails.token()}).status == 204
    assert sign_in(service, email).status == 200


def test_administration_verifies_an_address_by_hand(
    service: Client, mails: Mails, email: str, url: str, database: Database
) -> None:
    registered(service, email)
    registered(service, email)

    @on_loop
    def act() -> bool:
        administration = Administration(database)
        user = administration.show(email)
        assert user is not None
        assert user.email_verified_at is None
        assert not administration.verify_email(user.id, f"old-{email}")
        return administration.verify_email(user.id, email)

    assert act()
    assert state(url, email) == (True, False)
    assert sign_in(service, email).status == 200


def test_verify_email_of_a_deleted_account_is_refused(service: Client, mails: Mails, email: str, url: str) -> None:
    registered(service, email)
    token = mails.token()
    rows(url, f"DELETE FROM users WHERE id = (SELECT user_id FROM accounts WHERE email = '{email}')")
    assert_invalid(service.post(VERIFY, {"token": token}))
    assert service.post(ASK, {"email": email}).status == 202
    assert mails.next() == []


def test_request_email_verification_without_verification_is_refused(
    url: str, new_client: Callable[[Config], Client]
) -> None:
    service = new_client(config(url, email_verification="off"))
    reply = service.post(ASK, {"email": "ada@example.com"})
    assert (reply.status, reply.code) == (404, "verification_disabled")


def test_verification_with_an_external_issuer_is_refused(url: str, new_client: Callable[[Config], Client]) -> None:
    service = new_client(
        Config(database_url=url, jwt_secret=SECRET, jwt_issuer="https://issuer.example", jwt_audience=("tasks",))
    )
    for path, body in ((ASK, {"email": "ada@example.com"}), (VERIFY, {"token": f"tdo_{'x' * 43}"})):
        assert service.post(path, body).code == "accounts_disabled"
