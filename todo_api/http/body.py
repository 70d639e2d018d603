"""JSON request bodies: size limit, strict parsing, validation by the contract."""

import json
from typing import Any

import orjson
from starlette.types import Receive, Scope

from todo_api.contract import MediaTypes, Rules, excess, is_encoded
from todo_api.errors import Violation
from todo_api.http.errors import (
    MalformedJson,
    PayloadTooLarge,
    UnsupportedContentCoding,
    UnsupportedMediaType,
)

MAX_BODY = 65536
"""Maximum size of a request body in bytes, unless the contract names another (`x-max-bytes`)."""


class Body:
    """The JSON body of one operation."""

    def __init__(self, definition: dict[str, Any], also: list[str], *, is_patch: bool) -> None:
        """`definition` is the contract's `requestBody`, `also` are further accepted media types."""
        ((media_type, content),) = definition["content"].items()
        self._media_types = MediaTypes(tuple(dict.fromkeys([media_type, *also])))
        self._is_patch = is_patch
        self._required = definition.get("required", False)
        self._rules = Rules(content["schema"])
        self._max_bytes: int = definition.get("x-max-bytes", MAX_BODY)
        self.operations: str | None = definition.get("x-operations")

    async def read(self, scope: Scope, receive: Receive, violations: list[Violation]) -> Any:
        """Return the parsed body, None if there is none. Append its violations to `violations`.

        Raise UnsupportedMediaType, UnsupportedContentCoding, PayloadTooLarge, MalformedJson, and
        RequestTimeout, by the server.
        """
        lengths, types, codings = [], [], []
        for name, value in scope["headers"]:
            if name == b"content-type":
                types.append(value)
            elif name == b"content-length":
                lengths.append(value)
            elif name == b"content-encoding":
                codings.append(value)
        content = await _receive(receive, lengths, self._max_bytes)
        if not content and not types:
            self._check_absent(violations)
            return None
        if codings and is_encoded(codings):
            raise UnsupportedContentCoding
        if len(types) != 1 or not self._media_types.include(types[0]):
            raise UnsupportedMediaType(self._media_types.names, is_patch=self._is_patch)
        if not content:
            self._check_absent(violations)
            return None
        value = parse(content)
        violations += self._rules.violations(value, "body")
        return value

    def _check_absent(self, violations: list[Violation]) -> None:
        if self._required:
            violations.append(Violation("body", "", "required", "A body is required."))


async def _receive(receive: Receive, lengths: list[bytes], max_bytes: int) -> bytes:
    if lengths and int(lengths[0]) > max_bytes:
        raise PayloadTooLarge(f"A request body has at most {max_bytes} bytes.")
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise MalformedJson("The body ended before it was complete.")
        content += message.get("body", b"")
        if len(content) > max_bytes:
            raise PayloadTooLarge(f"A request body has at most {max_bytes} bytes.")
        if not message.get("more_body", False):
            return bytes(content)


def parse(content: bytes) -> Any:
    """Return the value of a JSON text (RFC 8259). Raise MalformedJson.

    orjson refuses invalid UTF-8, NaN, lone surrogates and deep nesting, but takes the last of
    repeated names. A second parse refuses those (RFC 7493, section 2.3). It is skipped if the
    object has as many members as the text has colons: a repeated or nested name would add a colon.
    """
    try:
        value = orjson.loads(content)
        reason = excess(content, value)
        if reason is not None:
            raise MalformedJson(reason)
        if not (isinstance(value, dict) and len(value) == content.count(b":")):
            json.loads(content, object_pairs_hook=_unique)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(f"The body is not valid JSON in UTF-8, near byte {error.pos}.") from error
    except ValueError as error:
        raise MalformedJson("The body has a number with too many digits.") from error
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJson("An object in the body has the same name twice.")
    return members
