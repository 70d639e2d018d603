"""The password that confirms a change of the account, guessed by who has a token of it: held off as at the sign-in."""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.support.client import Client, Reply
from tests.support.clock import ManualClock
from tests.support.credentials import PASSWORD, token
from tests.support.logins import HOME, WRONG, anywhere, register, sign_in
from tests.support.settings import behind_a_proxy
from todo_api import contract
from todo_api.config import Config
from todo_api.contract import resolve
from todo_api.throttling.login_throttle import ACCOUNT_BACKOFF, ADDRESS_BACKOFF

ACCOUNT = "/api/v1/me/account"
NEW = "a new password of the owner"
_numbers = itertools.count()

GUESSES: dict[str, tuple[str, Callable[[str], dict[str, str]]]] = {
    "changeEmail": (f"{ACCOUNT}/email", lambda password: {"password": password, "email": new_email()}),
    "changePassword": (
        f"{ACCOUNT}/password",
        lambda password: {"current_password": password, "new_password": NEW},
    ),
    "deleteAccount": (f"{ACCOUNT}/deletion", lambda password: {"password": password}),
}
DONE = {"changeEmail": 200, "changePassword": 200, "deleteAccount": 204}

each_operation = pytest.mark.parametrize("name", GUESSES)
pytestmark = pytest.mark.usefixtures("clock")


def new_email() -> str:
    return f"confirms-{next(_numbers)}@example.com"


class Owner(NamedTuple):
    """Somebody with an account, and the token that a thief has as well."""

    service: Client
    id: str
    email: str
    token: str

    def confirm(self, name: str, address: str, password: str = WRONG, bearer: str | None = None) -> Reply:
        """Tries an operation with a password."""
        path, body = GUESSES[name]
        client = self.service.signed_in(bearer or self.token)
        return client.post(path, body(password), headers={"X-Forwarded-For": address})

    def account(self) -> Any:
        return self.service.signed_in(self.token).get(ACCOUNT).json()


