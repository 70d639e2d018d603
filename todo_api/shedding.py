"""Turning requests away as they arrive, in overload: all that is done for one who is turned away is not done for the others.

Read, routed, answered and counted here, a refusal costs a fraction of what it does further in. It is for the common form of a request
alone, one whole head without a body. For what is not told by a look at it, the way further in is as good as ever.
"""

import re
from typing import NamedTuple

import orjson

from todo_api.pipeline.envelope import SAFE_TYPE, identified
from todo_api.pipeline.exchange import Exchange, Watcher
from todo_api.pipeline.rejections import Overloaded, RouteNotFound
from todo_api.pipeline.routing import Routes
from todo_api.pipeline.turns import Load
from todo_api.problems import KINDS, problem
from todo_api.replying import head

LONGEST = 8192
"""Bytes of a head that is looked at here."""

_HEAD = re.compile(
    rb"(GET|HEAD|POST|PUT|PATCH|DELETE) (/[!\"$->@-~]*+)(?:\?[!-~]*+)? HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t\x20-\x7e\x80-\xff]*+\r\n)++)\r\n"
)
"""A request of RFC 9112, sections 2 and 5, without a body behind it."""

_TELLING = re.compile(
    rb"^(host|connection|content-length|transfer-encoding|expect|upgrade|origin|x-request-id|traceparent):(.*)\r$",
    re.IGNORECASE | re.MULTILINE,
)
_IDENTIFYING = {b"x-request-id", b"traceparent"}
_PLAIN = {b"host": None, b"connection": b"keep-alive"}
"""What else a head that is told by a look may have of those, and with what value."""

_KIND = KINDS[Overloaded]
_ID = "the request's"
_STATUS, _all_headers, _body = problem(Overloaded(), _ID)
_HEADERS = [header for header in _all_headers if header[0] != b"content-length"]
_BEFORE, _AFTER = _body.split(orjson.dumps(_ID))
"""The problem document around the request's id."""


class Shedding(NamedTuple):
    """Who is turned away at once: requests of what `routes` know, while `load` is full."""

    load: Load
    routes: Routes
    watchers: tuple[Watcher, ...]

    def reply(self, data: bytes) -> bytes | None:
        """The reply to a request that is turned away; None for one that is to go further in, or that is not told by a look."""
        if not self.load.is_full() or len(data) > LONGEST or not (found := _HEAD.fullmatch(data)):
            return None
        told = [(name.lower(), value.strip()) for name, value in _TELLING.findall(found[3])]
        ids = [field for field in told if field[0] in _IDENTIFYING]
        others = [field for field in told if field[0] not in _IDENTIFYING]
        if not _are_plain(others):
            return None
        method = found[1].decode()
        operation = self._operation(method, found[2])
        if operation is None:
            return None
        self.load.count(refused=True)
        request_id, traceparent = identified(ids)
        exchange = Exchange(method, request_id, traceparent, self.watchers)
        exchange.enter(*operation)
        exchange.status, exchange.code = _KIND.status, _KIND.code
        exchange.end()
        body = _BEFORE + orjson.dumps(request_id) + _AFTER
        identity = ((b"content-length", b"%d" % len(body)), (b"x-request-id", request_id.encode()), SAFE_TYPE)
        refusal = head(_STATUS, [*_HEADERS, *identity], closes=False)
        return refusal if method == "HEAD" else refusal + body

    def _operation(self, method: str, path: bytes) -> tuple[str, str] | None:
        """The operation that would wait for a turn, and its path's template."""
        try:
            resource, _ = self.routes.match(path)
        except RouteNotFound:
            return None
        operation_id = resource.operation_ids.get(method)
        return None if operation_id is None or resource.has_own_threads else (operation_id, resource.template)


def _are_plain(fields: list[tuple[bytes, bytes]]) -> bool:
    """Whether there is one host, and nothing that asks for more than a reply."""
    hosts = sum(name == b"host" for name, _ in fields)
    return hosts == 1 and all(name in _PLAIN and _PLAIN[name] in (None, value.lower()) for name, value in fields)
