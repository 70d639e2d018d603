"""Fetches from key servers that are well, sick or lying: bounded in time and size, and to the configured address alone."""

import asyncio
import datetime
import ipaddress
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support import issuers
from tests.support.clock import LoopClock
from tests.support.issuers import KeyServer, Signer, answer, key_server, publish
from todo_api.auth import jwks_client as fetching
from todo_api.auth.jwks_client import FetchFailed

DEADLINE = 60
"""Seconds that no machine takes for a fetch. Where a fetch has to reach it, the clock is moved on."""

OLD, NEW = Signer(key_id="old"), Signer(key_id="new")


@pytest.fixture
def server() -> Iterator[KeyServer]:
    """A key server that is well and publishes OLD."""
    with key_server(publish(OLD)) as server:
        yield server


def fetcher(server: KeyServer) -> fetching.JwksClient:
    return fetching.JwksClient(issuers.ISSUER, server.url, None, DEADLINE)


def discoverer(server: KeyServer) -> fetching.JwksClient:
    return fetching.JwksClient(server.origin, None, None, DEADLINE)


SICK = {
    "resets": (issuers.reset, "ReadError"),
    "floods": (issuers.flood, "more than 262144 bytes"),
    "says nothing": (lambda connection: None, "RemoteProtocolError"),
    "no HTTP": (lambda connection: connection.sendall(b"\x15\x03\x01\x00\x02\x02\x28"), "RemoteProtocolError"),
    "endless head": (
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40000),
        "RemoteProtocolError",
    ),
    "404": (answer(b'{"keys": []}', "404 Not Found"), "status 404"),
    "500": (answer(b'{"keys": []}', "500 Internal Server Error"), "status 500"),
    "204": (answer(b"", "204 No Content"), "status 204"),
    "HTML": (answer(b"<!doctype html><title>Sign in</title>"), "not JSON"),
    "empty": (answer(b""), "not JSON"),
    "not UTF-8": (answer(b'{"keys": ["\xff\xfe"]}'), "not JSON"),
    "cut": (answer(b'{"keys": [{"kty"'), "not JSON"),
    "shorter than it says": (
        lambda connection: connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"keys":[]}'),
        "RemoteProtocolError",
    ),
    "100,000 brackets": (answer(b"[" * 100_000), "not JSON"),
    "more than 256 KiB": (answer(b'{"keys": [' + b" " * 300_000 + b"]}"), "more than 262144 bytes"),
    "more than 256 KiB by one": (answer(b'{"keys":[]}'.ljust(256 * 1024 + 1)), "more than 262144 bytes"),
    "compressed": (answer(b'{"keys":[]}', "200 OK", "Content-Encoding: gzip"), "compressed"),
    "compressed otherwise": (answer(b'{"keys":[]}', "200 OK", "Content-Encoding: zstd"), "compressed"),
}


@pytest.mark.parametrize(("sickness", "reason"), SICK.values(), ids=SICK)
def test_fetch_from_sick_server_fails_for_its_reason(
    server: KeyServer, sickness: Callable[[Any], None], reason: str
) -> None:
    server.behaviour = sickness
    with pytest.raises(FetchFailed, match=reason):
        asyncio.run(fetcher(server).fetch())


@pytest.mark.parametrize("sickness", [issuers.hang, issuers.trickle], ids=["hangs", "trickles"])
def test_fetch_from_slow_server_fails_at_the_deadline(server: KeyServer, sickness: issuers.Behaviour) -> None:
    clock = LoopClock()

    def behave(connection: Any) -> None:
        clock.move_on(DEADLINE)
        sickness(connection)

    server.behaviour = behave
    with pytest.raises(FetchFailed, match=f"no whole answer within {DEADLINE} s"):
        clock.run(fetcher(server).fetch())


@pytest.mark.parametrize(
    "wellness",
    [answer(b'{"keys":[]}'.ljust(256 * 1024)), answer(b'{"keys":[]}', "200 OK", "Content-Encoding: identity")],
    ids=["256 KiB", "encoding told"],
)
def test_fetch_of_all_that_may_be_is_taken(server: KeyServer, wellness: Callable[[Any], None]) -> None:
    server.behaviour = wellness
    assert asyncio.run(fetcher(server).fetch()) == {"keys": []}


def test_fetch_from_vanished_server_fails(server: KeyServer) -> None:
    server.vanish()
    with pytest.raises(FetchFailed, match="ConnectError"):
        asyncio.run(fetcher(server).fetch())


def test_fetch_with_redirect_does_not_follow_it(server: KeyServer) -> None:
    with key_server(publish(NEW)) as other:
        server.behaviour = answer(b"", "302 Found", f"Location: {other.url}")
        with pytest.raises(FetchFailed, match="status 302"):
            asyncio.run(fetcher(server).fetch())
        assert other.paths == []


