"""The keys of an issuer over time: renewed without anybody asking, tried again while that fails, told of to operators."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import issuers
from tests.support.issuers import KeyServer, Signer, answer, key_server, publish
from todo_api.auth import jwks_cache as caching
from todo_api.auth import jwks_client as fetching
from todo_api.auth.external_issuer import describe_issuer
from todo_api.auth.jwks_cache import JwksCache, RefreshPolicy
from todo_api.auth.public_keys import MAX_KEYS, find_key, parse_jwks
from todo_api.config import Config
from todo_api.config.issuer import DEFAULT_PUBLIC_ALGORITHMS
from todo_api.errors import Unauthorized, Unavailable

OLD, NEW = Signer(key_id="old"), Signer(key_id="new")
SLOW = RefreshPolicy(ttl=3600, max_stale=3600, cooldown=0, retry=3600)
"""Nothing happens by itself."""


@pytest.fixture
def server() -> Iterator[KeyServer]:
    """A key server that is well and publishes OLD."""
    with key_server(publish(OLD)) as server:
        yield server


@asynccontextmanager
async def jwks_cache(server: KeyServer, policy: RefreshPolicy = SLOW) -> AsyncIterator[JwksCache]:
    """A set of keys that has fetched nothing yet."""
    keys = JwksCache(fetching.JwksClient(issuers.ISSUER, server.url, None, 5), DEFAULT_PUBLIC_ALGORITHMS, policy)
    try:
        yield keys
    finally:
        await keys.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


async def outcome(keys: JwksCache, key_id: str) -> str:
    """What comes of asking for a key."""
    try:
        await keys.fetch_for(key_id, "EdDSA")
    except (Unauthorized, Unavailable) as error:
        return type(error).__name__
    return "found"


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + issuers.SLACK
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What operators read of the keys."""
    return [each.getMessage() for each in caplog.records if each.name.startswith("todo_api.auth")]


def test_start_knows_the_keys_before_anybody_asks_and_renews_them_each_ttl(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server, SLOW._replace(ttl=0.05)) as keys:
            assert not keys.known
            keys.start()
            await until(lambda: keys.known)
            server.behaviour = publish(NEW)
            await until(lambda: keys.get("new", "EdDSA") is not None)

    run(test)


@pytest.mark.parametrize("policy", [SLOW._replace(retry=0.05), SLOW._replace(ttl=0.05)], ids=["retry", "ttl"])
def test_start_while_the_server_is_sick_tries_again_after_the_shorter_of_both_times(
    server: KeyServer, policy: RefreshPolicy
) -> None:
    async def test() -> None:
        server.behaviour = answer(b"", "500 Internal Server Error")
        async with jwks_cache(server, policy) as keys:
            keys.start()
            await until(lambda: len(server.paths) >= 3)
            assert not keys.known
            server.behaviour = publish(OLD)
            await until(lambda: keys.known)

    run(test)


