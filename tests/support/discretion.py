"""Holds everything that a run of the tests gets to see of the service's logs, errors and metrics to every secret of the run.

Secrets are what the tests send and are issued: tokens, keys, passwords, e-mail addresses, `Idempotency-Key`s, and the settings that are
secret. Texts are log lines, whoever writes them, 4xx and 5xx replies with their headers, and metrics. Both are gathered where they pass
(`client.py`, `live.py`, the root logger), and searched once, at the end. Successful replies carry what they are for, and are no texts.

Three things in texts are no finding: a request's id, which is the caller's own word; the digest of a user; and, in `current`, whose the
task or account is, which the caller has asked for. What looks like a token, a key or an e-mail address is one, whether it was seen being
sent or not: schemathesis sends what nobody here sees.
"""

import copy
import json
import logging
import os
import re
import zlib
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlsplit

from todo_api.observability import logs

_MEMBERS = re.compile(
    rb'"(password|current_password|new_password|email|refresh_token|token)"\s*:\s*("(?:[^"\\\x00-\x1f]|\\.)*")'
)
_ISSUED = re.compile(rb'"(access_token|refresh_token|key)"\s*:\s*"([^"\\]*)"')
_FIELDS = re.compile(rb"^(authorization|idempotency-key|x-request-id):[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_DIGITS = re.compile(r"[0-9]+")
_OWN_IDS = re.compile(r'("?(?:request_id|user)"?[=:]"?)(?:[0-9a-f]{32}|[0-9a-f]{16})\b')
_WORD = re.compile(r"[\w@.+-]{6,}")
_SHAPES = {
    "something like a JWT": re.compile(r"\beyj[\w-]{8,}\.[\w-]{8,}"),
    "something like a key or a refresh token": re.compile(r"\btd[kor]_[\w-]{20,}"),
    "something like an e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.[a-z]+"),
}
_SHORTEST = {"email": 6, "authorization": 16}
_DEFAULT_SHORTEST = 8
_FEWEST_CHARACTERS = 5
"""Minimum of characters, and of different ones, of a secret that is looked for. Digits count as one character.

Less stands in any text by chance.
"""

_SETTINGS = ("JWT_SECRET", "CURSOR_SECRET", "MCP_TOKEN")
_PLAIN_HEADERS = ("content-length", "date")


