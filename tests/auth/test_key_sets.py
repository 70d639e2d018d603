"""The cache of an issuer's keys: what is taken into it, how long it holds, and who waits for what."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey

from tests.support import issuers
from tests.support.issuers import KeyServer, Signer, answer, key_server, publish
from todo_api.auth import jwks_client as fetching
from todo_api.auth.jwks_cache import MAX_WAITING, JwksCache, RefreshPolicy
from todo_api.auth.public_keys import parse_jwks
from todo_api.config.issuer import DEFAULT_PUBLIC_ALGORITHMS
from todo_api.errors import Unauthorized, Unavailable

DEADLINE = 60
"""Seconds that no machine takes for a fetch. One that hangs ends when its server is told to end it."""

PACE = RefreshPolicy(ttl=60, max_stale=3600, cooldown=0.3, retry=60)
OLD, NEW = Signer(key_id="old"), Signer(key_id="new")


@pytest.fixture
def server() -> Iterator[KeyServer]:
    """A key server that is well and publishes OLD."""
    with key_server(publish(OLD)) as server:
        yield server


@asynccontextmanager
async def jwks_cache(server: KeyServer, policy: RefreshPolicy = PACE) -> AsyncIterator[JwksCache]:
    """A set of keys that has fetched nothing yet."""
    keys = JwksCache(fetching.JwksClient(issuers.ISSUER, server.url, None, DEADLINE), DEFAULT_PUBLIC_ALGORITHMS, policy)
    try:
        yield keys
    finally:
        await keys.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


async def outcome(keys: JwksCache, key_id: str, algorithm: str = "EdDSA") -> str:
    """What comes of asking for a key."""
    try:
        await keys.fetch_for(key_id, algorithm)
    except (Unauthorized, Unavailable) as error:
        return type(error).__name__
    return "found"


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + issuers.SLACK
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_find_at_first_waits_for_the_fetch(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server) as keys:
            assert keys.get("old", "EdDSA") is None
            assert await outcome(keys, "old") == "found"
            assert keys.get("old", "EdDSA") is not None

    run(test)
    assert len(server.paths) == 1


def test_find_of_new_key_within_the_cooldown_waits_and_finds_it(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server) as keys:
            await keys.fetch_for("old", "EdDSA")
            server.behaviour = publish(OLD, NEW)
            assert await outcome(keys, "new") == "found"

    run(test)
    assert len(server.paths) == 2


def test_find_of_key_made_while_a_fetch_goes_on_waits_for_the_next(server: KeyServer) -> None:
    """The answer on its way was written before the key was made."""

    def slow(connection: Any) -> None:
        time.sleep(0.2)
        publish(OLD)(connection)

    async def test() -> None:
        async with jwks_cache(server) as keys:
            server.behaviour = slow
            keys.start()
            await until(lambda: bool(server.paths))
            server.behaviour = publish(OLD, NEW)
            assert await outcome(keys, "new") == "found"

    run(test)
    assert len(server.paths) == 2


def test_find_of_unknown_key_after_good_fetch_is_unauthorized(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server) as keys:
            assert await outcome(keys, "nobody's") == "Unauthorized"

    run(test)


def test_find_of_many_unknown_keys_at_once_fetches_once_each_cooldown(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server) as keys:
            await keys.fetch_for("old", "EdDSA")
            unknown = [outcome(keys, f"unknown-{number}") for number in range(100)]
            assert set(await asyncio.gather(*unknown)) == {"Unauthorized"}

    run(test)
    assert len(server.paths) == 2


def test_find_of_unknown_keys_one_after_another_fetches_once_each_cooldown(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server) as keys:
            began = time.monotonic()
            await keys.fetch_for("old", "EdDSA")
            assert [await outcome(keys, f"unknown-{number}") for number in range(3)] == ["Unauthorized"] * 3
            assert time.monotonic() - began >= 3 * PACE.cooldown

    run(test)
    assert len(server.paths) == 4


def test_find_of_unknown_key_with_server_out_of_reach_is_unavailable(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server) as keys:
            server.behaviour = issuers.reset
            assert await outcome(keys, "new") == "Unavailable"

    run(test)


def test_find_after_failed_fetch_is_unavailable_at_once_until_the_cooldown_is_over(server: KeyServer) -> None:
    async def test() -> None:
        server.behaviour = answer(b"", "500 Internal Server Error")
        async with jwks_cache(server, PACE._replace(cooldown=3600)) as keys, asyncio.timeout(issuers.SLACK):
            assert await outcome(keys, "old") == "Unavailable"
            server.behaviour = publish(OLD)
            with pytest.raises(Unavailable) as raised:
                await keys.fetch_for("old", "EdDSA")
            assert 3600 - issuers.SLACK < raised.value.retry_after <= 3600

    run(test)
    assert len(server.paths) == 1


def test_find_after_recovery_finds_the_key(server: KeyServer) -> None:
    async def test() -> None:
        server.behaviour = issuers.reset
        async with jwks_cache(server) as keys:
            assert await outcome(keys, "old") == "Unavailable"
            server.behaviour = publish(OLD)
            await asyncio.sleep(PACE.cooldown)
            assert await outcome(keys, "old") == "found"

    run(test)


def test_find_by_more_than_may_wait_is_unavailable_at_once(server: KeyServer) -> None:
    async def test() -> None:
        server.behaviour = issuers.hang
        async with jwks_cache(server) as keys:
            waiting = [asyncio.create_task(outcome(keys, "new")) for _ in range(MAX_WAITING)]
            await until(lambda: bool(server.paths))
            assert await outcome(keys, "new") == "Unavailable"
            assert not any(task.done() for task in waiting)
            server.close_hanging()
            assert set(await asyncio.gather(*waiting)) == {"Unavailable"}

    run(test)


def test_find_by_one_who_leaves_does_not_end_the_fetch_of_others(server: KeyServer) -> None:
    def slow(connection: Any) -> None:
        time.sleep(0.2)
        publish(OLD)(connection)

    async def test() -> None:
        server.behaviour = slow
        async with jwks_cache(server) as keys:
            leaving = asyncio.create_task(outcome(keys, "old"))
            staying = asyncio.create_task(outcome(keys, "old"))
            await until(lambda: bool(server.paths))
            leaving.cancel()
            assert await staying == "found"

    run(test)
    assert len(server.paths) == 1


def test_get_while_server_is_sick_serves_known_keys(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server, RefreshPolicy(ttl=0.05, max_stale=3600, cooldown=0.05, retry=0.05)) as keys:
            await keys.fetch_for("old", "EdDSA")
            server.behaviour = answer(b"", "500 Internal Server Error")
            seen = len(server.paths)
            await until(lambda: len(server.paths) > seen + 3)
            assert keys.get("old", "EdDSA") is not None
            assert keys.generation == 0

    run(test)


def test_get_of_keys_older_than_may_be_finds_none(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server, RefreshPolicy(ttl=0.05, max_stale=0.3, cooldown=0.05, retry=0.05)) as keys:
            await keys.fetch_for("old", "EdDSA")
            server.behaviour = issuers.reset
            await until(lambda: keys.get("old", "EdDSA") is None)
            assert keys.generation == 1
            assert await outcome(keys, "old") == "Unavailable"

    run(test)


def test_get_of_withdrawn_key_finds_none_once_the_set_is_fetched_anew(server: KeyServer) -> None:
    async def test() -> None:
        server.behaviour = publish(OLD, NEW)
        async with jwks_cache(server, RefreshPolicy(ttl=0.1, cooldown=0.05)) as keys:
            await keys.fetch_for("old", "EdDSA")
            server.behaviour = publish(NEW)
            await until(lambda: keys.get("old", "EdDSA") is None)
            assert keys.get("new", "EdDSA") is not None
            assert keys.generation == 1

    run(test)


def test_get_of_key_that_stays_is_the_same_after_a_rotation(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server) as keys:
            await keys.fetch_for("old", "EdDSA")
            before = keys.get("old", "EdDSA")
            server.behaviour = publish(OLD, NEW)
            await keys.fetch_for("new", "EdDSA")
            assert keys.get("old", "EdDSA") is before
            assert keys.generation == 0

    run(test)


def test_renew_fetches_once_each_cooldown_and_does_not_wait_for_the_next(server: KeyServer) -> None:
    """A token that is signed with another key of a known id costs nobody a fetch, nor a wait."""
    policy = PACE._replace(cooldown=60)

    async def test() -> None:
        async with jwks_cache(server, policy) as keys, asyncio.timeout(issuers.SLACK):
            assert await outcome(keys, "old") == "found"
            for _ in range(20):
                await keys.refresh()

    run(test)
    assert len(server.paths) == 1


def test_renew_after_the_cooldown_fetches_anew(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server) as keys:
            assert await outcome(keys, "old") == "found"
            server.behaviour = publish(NEW)
            await asyncio.sleep(PACE.cooldown)
            await keys.refresh()
            assert keys.get("new", "EdDSA") is not None

    run(test)
    assert len(server.paths) == 2


def test_renew_by_many_at_once_waits_for_one_fetch(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server) as keys:
            assert await outcome(keys, "old") == "found"
            await asyncio.sleep(PACE.cooldown)
            await asyncio.gather(*(keys.refresh() for _ in range(50)))

    run(test)
    assert len(server.paths) == 2


def test_renew_from_sick_server_keeps_the_keys_and_raises_nothing(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server) as keys, asyncio.timeout(issuers.SLACK):
            assert await outcome(keys, "old") == "found"
            server.behaviour = issuers.reset
            await asyncio.sleep(PACE.cooldown)
            await keys.refresh()
            assert keys.get("old", "EdDSA") is not None
            keys._policy = PACE._replace(cooldown=3600)  # however long this takes
            await keys.refresh()  # it has just failed, and is not tried again

    run(test)
    assert len(server.paths) == 2


def test_renew_by_more_than_may_wait_returns_at_once_with_the_keys_there_are(server: KeyServer) -> None:
    async def test() -> None:
        async with jwks_cache(server, PACE._replace(cooldown=0)) as keys, asyncio.timeout(issuers.SLACK / 2):
            assert await outcome(keys, "old") == "found"
            server.behaviour = issuers.hang
            waiting = [asyncio.create_task(keys.refresh())]
            await until(lambda: len(server.paths) == 2)
            waiting += [asyncio.create_task(keys.refresh()) for _ in range(MAX_WAITING - 1)]
            await asyncio.sleep(0)
            await keys.refresh()
            assert keys.get("old", "EdDSA") is not None
            assert not any(task.done() for task in waiting)
            server.close_hanging()
            await asyncio.gather(*waiting)

    run(test)


def test_close_while_a_fetch_hangs_ends_it(server: KeyServer) -> None:
    async def test() -> None:
        server.behaviour = issuers.hang
        async with jwks_cache(server) as keys, asyncio.timeout(issuers.SLACK / 2):
            keys.start()
            await until(lambda: bool(server.paths))
            closing = asyncio.create_task(keys.close())
            await closing  # before the server ends the fetch

    run(test)


RSA = Signer("RS256", "rsa")
LEFT_OUT: dict[str, Any] = {
    "a secret": {"kty": "oct", "kid": "x", "k": issuers.encode(b"x" * 32), "alg": "HS256"},
    "for encryption": OLD.jwk(use="enc"),
    "use null": OLD.jwk() | {"use": None},
    "for signing": OLD.jwk(key_ops=["sign"]),
    "key_ops no list": OLD.jwk(key_ops="verify"),
    "of another algorithm": OLD.jwk(alg="ES256"),
    "of an algorithm that is not taken": RSA.jwk(alg="RS384"),
    "alg a list": OLD.jwk(alg=["EdDSA"]),
    "kid a number": OLD.jwk(kid=1),
    "kid a list": OLD.jwk(kid=["old"]),
    "curve a list": OLD.jwk(crv=["Ed25519"]),
    "curve X25519": OLD.jwk(crv="X25519"),
    "curve Ed448": OLD.jwk(crv="Ed448", x=issuers.encode(Ed448PrivateKey.generate().public_key().public_bytes_raw())),
    "curve secp256k1": Signer("ES256").jwk(crv="secp256k1", alg=None),
    "curve missing": Signer("ES256").jwk(crv=None, alg=None),
    "point missing": OLD.jwk(x=None),
    "point a number": OLD.jwk(x=5),
    "point off the curve": Signer("ES256").jwk(x=issuers.encode(b"\1" * 32)),
    "point short": OLD.jwk(x="AAAA"),
    "modulus of 1024 bits": Signer("RS256", bits=1024).jwk(),
    "modulus of 32768 bits": RSA.jwk(n=issuers.encode(b"\xff" * 4096)),
    "exponent huge": RSA.jwk(e=issuers.encode(b"\xff" * 64)),
    "exponent one": RSA.jwk(e="AQ"),
    "of unknown type": {"kty": "AKP", "alg": "ML-DSA-44", "kid": "x", "pub": "AAAA"},
    "a list": ["kty"],
    "null": None,
    "empty": {},
}


@pytest.mark.parametrize("entry", LEFT_OUT.values(), ids=LEFT_OUT)
def test_read_set_with_unusable_key_takes_the_others(entry: Any) -> None:
    keys = parse_jwks({"keys": [entry, NEW.jwk()]}, DEFAULT_PUBLIC_ALGORITHMS, {})
    assert list(keys) == [("new", "EdDSA")]


def test_read_set_takes_an_exponent_of_eight_characters_and_none_of_ten() -> None:
    long, too_long = (issuers.encode(b"\1" * octets) for octets in (6, 7))
    assert (len(long), len(too_long)) == (8, 10)
    keys = [RSA.jwk(kid="long", e=long), RSA.jwk(kid="too long", e=too_long)]
    assert list(parse_jwks({"keys": keys}, DEFAULT_PUBLIC_ALGORITHMS, {})) == [("long", "RS256")]


@pytest.mark.parametrize("document", [None, [], "keys", {}, {"keys": {}}, {"keys": [{}] * 51}], ids=str)
def test_read_set_of_something_else_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"no JWK set|more than 50 keys"):
        parse_jwks(document, DEFAULT_PUBLIC_ALGORITHMS, {})


def test_read_set_with_ed25519_for_alg_takes_it_as_eddsa() -> None:
    assert list(parse_jwks({"keys": [OLD.jwk(alg="Ed25519")]}, ("EdDSA",), {})) == [("old", "EdDSA")]


def test_read_set_with_rsa_key_without_alg_is_for_what_is_configured() -> None:
    keys = parse_jwks({"keys": [RSA.jwk(alg=None)]}, ("EdDSA", "RS256", "PS512"), {})
    assert list(keys) == [("rsa", "RS256"), ("rsa", "PS512")]


def test_read_set_with_private_key_keeps_the_public_part_alone() -> None:
    (key,) = parse_jwks({"keys": [OLD.jwk(d=issuers.encode(b"x" * 32))]}, ("EdDSA",), {}).values()
    assert not hasattr(key.value, "private_bytes")