def test_find_after_a_fetch_that_failed_in_no_foreseen_way_is_unavailable_and_then_found(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with jwks_cache(server) as keys:
            with monkeypatch.context() as patch:
                patch.setattr(fetching.JwksClient, "fetch", lambda _: (_ for _ in ()).throw(RuntimeError("a secret")))
                assert await outcome(keys, "old") == "Unavailable"
            assert await outcome(keys, "old") == "found"

    run(test)
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "secret" not in " ".join(told(caplog))


def test_waits_that_are_over_leave_room_for_others(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "MAX_WAITING", 3)

    async def test() -> None:
        async with jwks_cache(server) as keys:
            assert [await outcome(keys, "nobody's") for _ in range(5)] == ["Unauthorized"] * 5
            server.behaviour = answer(b"", "500 Internal Server Error")
            assert [await outcome(keys, "nobody's") for _ in range(5)] == ["Unavailable"] * 5
            for _ in range(5):
                await keys.refresh()
            server.behaviour = publish(NEW)
            await keys.refresh()
            assert keys.get("new", "EdDSA") is not None
            assert await outcome(keys, "nobody's") == "Unauthorized"

    run(test)


def test_fetch_puts_the_next_renewal_off_and_close_ends_it(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fetch is followed by one, however many were asked for."""

    async def test() -> None:
        loop, renewals = asyncio.get_running_loop(), []
        call_later = loop.call_later

        def watched(delay: float, *arguments: Any) -> asyncio.TimerHandle:
            handle = call_later(delay, *arguments)
            if delay == SLOW.ttl:
                renewals.append(handle)
            return handle

        monkeypatch.setattr(loop, "call_later", watched)
        async with jwks_cache(server) as keys:
            for _ in range(4):
                await keys.refresh()
            assert [handle.cancelled() for handle in renewals] == [True, True, True, False]
        assert renewals[-1].cancelled()

    run(test)


def test_renew_while_another_waits_for_the_cooldown_returns_at_once(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server, SLOW._replace(cooldown=3600)) as keys:
            assert await outcome(keys, "old") == "found"
            waiting = asyncio.create_task(outcome(keys, "new"))
            await asyncio.sleep(0)
            async with asyncio.timeout(issuers.SLACK):
                await keys.refresh()
            assert not waiting.done()
            waiting.cancel()

    run(test)
    assert len(server.paths) == 1


def test_outage_is_told_once_and_its_end_once(server: KeyServer, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with jwks_cache(server) as keys:
            assert await outcome(keys, "old") == "found"
            server.behaviour = answer(b"", "500 Internal Server Error")
            for _ in range(3):
                await keys.refresh()
            server.behaviour = publish(OLD)
            for _ in range(3):
                await keys.refresh()

    run(test)
    assert told(caplog) == [
        "The issuer's keys cannot be fetched: status 500. Known keys stay in use.",
        "The issuer's keys can be fetched again.",
    ]


def test_set_without_a_key_that_can_be_used_is_told(server: KeyServer, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        server.behaviour = publish()
        async with jwks_cache(server) as keys:
            assert await outcome(keys, "old") == "Unauthorized"
            assert not keys.known

    run(test)
    assert told(caplog) == [f"The issuer publishes no key for {', '.join(DEFAULT_PUBLIC_ALGORITHMS)}."]


@pytest.mark.parametrize("changes", [{"key_ops": ["verify"]}, {"key_ops": ["sign", "verify"]}, {"use": "sig"}], ids=str)
def test_read_set_takes_keys_that_are_for_verifying(changes: dict[str, Any]) -> None:
    assert list(parse_jwks({"keys": [OLD.jwk(**changes)]}, ("EdDSA",), {})) == [("old", "EdDSA")]


def test_read_set_takes_as_many_keys_as_there_may_be() -> None:
    entries = [OLD.jwk(kid=f"key {number}") for number in range(MAX_KEYS)]
    assert len(parse_jwks({"keys": entries}, ("EdDSA",), {})) == MAX_KEYS == 50


@pytest.mark.parametrize(("zeros", "taken"), [(0, 1), (100, 1), (2000, 0)])
def test_read_set_leaves_out_a_key_that_is_longer_than_any_needs_to_be(zeros: int, taken: int) -> None:
    """Zeros before a number are nothing to it: without a bound they are work for whoever reads the set."""
    key = Signer("RS256", "rsa").jwk()
    assert len(parse_jwks({"keys": [key | {"n": "A" * zeros + key["n"]}]}, ("RS256",), {})) == taken


@pytest.mark.parametrize(("bits", "taken"), [(2047, 0), (2048, 1), (8192, 1), (8193, 0)])
def test_read_set_takes_rsa_keys_of_2048_to_8192_bits(bits: int, taken: int) -> None:
    modulus = ((1 << bits) - 1).to_bytes((bits + 7) // 8, "big")
    entry = Signer("RS256", "rsa").jwk(n=issuers.encode(modulus))
    assert len(parse_jwks({"keys": [entry]}, ("RS256",), {})) == taken


def test_read_set_takes_the_first_of_two_keys_of_one_id() -> None:
    keys = parse_jwks({"keys": [OLD.jwk(kid="same"), NEW.jwk(kid="same")]}, ("EdDSA",), {})
    (first,) = parse_jwks({"keys": [OLD.jwk(kid="same")]}, ("EdDSA",), {}).values()
    assert [key.text for key in keys.values()] == [first.text]


def test_find_without_an_id_takes_the_only_key_for_the_algorithm() -> None:
    rsa, curve = Signer("RS256", "rsa"), Signer("ES256", "curve")
    keys = parse_jwks({"keys": [OLD.jwk(), rsa.jwk(), curve.jwk()]}, DEFAULT_PUBLIC_ALGORITHMS, {})
    found = {algorithm: find_key(keys, None, algorithm) for algorithm in ("EdDSA", "RS256", "ES256", "ES384")}
    assert found == {
        "EdDSA": keys["old", "EdDSA"],
        "RS256": keys["rsa", "RS256"],
        "ES256": keys["curve", "ES256"],
        "ES384": None,
    }
    assert [find_key(keys, key_id, "EdDSA") for key_id in ("rsa", "other", "")] == [None] * 3
    assert find_key(parse_jwks({"keys": [OLD.jwk(), NEW.jwk()]}, ("EdDSA",), {}), None, "EdDSA") is None


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_read_set_with_key_of_a_curve_is_for_its_algorithm_alone(algorithm: str) -> None:
    keys = parse_jwks({"keys": [Signer(algorithm, "curve").jwk(alg=None)]}, DEFAULT_PUBLIC_ALGORITHMS, {})
    assert list(keys) == [("curve", algorithm)]


SECRET = "a-secret-of-the-issuer-Zk8vQ2xW7pLm4nRt"
ISSUER = "http://127.0.0.1:3000"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"jwt_jwks_url": f"{ISSUER}/jwks"}, f"keys from {ISSUER}/jwks; aud a or b; alg EdDSA"),
        ({"jwt_discovery": True}, "keys from its discovery document; aud a or b; alg EdDSA"),
        ({"jwt_key_file": Path("issuer.pem")}, "keys from issuer.pem; aud a or b; alg EdDSA"),
        (
            {"jwt_secret": SECRET, "jwt_algorithms": (), "jwt_authorized_parties": ("web",)},
            "keys from JWT_SECRET; aud a or b; azp web; alg HS256",
        ),
    ],
    ids=["address", "discovery", "file", "secret"],
)
def test_description_says_where_the_keys_are_from_and_what_tokens_must_have(
    settings: dict[str, Any], expected: str
) -> None:
    usual = {"jwt_issuer": ISSUER, "jwt_audience": ("a", "b"), "jwt_algorithms": ("EdDSA",)}
    assert describe_issuer(Config(**(usual | settings))) == f"Accepting tokens of {ISSUER}, {expected}"


def test_close_of_keys_that_were_never_asked_for_does_nothing(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server):
            pass

    run(test)
    assert server.paths == []
