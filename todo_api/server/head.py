"""Parsing of a request's head by RFC 9110 and 9112, where the parser is more lenient."""

import re
from collections.abc import Callable
from typing import NamedTuple

import httptools

from todo_api.http import BadRequest, NotImplementedByServer
from todo_api.server.limits import METHOD_BYTES

Headers = list[tuple[bytes, bytes]]

PARSED_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"})
"""Methods that the parser accepts. RFC 9110, section 9.1, allows any token."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_REQUEST_LINE = re.compile(rb"(%b+) ([!-~]+) HTTP/1\.[01]\r\n" % _TOKEN)
FIRST_BYTE = re.compile(_TOKEN)
_ABSOLUTE_FORM = re.compile(rb"https?://(?!:)([^/?#]+)([^#]*)", re.IGNORECASE)
"""A target with its host, which `http` requires (RFC 9110, section 4.2.1)."""

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63}){0,31}\.?)?)(:[0-9]{0,5})?")
_END = b"\r\n\r\n"
_COMPRESSIONS = frozenset({b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"})


class Framing(NamedTuple):
    """The framing of the rest of the request, by its header fields."""

    length: int | None
    expects_continue: bool
    has_body: bool


def read_method(data: bytes, start: int, end: int) -> bytes:
    """Return the method of a request line. Raise BadRequest or NotImplementedByServer."""
    line = _REQUEST_LINE.fullmatch(data, start, end)
    if line is None:
        raise BadRequest
    if line[1] == b"CONNECT" or len(line[1]) > METHOD_BYTES:
        raise NotImplementedByServer
    return line[1]


def origin_form(method: bytes, target: bytes, headers: Headers) -> bytes:
    """Return path and query of a target, also from its absolute form (RFC 9112, section 3.2.2).

    An absolute form sets the host. Raise BadRequest.
    """
    if b"#" in target:
        raise BadRequest
    if target.startswith(b"/"):
        return target
    if absolute := _ABSOLUTE_FORM.fullmatch(target):
        host, rest = absolute[1], absolute[2]
        if not _HOST.fullmatch(host):
            raise BadRequest
        headers[:] = [(name, host if name == b"host" else value) for name, value in headers]
        return rest if rest.startswith(b"/") else b"/" + rest
    if target != b"*" or method != b"OPTIONS":
        raise BadRequest
    return target


def framing(headers: Headers, version: str) -> Framing:
    """Return the framing. Refuse invalid hosts and codings other than `chunked`.

    Remove `Upgrade` from the headers, since a server may ignore it (RFC 9110, section 7.8). Raise
    BadRequest or NotImplementedByServer.
    """
    hosts: list[bytes] = []
    codings: list[bytes] = []
    expectations: list[bytes] = []
    length, upgrades = None, False
    for name, value in headers:
        if name == b"host":
            hosts.append(value)
        elif name == b"transfer-encoding":
            codings.append(value.lower())
        elif name == b"content-length":
            length = int(value)
        elif name == b"expect":
            expectations += (member.strip(b" \t").lower() for member in value.split(b","))
        elif name == b"upgrade":
            upgrades = True
    if len(hosts) > 1 or (not hosts and version == "1.1") or not all(map(_HOST.fullmatch, hosts)):
        raise BadRequest  # RFC 9112, section 3.2
    if codings and (codings != [b"chunked"] or version == "1.0"):
        _refuse_codings(codings, version)
    if upgrades:
        headers[:] = [header for header in headers if header[0] != b"upgrade"]
    has_body = bool(length or codings)
    return Framing(length, has_body and version == "1.1" and b"100-continue" in expectations, has_body)


def _refuse_codings(codings: list[bytes], version: str) -> None:
    """Raise NotImplementedByServer for compressions, BadRequest else (RFC 9112, section 6.1)."""
    *others, last = (coding.strip(b" \t") for coding in b",".join(codings).split(b","))
    if last == b"chunked" and others and _COMPRESSIONS.issuperset(others) and version == "1.1":
        raise NotImplementedByServer
    raise BadRequest


class _Callbacks(NamedTuple):
    on_body: Callable[[bytes], None]
    on_message_complete: Callable[[], None]


def body_parser(
    on_body: Callable[[bytes], None], on_message_complete: Callable[[], None], length: int | None
) -> httptools.HttpRequestParser:
    """Return a parser of a body, chunked if `length` is None.

    The parser of the head does not parse a body after `Upgrade`.
    """
    parser = httptools.HttpRequestParser(_Callbacks(on_body, on_message_complete))
    framed = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framed)
    return parser


class Pieces:
    """Positions where a request may end. The parser gets no further at once, to find out."""

    __slots__ = ("_seen", "body_left")

    def __init__(self) -> None:
        self.body_left: int | None = None
        """Bytes of the body that are still due, None without `Content-Length`."""
        self._seen = b""
        """The last three bytes before the piece at most: an empty line may begin there."""

    def end(self, data: bytes, start: int) -> int:
        """Return the end of the piece at `start`.

        That is the end of the body, or an empty line, which ends a head or a chunked body.
        """
        if self.body_left is not None:
            end = min(len(data), start + self.body_left)
            self.body_left -= end - start
            return end
        # An empty line that began in the last data is looked for first.
        end = (self._seen + data[start : start + 3]).find(_END) if self._seen else -1
        if end >= 0:
            end += start + len(_END) - len(self._seen)
        else:
            end = data.find(_END, start) + len(_END)
            if end < len(_END):
                end = len(data)
        self._seen = (self._seen + data[max(start, end - 3) : end])[-3:]
        return end