@pytest.fixture(scope="module")
def service(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A service behind a proxy, with the usual limits of attempts."""
    return new_client(behind_a_proxy(url))


@pytest.fixture
def owner(service: Client) -> Owner:
    email = new_email()
    account = register(service, email, anywhere()).json()
    signed_in = sign_in(service, email, HOME, PASSWORD).json()
    return Owner(service, account["id"], email, signed_in["access_token"])


def assert_held_off(reply: Reply) -> int:
    """The seconds that it asks to wait."""
    assert (reply.status, reply.code) == (429, "rate_limited")
    assert reply.json()["detail"] == "Too many attempts with a password. Retry-After says how many seconds to wait."
    return int(reply.headers["retry-after"])


def test_every_operation_that_checks_a_password_says_so_in_the_contract() -> None:
    document = contract.load(contract.TASK_API)
    found = {}
    for item in document["paths"].values():
        for operation in (each for method, each in item.items() if method != "parameters"):
            (media,) = operation.get("requestBody", {"content": {"none": {"schema": {}}}})["content"].values()
            members = resolve(document, media["schema"]).get("properties", {})
            if {"password", "current_password"} & members.keys():
                found[operation["operationId"]] = operation.get("x-password-attempt")
    assert found == {"registerAccount": "register", "issueToken": "sign-in"} | dict.fromkeys(GUESSES, "sign-in")


@each_operation
def test_confirmation_with_wrong_passwords_is_held_off_and_the_right_one_is_not_told_apart(
    owner: Owner, name: str
) -> None:
    before = owner.account()
    replies = [owner.confirm(name, anywhere()) for _ in range(ACCOUNT_BACKOFF.free)]
    assert [(reply.status, reply.code) for reply in replies] == [(403, "wrong_password")] * ACCOUNT_BACKOFF.free
    wrong, right = (owner.confirm(name, anywhere(), password) for password in (WRONG, PASSWORD))
    assert assert_held_off(wrong) == assert_held_off(right) == 1
    same = {"request_id": "the same"}
    assert wrong.json() | same == right.json() | same
    assert owner.account() == before


@each_operation
def test_confirmation_held_off_waits_longer_each_time_and_then_lets_the_owner_through(
    owner: Owner, clock: ManualClock, name: str
) -> None:
    for _ in range(ACCOUNT_BACKOFF.free):
        owner.confirm(name, anywhere())
    waits = []
    for password in (WRONG, PASSWORD):
        waits.append(assert_held_off(owner.confirm(name, anywhere(), PASSWORD)))
        clock.move_on(waits[-1])
        status = owner.confirm(name, anywhere(), password).status
        assert status == (403 if password == WRONG else DONE[name])
    assert waits == [1, 2]


def test_confirmations_of_all_kinds_and_sessions_of_a_user_count_together(owner: Owner) -> None:
    other = sign_in(owner.service, owner.email, HOME, PASSWORD).json()["access_token"]
    tries = list(
        itertools.islice(itertools.product((owner.token, other, token(owner.id)), GUESSES), ACCOUNT_BACKOFF.free)
    )
    statuses = [owner.confirm(name, anywhere(), bearer=bearer).status for bearer, name in tries]
    assert statuses == [403] * ACCOUNT_BACKOFF.free
    for name in GUESSES:
        assert_held_off(owner.confirm(name, anywhere(), PASSWORD, bearer=other))


@pytest.mark.parametrize("name", ["changeEmail", "changePassword"])
def test_confirmation_attacked_from_everywhere_is_held_off_and_the_owner_gets_through_from_where_they_did(
    owner: Owner, name: str
) -> None:
    assert owner.confirm(name, HOME, PASSWORD).status == DONE[name]
    password = NEW if name == "changePassword" else PASSWORD
    statuses = Counter(owner.confirm(name, anywhere()).status for _ in range(50))
    assert statuses == {403: ACCOUNT_BACKOFF.free, 429: 50 - ACCOUNT_BACKOFF.free}
    assert_held_off(owner.confirm(name, anywhere(), password))
    assert owner.confirm(name, HOME, password).status == DONE[name]


def test_confirmation_held_off_keeps_nobody_from_signing_in_nor_the_token_from_its_space(owner: Owner) -> None:
    """A thief with a token is so left with what the token opens, until it ends; the owner signs in, and ends what they have to."""
    for _ in range(ACCOUNT_BACKOFF.free + 1):
        owner.confirm("changePassword", anywhere())
    assert sign_in(owner.service, owner.email, anywhere(), PASSWORD).status == 200
    assert owner.service.signed_in(owner.token).get("/api/v1/me/tasks").status == 200


def test_confirmation_after_a_success_begins_anew(owner: Owner) -> None:
    here = anywhere()
    for _ in range(3):
        statuses = [owner.confirm("changeEmail", here).status for _ in range(ACCOUNT_BACKOFF.free - 1)]
        assert statuses == [403] * (ACCOUNT_BACKOFF.free - 1)
        assert owner.confirm("changeEmail", here, PASSWORD).status == 200


def test_confirmation_of_many_users_from_one_address_is_held_off_there_alone(service: Client) -> None:
    """Those without an account are counted like all others: nobody learns so who has one."""
    attacker, free = anywhere(), ADDRESS_BACKOFF["sign-in"].free
    users = [Owner(service, "", "", token(f"without-{next(_numbers)}")) for _ in range(free + 1)]
    replies = [user.confirm("changePassword", attacker) for user in users]
    assert [(reply.status, reply.code) for reply in replies[:-1]] == [(403, "wrong_password")] * free
    assert_held_off(replies[-1])
    assert users[-1].confirm("changePassword", anywhere()).status == 403


def test_confirmation_for_a_user_without_an_account_is_answered_and_held_off_alike(owner: Owner) -> None:
    stranger = Owner(owner.service, "", "", token(f"without-{next(_numbers)}"))
    told = [
        [
            one.confirm("changeEmail", anywhere()).json() | {"request_id": "the same"}
            for _ in range(ACCOUNT_BACKOFF.free + 1)
        ]
        for one in (owner, stranger)
    ]
    assert told[0] == told[1]


def test_confirmation_that_breaks_the_contract_or_finds_no_account_is_no_guess(owner: Owner) -> None:
    client = owner.service.signed_in(owner.token)
    here = {"X-Forwarded-For": anywhere()}
    for _ in range(ACCOUNT_BACKOFF.free + 1):
        assert client.post(f"{ACCOUNT}/deletion", {}, headers=here).status == 400
        assert client.post(f"{ACCOUNT}/password", {"current_password": PASSWORD}, headers=here).status == 400
        common = {"current_password": PASSWORD, "new_password": "1q2w3e4r5t6y"}
        assert client.post(f"{ACCOUNT}/password", common, headers=here).status == 400
    assert owner.confirm("deleteAccount", here["X-Forwarded-For"], PASSWORD).status == 204
    for _ in range(ACCOUNT_BACKOFF.free + 1):
        assert owner.confirm("deleteAccount", anywhere(), PASSWORD).status == 401
