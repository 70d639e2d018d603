"""Path, query and header parameters: converted and validated by the contract."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from todo_api.contract.rules import MAX_NAME, MAX_VIOLATIONS, Rules, escape, type_detail, unknown_detail
from todo_api.errors import Violation

if TYPE_CHECKING:
    from starlette.types import Scope

DRY_RUN = "dry_run"
"""Name of the parameter of writes that tries one."""

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?")


class _WrongTypeError(Exception):
    """The text cannot be converted."""


class Parameter:
    """A parameter of an operation."""

    def __init__(self, definition: dict[str, Any]) -> None:
        self.name: str = definition["name"]
        self.location: str = definition["in"]
        self.argument = self.name.lower().replace("-", "_")
        self.required: bool = definition.get("required", False)
        schema = definition["schema"]
        self.default = schema.get("default")
        self.has_default = "default" in schema
        self.is_list = schema["type"] == "array"
        self._convert = _converter(definition)
        self._rules = Rules(schema)
        self._type_detail = type_detail(schema.get("items", schema))
        self._pointer = f"/{self.name}"

    def read(self, text: str, arguments: dict[str, Any], violations: list[Violation]) -> None:
        """Add the converted value to `arguments`, or its violations to `violations`."""
        try:
            value = self._convert(text)
        except _WrongTypeError:
            violations.append(Violation(self.location, self._pointer, "wrong_type", self._type_detail))
            return
        found = self._rules.violations(value, self.location, self._pointer)
        if found:
            violations += found
        else:
            arguments[self.argument] = value

    def missing(self) -> Violation:
        """Return the violation of a required parameter that was not sent."""
        return Violation(self.location, self._pointer, "required", "Is required.")


class Parameters:
    """The parameters of an operation."""

    def __init__(self, definitions: list[dict[str, Any]]) -> None:
        unique = {(definition["in"], definition["name"]): Parameter(definition) for definition in definitions}
        self._path = [parameter for (place, _), parameter in unique.items() if place == "path"]
        self._query = {name: parameter for (place, name), parameter in unique.items() if place == "query"}
        self._headers = {
            name.lower().encode(): parameter for (place, name), parameter in unique.items() if place == "header"
        }
        optional = [each for each in unique.values() if each.has_default and not each.required]
        self._defaults = {parameter.argument: parameter.default for parameter in optional}
        self.arguments = {parameter.argument for parameter in unique.values()}
        """Names of the handler's arguments."""

    def read(self, scope: "Scope", arguments: dict[str, Any], violations: list[Violation]) -> None:
        """Add the request's parameters to `arguments`, or their violations to `violations`."""
        arguments.update(self._defaults)
        for parameter in self._path:
            text = scope["path_params"][parameter.name]
            if text is None:
                violations.append(Violation("path", f"/{parameter.name}", "format", "Must be percent-encoded UTF-8."))
            else:
                parameter.read(text, arguments, violations)
        self._read_query(scope["query_string"], arguments, violations)
        if self._headers:
            self._read_headers(scope["headers"], arguments, violations)

    def _read_query(self, query: bytes, arguments: dict[str, Any], violations: list[Violation]) -> None:
        sent: dict[str, list[str | None]] = {}
        for pair in query.split(b"&") if query else ():
            if len(violations) >= MAX_VIOLATIONS:
                break
            if not pair:
                continue
            name, _, value = pair.partition(b"=")
            known = _decode(name)
            if known is not None and known in self._query:
                sent.setdefault(known, []).append(_decode(value))
            else:
                violations.append(self._unknown(known))
        for name, parameter in self._query.items():
            if name in sent:
                _read_sent(parameter, sent[name], arguments, violations)
            elif parameter.required:
                violations.append(parameter.missing())

    def _unknown(self, name: str | None) -> Violation:
        pointer = f"/{escape(name[:MAX_NAME])}" if name else ""
        return Violation("query", pointer, "unknown", unknown_detail("parameter", self._query))

    def _read_headers(
        self, headers: list[tuple[bytes, bytes]], arguments: dict[str, Any], violations: list[Violation]
    ) -> None:
        values: dict[bytes, list[str]] = {}
        for name, value in headers:
            if name in self._headers:
                values.setdefault(name, []).append(value.decode("latin-1").strip(" \t"))
        for name, parameter in self._headers.items():
            if name in values:
                # Several lines of one field are one list (RFC 9110, section 5.3).
                parameter.read(", ".join(values[name]), arguments, violations)
            elif parameter.required:
                violations.append(parameter.missing())


def _read_sent(
    parameter: Parameter, texts: list[str | None], arguments: dict[str, Any], violations: list[Violation]
) -> None:
    """Read a query parameter.

    A list may be one value, several, or both, as generated clients differ.
    """
    pointer = f"/{parameter.name}"
    decoded = [text for text in texts if text is not None]
    if len(texts) > 1 and not parameter.is_list:
        violations.append(Violation("query", pointer, "duplicate", "Must be sent once."))
    elif len(decoded) < len(texts):
        violations.append(Violation("query", pointer, "format", "Must be percent-encoded UTF-8."))
    else:
        parameter.read(",".join(decoded), arguments, violations)


def _decode(text: bytes) -> str | None:
    """Return text of a query string, decoded once, None if it is not UTF-8."""
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _converter(definition: dict[str, Any]) -> Callable[[str], Any]:
    schema = definition["schema"]
    if schema["type"] != "array":
        return _SCALARS[schema["type"]]
    if definition.get("explode", definition.get("style", "form") == "form"):
        raise ValueError(f"Parameter {definition['name']}: an array parameter needs explode: false")
    convert = _SCALARS[schema["items"]["type"]]
    return lambda text: [convert(part) for part in text.split(",")]


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise _WrongTypeError
    return int(text)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise _WrongTypeError
    return float(text)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise _WrongTypeError
    return text == "true"


_SCALARS: dict[str, Callable[[str], Any]] = {"string": str, "integer": _integer, "number": _number, "boolean": _boolean}