def test_fetch_with_proxy_in_the_environment_goes_past_it(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with key_server(publish(NEW)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.origin)
        assert asyncio.run(fetcher(server).fetch()) == {"keys": [OLD.jwk()]}
        assert proxy.paths == []


def discovery(server: KeyServer, **changes: Any) -> issuers.Behaviour:
    """Answers with a discovery document and with keys, by what was asked for."""
    document = {"issuer": server.origin, "jwks_uri": f"{server.origin}/keys"} | changes
    told = json.dumps({name: value for name, value in document.items() if value is not None}).encode()

    def behave(connection: Any) -> None:
        (publish(OLD) if server.paths[-1] == "/keys" else answer(told))(connection)

    return behave


def test_fetch_by_discovery_reads_the_document_once_an_hour(server: KeyServer) -> None:
    server.behaviour = discovery(server, id_token_signing_alg_values_supported=["none", "HS256"])
    client = discoverer(server)
    assert asyncio.run(client.fetch()) == asyncio.run(client.fetch()) == {"keys": [OLD.jwk()]}
    assert server.paths == ["/.well-known/openid-configuration", "/keys", "/keys"]
    client._discovered_at -= 3600
    asyncio.run(client.fetch())
    assert server.paths[3:] == ["/.well-known/openid-configuration", "/keys"]


def test_fetch_by_discovery_of_issuer_with_slash_asks_below_it(server: KeyServer) -> None:
    server.behaviour = discovery(server, issuer=f"{server.origin}/")
    asyncio.run(fetching.JwksClient(f"{server.origin}/", None, None, DEADLINE).fetch())
    assert server.paths[0] == "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://evil.example"},
        {"issuer": None},
        {"issuer": ["http://127.0.0.1"]},
        {"jwks_uri": None},
        {"jwks_uri": 1},
        {"jwks_uri": "/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://keys.example/keys"},
        {"jwks_uri": "https://keys.example/keys"},
    ],
    ids=json.dumps,
)
def test_fetch_by_discovery_with_lying_document_fails(server: KeyServer, changes: dict[str, Any]) -> None:
    server.behaviour = discovery(server, **changes)
    with pytest.raises(FetchFailed):
        asyncio.run(discoverer(server).fetch())
    assert server.paths == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize("origin", ["http://localhost:{}", "https://1.example:{}", "http://127.0.0.10:{}"])
def test_fetch_by_discovery_of_keys_on_another_host_fails(server: KeyServer, origin: str) -> None:
    """`localhost` is the same machine as 127.0.0.1, and yet another host."""
    server.behaviour = discovery(server, jwks_uri=f"{origin.format(server.port)}/keys")
    with pytest.raises(FetchFailed, match="jwks_uri is on another host"):
        asyncio.run(discoverer(server).fetch())
    assert server.paths == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize(
    "sickness", [issuers.hang, issuers.trickle, issuers.reset, answer(b"", "500 Internal Server Error")]
)
def test_fetch_by_discovery_with_sick_document_takes_keys_from_the_known_address(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch, sickness: issuers.Behaviour
) -> None:
    """Time is left for the keys themselves, however long the document hangs."""
    monkeypatch.setattr(fetching, "DISCOVERY_SECONDS", 0)
    server.behaviour = discovery(server)
    fetch = discoverer(server).fetch
    asyncio.run(fetch())
    clock = LoopClock()

    def behave(connection: Any) -> None:
        if server.paths[-1] == "/keys":
            publish(NEW)(connection)
        else:
            clock.move_on(DEADLINE / 2)
            sickness(connection)

    server.behaviour = behave
    assert clock.run(fetch()) == {"keys": [NEW.jwk()]}


def test_fetch_by_discovery_at_first_gives_the_document_the_whole_deadline(server: KeyServer) -> None:
    well, clock = discovery(server), LoopClock()

    def behave(connection: Any) -> None:
        if server.paths[-1] != "/keys":
            clock.move_on(DEADLINE * 0.55)
        well(connection)

    server.behaviour = behave
    assert clock.run(discoverer(server).fetch()) == {"keys": [OLD.jwk()]}


def test_fetch_by_discovery_of_keys_that_moved_asks_where(server: KeyServer) -> None:
    server.behaviour = discovery(server)
    fetch = discoverer(server).fetch
    asyncio.run(fetch())
    server.behaviour = answer(b"", "404 Not Found")
    with pytest.raises(FetchFailed):
        asyncio.run(fetch())
    server.behaviour = discovery(server)
    assert asyncio.run(fetch()) == {"keys": [OLD.jwk()]}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine's own for 127.0.0.1, with its private key in the same file."""
    signer = Signer("ES256")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, signer.private.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(signer.private, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    private = signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return file


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[KeyServer]:
    """A key server that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with key_server(publish(OLD), context) as server:
        yield server


def test_fetch_over_tls_with_ca_file_trusts_it(tls_server: KeyServer, certificate: Path) -> None:
    fetch = fetching.JwksClient(issuers.ISSUER, tls_server.url, certificate, DEADLINE).fetch
    assert asyncio.run(fetch()) == {"keys": [OLD.jwk()]}


def test_fetch_over_tls_without_ca_file_trusts_the_systems_alone(tls_server: KeyServer) -> None:
    with pytest.raises(FetchFailed, match="ConnectError"):
        asyncio.run(fetching.JwksClient(issuers.ISSUER, tls_server.url, None, DEADLINE).fetch())


def test_fetch_over_tls_by_another_name_fails(tls_server: KeyServer, certificate: Path) -> None:
    url = tls_server.url.replace("127.0.0.1", "localhost")
    with pytest.raises(FetchFailed, match="ConnectError"):
        asyncio.run(fetching.JwksClient(issuers.ISSUER, url, certificate, DEADLINE).fetch())
