"""Holds replies to the contracts: status, headers and body. Written apart from the service's own validation."""

import re
from collections import Counter
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from jsonschema import FormatChecker
from jsonschema_rs import Draft4, Draft4Validator, Registry

from todo_api import contract
from todo_api.contract import resolve

FORMATS = {
    name: lru_cache(maxsize=4096)(partial(FormatChecker().conforms, format=name))
    for name in ("date", "date-time", "uuid")
}
"""Functions that judge a text by its format. Pages tell the same times again and again."""

ALWAYS = (405, 417)
"""Statuses that no operation lists: the request is refused for what is HTTP's, before it is an operation's."""


def _plain(schema: Any) -> Any:
    """A schema with OpenAPI's `nullable` as JSON Schema says it, and its `$ref`s to the contract whole."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": f"contract:{schema['$ref']}"}
    plain = {name: _plain(part) for name, part in schema.items() if name not in ("nullable", "example", "examples")}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


@cache
def _read(path: Path) -> tuple[dict[str, Any], Registry]:
    """A contract, and what its `$ref`s are looked up in. It stays for good, and so nothing else will have its id."""
    document = contract.load(path)
    return document, Registry([("contract:", _plain(document))], draft=Draft4)


class ContractCheck:
    """The two contracts as a judge of replies. `seen` counts operation and status, `headers_seen` operation and header."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, int]] = Counter()
        self.headers_seen: Counter[tuple[str, str]] = Counter()
        self._operations: list[tuple[re.Pattern[str], dict[str, Any], dict[str, Any], Registry]] = []
        self._validators: dict[int, Any] = {}
        for path, base in ((contract.TASK_API, "/api/v1"), (contract.OPS_API, "")):
            document, registry = _read(path)
            for template, item in document["paths"].items():
                pattern = re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(base + template)))
                self._operations.append((pattern, item, document, registry))

    def documented(self) -> set[tuple[str, int | str]]:
        """Every operation with each of its statuses, and with each of its response headers."""
        documented: set[tuple[str, int | str]] = set()
        for _, item, document, _ in self._operations:
            for operation in (part for method, part in item.items() if method != "parameters"):
                for status, reference in operation["responses"].items():
                    documented.add((operation["operationId"], int(status)))
                    headers = resolve(document, reference).get("headers", {})
                    documented.update((operation["operationId"], header) for header in headers)
        return documented

    def unseen(self) -> set[tuple[str, int | str]]:
        """Return what the contract documents and no reply had."""
        return self.documented() - set(self.seen) - set(self.headers_seen)

    def reply(self, method: str, path: str, reply: Any) -> None:
        """Raises AssertionError where the reply breaks the contract."""
        assert re.fullmatch(r"[!-~]{1,128}", reply.headers["x-request-id"]), reply.headers
        raw_path = path.partition("?")[0]
        found = next((one for one in self._operations if one[0].fullmatch(raw_path)), None)
        is_page = found is None and reply.headers.get("content-type") == "text/html; charset=utf-8"  # for a browser
        if reply.status >= 400 and not is_page:
            self._problem(method, reply)
        if found is not None:
            _, item, document, registry = found
            # Methods are compared as they are (RFC 9110, section 9.1): `get` is none of the contract's.
            names = {"HEAD": "get", **{name.upper(): name for name in item}}
            operation = item.get(names.get(method, ""))
            if operation is not None and reply.status not in ALWAYS:
                self._documented(method, operation, document, registry, reply)

    def _problem(self, method: str, reply: Any) -> None:
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["cache-control"] == "no-store"
        if method != "HEAD":
            body = reply.json()
            assert body["status"] == reply.status
            assert body["request_id"] == reply.headers["x-request-id"]
            assert body["type"] == f"/problems/{body['code']}"

    def _documented(
        self, method: str, operation: dict[str, Any], document: dict[str, Any], registry: Registry, reply: Any
    ) -> None:
        name = operation["operationId"]
        self.seen[name, reply.status] += 1
        assert str(reply.status) in operation["responses"], f"{name}: {reply.status} is not documented: {reply.body!r}"
        response = resolve(document, operation["responses"][str(reply.status)])
        for header, definition in response.get("headers", {}).items():
            self._header(name, header, resolve(document, definition), registry, reply)
        content = response.get("content")
        if method == "HEAD" or content is None:
            assert reply.body == b"", f"{name}: a body where there is none: {reply.body!r}"
            return
        ((media_type, definition),) = content.items()
        if media_type == "text/plain":
            assert reply.headers["content-type"].startswith("text/plain;")
            self._judge(name, definition["schema"], registry, reply.body.decode())
            return
        assert reply.headers["content-type"] == media_type
        self._judge(name, definition["schema"], registry, reply.json())

    def _header(self, name: str, header: str, definition: dict[str, Any], registry: Registry, reply: Any) -> None:
        text = reply.headers.get(header.lower())
        if text is None:
            assert not definition.get("required"), f"{name}: {reply.status} without {header}"
            return
        self.headers_seen[name, header] += 1
        value: Any = int(text) if definition["schema"]["type"] == "integer" else text
        self._judge(f"{name} {header}", definition["schema"], registry, value)

    def _judge(self, name: str, schema: dict[str, Any], registry: Registry, value: Any) -> None:
        validator = self._validators.get(id(schema))  # the contracts live as long as this does, and so do the ids
        if validator is None:
            validator = Draft4Validator(_plain(schema), registry=registry, validate_formats=True, formats=FORMATS)
            self._validators[id(schema)] = validator
        if validator.is_valid(value):
            return
        broken = [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(value)]
        raise AssertionError(f"{name}: {broken}")
