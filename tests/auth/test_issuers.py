"""External issuers through the service: their settings, their rotations and their outages."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import issuers
from tests.support.client import Client
from tests.support.contract_check import ContractCheck
from tests.support.credentials import SECRET
from tests.support.issuers import AUDIENCE, ISSUER, KeyServer, Signer, answer, hmac_token, key_server, publish, serving
from tests.support.live import Live
from tests.support.processes import soon
from todo_api.auth.tokens import MAX_TOKEN_LENGTH
from todo_api.config import Config

TASKS = "/api/v1/me/tasks"
OLD, NEW = Signer(key_id="old"), Signer(key_id="new")

Serve = Callable[..., Any]


@pytest.fixture
def publisher() -> Iterator[KeyServer]:
    with key_server(publish(OLD)) as publisher:
        yield publisher


@pytest.fixture
def serve(url: str, check: ContractCheck, publisher: KeyServer) -> Serve:
    """Runs a service that takes the tokens of ISSUER, which `publisher` publishes, unless the changes say otherwise."""

    @contextmanager
    def run(**changes: Any) -> Iterator[Client]:
        settings = {
            "database_url": url,
            "jwt_issuer": ISSUER,
            "jwt_jwks_url": publisher.url,
            "jwt_audience": (AUDIENCE,),
            "jwt_keys_cooldown": 1,
            "jwt_keys_timeout": 30,  # however slow the machine
            "rate_limit": "off",
            "queue_limit": 60_000,  # however slow the machine
        }
        with serving(Config(**(settings | changes)), check) as client:
            yield client

    return run


def status(client: Client, token: str) -> int:
    return client.signed_in(token).get(TASKS).status


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "ES384", "ES512", "RS256", "PS256"])
def test_list_tasks_with_token_of_each_algorithm_is_answered(
    serve: Serve, publisher: KeyServer, algorithm: str
) -> None:
    signer = Signer(algorithm)
    publisher.behaviour = publish(signer)
    with serve() as client:
        assert status(client, signer.token()) == 200


def test_list_tasks_with_ed25519_for_alg_is_answered(serve: Serve, publisher: KeyServer) -> None:
    publisher.behaviour = publish(OLD.jwk(alg="Ed25519"))
    with serve() as client:
        assert [status(client, OLD.token(header)) for header in ({"alg": "Ed25519"}, {})] == [200, 200]


def test_list_tasks_with_another_algorithm_than_configured_is_unauthorized(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(jwt_algorithms=("ES256", "RS256")) as client:
        assert [status(client, OLD.token()) for _ in range(3)] == [401] * 3
    told = [record.getMessage() for record in caplog.records if "alg" in record.getMessage()]
    assert told == ["A token with alg EdDSA was refused. This deployment accepts ES256, RS256."]


def test_list_tasks_without_key_id_where_there_is_one_key_is_answered(serve: Serve, publisher: KeyServer) -> None:
    publisher.behaviour = publish(OLD.jwk(kid=None))
    with serve() as client:
        assert [status(client, OLD.token({"kid": kid})) for kid in (None, "any")] == [200, 200]


def test_list_tasks_without_key_id_where_there_are_two_keys_is_unauthorized(serve: Serve, publisher: KeyServer) -> None:
    publisher.behaviour = publish(OLD, NEW)
    with serve() as client:
        assert status(client, OLD.token({"kid": None})) == 401


def test_create_task_by_user_not_met_before_makes_their_row(serve: Serve) -> None:
    with serve() as client:
        ada = client.signed_in(OLD.token(sub="first-write"))
        assert ada.post(TASKS, {"title": "Mine"}).status == 201
        account = ada.get("/api/v1/me/account").json()
    assert (account["id"], account["email"], account["name"]) == ("first-write", None, None)


def test_register_account_with_external_issuer_is_not_found(serve: Serve) -> None:
    body = {"email": "ada@example.com", "password": "correct horse battery staple"}
    with serve() as client:
        assert client.post("/api/v1/auth/register", body).code == "accounts_disabled"


def test_list_tasks_after_rotation_within_the_cooldown_takes_old_and_new_tokens(
    serve: Serve, publisher: KeyServer
) -> None:
    with serve() as client:
        assert status(client, OLD.token()) == 200
        publisher.behaviour = publish(OLD, NEW)
        with ThreadPoolExecutor(20) as pool:
            tokens = [signer.token(sub=f"user-{number}") for number in range(10) for signer in (OLD, NEW)]
            assert set(pool.map(lambda token: status(client, token), tokens)) == {200}
    assert len(publisher.paths) == 2


def test_list_tasks_after_the_issuer_gave_an_old_id_to_a_new_key_is_answered(
    serve: Serve, publisher: KeyServer
) -> None:
    with serve() as client:
        assert status(client, OLD.token()) == 200
        anew = Signer(key_id="old")
        publisher.behaviour = publish(anew)
        time.sleep(1)  # the cooldown
        assert status(client, anew.token()) == 200
        assert status(client, OLD.token()) == 401


def test_list_tasks_with_remembered_token_of_withdrawn_key_is_unauthorized(serve: Serve, publisher: KeyServer) -> None:
    with serve(jwt_keys_ttl=1) as client:
        token = OLD.token()
        assert status(client, token) == 200
        publisher.behaviour = publish(NEW)
        assert soon(lambda: status(client, token) == 401)


def test_list_tasks_with_unknown_key_while_server_hangs_is_unavailable(serve: Serve, publisher: KeyServer) -> None:
    with serve() as client:
        assert status(client, OLD.token()) == 200
        publisher.behaviour = issuers.hang
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(client.signed_in(NEW.token()).get, TASKS)
            assert soon(lambda: len(publisher.paths) == 2)
            publisher.close_hanging()
            reply = asked.result()
    assert reply.status == 503
    assert 1 <= int(reply.headers["retry-after"]) <= 2
    assert reply.json() == {
        "type": "/problems/unavailable",
        "title": "Unavailable",
        "status": 503,
        "detail": "The keys of the token's issuer cannot be reached.",
        "code": "unavailable",
        "request_id": reply.headers["x-request-id"],
    }


@pytest.mark.parametrize(
    "sickness",
    [issuers.hang, issuers.trickle, issuers.reset, answer(b"<html>"), answer(b"", "302 Found", "Location: /")],
    ids=["hangs", "trickles", "resets", "lies", "redirects"],
)
def test_list_tasks_from_the_start_with_sick_server_is_unavailable_until_it_is_well(
    serve: Serve, publisher: KeyServer, sickness: issuers.Behaviour
) -> None:
    publisher.behaviour = sickness
    with serve() as client:
        assert client.get("/health/live").status == 200
        assert client.get("/health/ready").json()["checks"]["issuer_keys"]["status"] == "fail"
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(status, client, OLD.token())
            assert soon(lambda: publisher.close_hanging() or asked.done())
            assert asked.result() == 503
        publisher.behaviour = publish(OLD)
        assert soon(lambda: status(client, OLD.token()) == 200)
        assert client.get("/health/ready").json()["checks"]["issuer_keys"]["status"] == "pass"


def test_list_tasks_with_known_key_after_server_vanished_is_answered(serve: Serve, publisher: KeyServer) -> None:
    with serve(jwt_keys_ttl=1) as client:
        assert status(client, OLD.token()) == 200
        publisher.vanish()
        time.sleep(1.5)  # the set is older than it should be
        assert status(client, OLD.token(sub="bob")) == 200


def test_list_tasks_with_other_claims_wrong_does_not_fetch(serve: Serve, publisher: KeyServer) -> None:
    with serve() as client:
        assert status(client, OLD.token()) == 200
        wrong = [{"iss": "http://evil.example"}, {"aud": "other"}, {"exp": 1}, {"sub": ""}]
        assert [status(client, NEW.token(**claims)) for claims in wrong] == [401] * 4
    assert len(publisher.paths) == 1


def test_list_tasks_with_known_key_while_server_hangs_is_answered(serve: Serve, publisher: KeyServer) -> None:
    """New tokens under a known key do not wait, while 40 clients wait for a key that the server does not give."""
    with serve() as client:
        assert status(client, OLD.token()) == 200
        publisher.behaviour = issuers.hang
        with ThreadPoolExecutor(40) as pool:
            waiting = [pool.submit(status, client, NEW.token()) for _ in range(40)]
            assert soon(lambda: len(publisher.paths) == 2)
            assert [status(client, OLD.token(sub=f"user-{number}")) for number in range(20)] == [200] * 20
            assert not any(one.done() for one in waiting)
            publisher.close_hanging()
            assert {one.result() for one in waiting} == {503}


def test_list_tasks_by_discovery_is_answered(serve: Serve, publisher: KeyServer) -> None:
    issuer = f"{publisher.origin}/realms/r"
    document = json.dumps({"issuer": issuer, "jwks_uri": f"{publisher.origin}/keys"}).encode()

    def behave(connection: Any) -> None:
        (publish(OLD) if publisher.paths[-1] == "/keys" else answer(document))(connection)

    publisher.behaviour = behave
    with serve(jwt_issuer=issuer, jwt_jwks_url=None, jwt_discovery=True) as client:
        assert [status(client, OLD.token(iss=iss)) for iss in (issuer, ISSUER)] == [200, 401]


def test_list_tasks_with_shared_secret_is_answered(serve: Serve) -> None:
    with serve(jwt_jwks_url=None, jwt_secret=SECRET) as client:
        tokens = [
            hmac_token(SECRET.encode()),
            hmac_token(b"another-secret-of-the-tests-9mVq3xTz"),
            hmac_token(SECRET.encode(), "HS512"),
            OLD.token(),
        ]
        assert [status(client, token) for token in tokens] == [200, 401, 401, 401]


def test_list_tasks_with_a_type_of_any_spelling_is_answered_and_with_another_kind_of_token_is_not(serve: Serve) -> None:
    good = ("JWT", "jwt", "at+jwt", "at+JWT", "AT+JWT", "application/at+jwt", "Application/JWT")
    bad: list[object] = ["id+jwt", "application/id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "", 1, ["JWT"]]
    with serve() as client:
        statuses = [status(client, OLD.token({"typ": kind})) for kind in (*good, *bad)]
    assert statuses == [200] * len(good) + [401] * len(bad)


def test_serve_with_keys_by_url_agrees_on_cursors_between_copies(
    url: str, publisher: KeyServer, tmp_path: Path
) -> None:
    settings = {"JWT_ISSUER": ISSUER, "JWT_JWKS_URL": publisher.url, "JWT_AUDIENCE": AUDIENCE, "DATABASE_URL": url}
    token = OLD.token(sub="cursors")
    with Live(tmp_path, **settings) as one, Live(tmp_path, **settings) as other:
        one.ready()
        other.ready()
        for title in ("a", "b"):
            body = json.dumps({"title": title}).encode()
            assert one.request("POST", TASKS, body, token=token).status == 201
        page = one.request("GET", f"{TASKS}?sort=title&limit=1", token=token).json()
        rest = other.request("GET", f"{TASKS}?sort=title&limit=1&cursor={page['next_cursor']}", token=token).json()
        assert [task["title"] for task in page["items"] + rest["items"]] == ["a", "b"]
        told = [line for line in one.output().splitlines() if ISSUER in line]
    algorithms = "EdDSA or ES256 or ES384 or ES512 or RS256 or PS256"
    (line,) = told
    assert line.endswith(f"Accepting tokens of {ISSUER}, keys from {publisher.url}; aud {AUDIENCE}; alg {algorithms}")


def test_serve_with_embedded_database_takes_the_longest_token(publisher: KeyServer, folder: Path) -> None:
    token = OLD.token(roles="x" * 12000)
    assert 16200 < len(token) <= MAX_TOKEN_LENGTH
    settings = {"JWT_ISSUER": ISSUER, "JWT_JWKS_URL": publisher.url, "JWT_AUDIENCE": AUDIENCE}
    with Live(folder, **settings) as live:
        assert live.ready().request("GET", TASKS, token=token).status == 200