class Discretion:
    """The secrets and texts of one process. Numbers are not told apart in either, so that what differs in them alone counts once."""

    def __init__(self) -> None:
        self._noted: set[tuple[str, str]] = set()
        self._secrets: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._request_ids: set[str] = set()

    def sent(self, fields: Iterable[tuple[str, str]], body: bytes) -> None:
        """Takes note of what a request has that is secret."""
        for name, value in fields:
            self._field(name, value)
        self._body(body)

    def sent_bytes(self, content: bytes) -> None:
        """Note bytes of a request that were sent over the wire, all or a part, as `sent` does."""
        for name, value in _FIELDS.findall(content):
            self._field(name.decode().lower(), value.decode("latin-1"))
        self._body(content)

    def given(self, settings: dict[str, str]) -> None:
        """Takes note of what is secret of a service's settings."""
        for name in _SETTINGS:
            self.secret(name, settings.get(name, ""))
        self.secret("DATABASE_URL", urlsplit(settings.get("DATABASE_URL", "")).password or "")

    def received(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Takes note of a reply: of what it issues, or of what it says."""
        headers = list(headers)
        if ("content-encoding", "gzip") in ((name.lower(), value) for name, value in headers):
            body = zlib.decompressobj(wbits=31).decompress(body)  # which may have been cut
        if status >= 400:  # client errors and server errors
            self._problem(status, headers, body)
        elif body.startswith(b"# HELP "):
            self.text("metrics", body.decode())
        elif b'_token"' in body or b"tdk_" in body:
            for name, value in _ISSUED.findall(body):
                self.secret(name.decode(), value.decode())

    def secret(self, kind: str, value: str) -> None:
        """Takes note of a secret."""
        if (kind, value) in self._noted or (kind == "email" and "@" not in value):
            return
        self._noted.add((kind, value))
        shortest = _SHORTEST.get(kind, _DEFAULT_SHORTEST)
        for part in _parts(value):
            for form in {
                part,
                quote(part, errors="replace"),
                json.dumps(part)[1:-1],
                json.dumps(part, ensure_ascii=False)[1:-1],
            }:
                plain = _plain(form)
                if len(plain) >= shortest and len(set(plain)) >= _FEWEST_CHARACTERS:
                    self._secrets.setdefault(plain, kind)

    def text(self, kind: str, text: str) -> None:
        """Takes note of what the service says, line by line."""
        for line in text.splitlines():
            plain = _plain(_OWN_IDS.sub(r"\1", line))
            if plain not in self._texts:
                self._texts[plain] = f"{kind} in {os.environ.get('PYTEST_CURRENT_TEST', 'no test')}"

    def figures(self) -> tuple[int, int]:
        """Return the number of different texts, and of different secrets."""
        return len(self._texts), len(self._secrets)

    def complaints(self) -> list[str]:
        """A line for each text that holds a secret: what sort of one, and where the text was said first."""
        words = "\n".join({word for text in self._texts for word in _WORD.findall(text)})
        told = []
        for secret, kind in self._secrets.items():
            if max(_WORD.findall(secret), key=len, default="") in words:
                told += [f"{place}: holds {kind}" for text, place in self._texts.items() if secret in text]
        for what, shape in _SHAPES.items():
            told += [f"{place}: holds {what}" for text, place in self._texts.items() if shape.search(text)]
        return sorted(set(told))

    def _field(self, name: str, value: str) -> None:
        if name == "authorization":
            self.secret(name, value.partition(" ")[2].strip() or value)
        elif name == "idempotency-key":
            self.secret(name, value.strip('"'))
        elif name == "x-request-id":
            self._request_ids.add(value)

    def _body(self, body: bytes) -> None:
        for name, value in _MEMBERS.findall(body):
            try:
                self.secret(name.decode(), json.loads(value))
            except ValueError:  # not UTF-8, or a wrong escape: as it stands
                self.secret(name.decode(), value[1:-1].decode("latin-1"))

    def _problem(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        told = [*headers]
        for name, value in told:
            if name not in _PLAIN_HEADERS and not (name == "x-request-id" and value in self._request_ids):
                self.text(f"header {name} of a {status}", f"{'request_id' if name == 'x-request-id' else name}:{value}")
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            page = body.decode(errors="replace")  # pages for browsers quote the request's id
            self.text(f"a {status}", page.replace(dict(told).get("x-request-id", "\0"), ""))
            return
        if document.get("request_id") in self._request_ids:
            del document["request_id"]
        current = document.get("current")
        if isinstance(current, dict):  # the caller's own, as it stands
            document["current"] = {name: current[name] for name in current if name not in ("id", "user_id", "email")}
        self.text(f"a {status}", json.dumps(document, ensure_ascii=False, separators=(",", ":")))


class Listener(logging.Handler):
    """Takes note of the records of this process as the service writes them while it serves."""

    def __init__(self, discretion: Discretion) -> None:
        super().__init__()
        self._discretion = discretion
        self._handler = logs.LogHandler(self._note)
        self._handler.redact = True

    def emit(self, record: logging.LogRecord) -> None:
        """Takes note of a record, and leaves it as it is."""
        self._handler.emit(copy.copy(record))

    def _note(self, line: dict[str, Any]) -> None:
        told = {name: value for name, value in line.items() if name not in ("event", "level", "time")}
        self._discretion.text("log", " ".join([line["event"], *(f"{name}={value}" for name, value in told.items())]))


def _plain(text: str) -> str:
    return _DIGITS.sub("0", text.lower())


def _parts(value: str) -> set[str]:
    """The secret, and what of it is secret by itself."""
    if value.startswith("tdr_"):
        return {value, value[4:47], value[47:]} - {""}
    if value.startswith("tdk_"):
        return {value, value[10:]} - {""}  # what it begins with is its hint
    pieces = value.split(".")
    return {value, *(piece for piece in pieces[1:] if len(piece) >= 40)}  # of a JWT


RUN = Discretion()
"""That of this process."""
