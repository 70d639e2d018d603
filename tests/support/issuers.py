"""External issuers for tests: keys that sign, and a key server on the loopback that can be as sick as wanted."""

import asyncio
import base64
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from tests.support.client import Client, event_loop
from tests.support.contract_check import ContractCheck
from todo_api.app import create_app
from todo_api.config import Config

ISSUER = "http://auth.example:3000"
AUDIENCE = "http://auth.example:3000"
SLACK = 20

Behaviour = Callable[[socket.socket], None]
"""Behaviour of a key server: a function that answers a connection after the request was read."""


class Signer:
    """A key pair of an issuer, and tokens that are signed with it."""

    def __init__(self, algorithm: str = "EdDSA", key_id: str | None = "key-1", bits: int = 2048) -> None:
        self.algorithm = algorithm
        self.key_id = key_id
        curves = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
        if algorithm in curves:
            self.private: Any = ec.generate_private_key(curves[algorithm]())
        elif algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = rsa.generate_private_key(65537, bits)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """The public key as Better Auth publishes it, without `use`; None takes a member away."""
        algorithm: Any = get_default_algorithms()[self.algorithm]
        public = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        public.pop("key_ops", None)
        members = public | {"alg": self.algorithm, "kid": self.key_id} | changes
        return {name: value for name, value in members.items() if value is not None}

    def pem(self) -> bytes:
        """The public key in PEM."""
        pem: bytes = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    def token(self, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A good token, but for the changes; None takes a claim or a member of the header away."""
        payload = json.dumps(claims(**changes)).encode()
        return self.sign(self.header(**(header or {})), payload)

    def header(self, **changes: Any) -> bytes:
        """The header as JSON, like Better Auth's: without `typ`."""
        members = {"alg": self.algorithm, "kid": self.key_id} | changes
        return json.dumps({name: value for name, value in members.items() if value is not None}).encode()

    def sign(self, header: bytes, payload: bytes) -> str:
        """A token of these very bytes, well signed."""
        signed = f"{encode(header)}.{encode(payload)}"
        algorithm: Any = get_default_algorithms()[self.algorithm]
        return f"{signed}.{encode(algorithm.sign(signed.encode(), self.private))}"


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a token as Better Auth issues it; None takes one away."""
    now = int(time.time())
    good = {"iat": now, "exp": now + 900, "sub": "ada", "iss": ISSUER, "aud": AUDIENCE, "email": "ada@example.com"}
    return {name: value for name, value in (good | changes).items() if value is not None}


def hmac_token(secret: bytes, algorithm: str = "HS256", **changes: Any) -> str:
    """A token under a shared secret, of any kind: PyJWT refuses to sign with public keys."""
    header = json.dumps({"alg": algorithm, "kid": "key-1"}).encode()
    signed = f"{encode(header)}.{encode(json.dumps(claims(**changes)).encode())}"
    digest: Any = get_default_algorithms()[algorithm]
    return f"{signed}.{encode(digest.sign(signed.encode(), secret))}"


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def answer(body: bytes, status: str = "200 OK", *fields: str) -> Behaviour:
    """Answers with these very bytes."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *fields, "", ""])
    return lambda connection: connection.sendall(head.encode() + body)


def publish(*keys: Any) -> Behaviour:
    """Answers with a JWK set of these keys, Signers or JWKs."""
    entries = [key.jwk() if isinstance(key, Signer) else key for key in keys]
    return answer(json.dumps({"keys": entries}).encode())


def hang(connection: socket.socket) -> None:
    """Says nothing until the other side gives up."""
    connection.settimeout(SLACK)
    with suppress(OSError):
        connection.recv(1)


def trickle(connection: socket.socket) -> None:
    """Sends its body by the byte, and never enough of it, until the other side gives up."""
    until = time.monotonic() + SLACK
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    with suppress(OSError):
        while time.monotonic() < until:
            connection.sendall(b" ")
            time.sleep(0.05)


def reset(connection: socket.socket) -> None:
    """Ends with a reset in the middle of the body."""
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"keys": [')
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def flood(connection: socket.socket) -> None:
    """Sends without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    with suppress(OSError):
        while True:
            connection.sendall(b" " * 65536)


class KeyServer:
    """Answers every request, whatever it asks for, as it is told to. `paths` has what was asked for."""

    def __init__(self, behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.behaviour = behaviour
        self._tls = tls
        self.paths: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def origin(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/api/auth/jwks"

    def close_hanging(self) -> None:
        """Ends every connection that hangs, without an answer."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def vanish(self) -> None:
        """Closes the door: connections are refused from now on."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self) -> None:
        self.vanish()
        for thread in self._threads:
            thread.join(SLACK)

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=[connection])
            self._threads.append(thread)
            thread.start()

    def _serve(self, accepted: socket.socket) -> None:
        with suppress(OSError), self._tls.wrap_socket(accepted, True) if self._tls else accepted as connection:
            request = b""
            while b"\r\n\r\n" not in request:
                received = connection.recv(65536)
                if not received:
                    return
                request += received
            self.paths.append(request.split(b" ")[1].decode())
            self._open.append(connection)
            self.behaviour(connection)


@contextmanager
def key_server(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[KeyServer]:
    server = KeyServer(behaviour, tls)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def serving(config: Config, check: ContractCheck) -> Iterator[Client]:
    """A client of the service between its start and its stop, as a server has them."""
    with event_loop() as loop:
        app = create_app(config)
        started, stop = threading.Event(), asyncio.Event()
        told = iter(("lifespan.startup", "lifespan.shutdown"))

        async def receive() -> dict[str, Any]:
            message = next(told)
            if message == "lifespan.shutdown":
                await stop.wait()
            return {"type": message}

        async def send(message: Any) -> None:
            assert not message["type"].endswith("failed"), message
            started.set()

        scope: Any = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        life = asyncio.run_coroutine_threadsafe(app(scope, receive, send), loop)
        assert started.wait(SLACK)
        try:
            yield Client(app, check, loop)
        finally:
            loop.call_soon_threadsafe(stop.set)
            life.result(SLACK)


def session_tokens() -> list[str]:
    """Return what clients of Better Auth send by mistake: the session's token, as in the body and as in the cookie."""
    return ["kq3PqwX1jQe1Ti5ZkLdYvW4uXo0aB9cE", "kq3PqwX1jQe1Ti5ZkLdYvW4uXo0aB9cE.8uJm+Q/1r7b3nVtN5w2yFhKxZs6PdGc="]
