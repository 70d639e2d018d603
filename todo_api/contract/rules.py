"""Validation by JSON Schema: schemas compiled to validators, and their errors as violations.

jsonschema-rs validates a value in less than a microsecond, reads patterns as ECMA 262 does, and
counts characters as PostgreSQL does. A violation names the place and the rule, never the value.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import jsonschema_rs
import orjson
from jsonschema_rs import ValidationError, ValidationErrorKind

from todo_api.contract.times import is_date, is_date_time
from todo_api.errors import Violation

MAX_VIOLATIONS = 100
_MAX_BROKEN = 4 * MAX_VIOLATIONS
"""Maximum broken rules that are looked at. A value breaks four at most, and is told once."""

MAX_NAME = 100
"""Maximum characters of an unknown member's name that a violation repeats."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KEPT = (
    *("type", "enum", "pattern", "format", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "required"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minProperties", "maxProperties"),
)


def json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a resolved OpenAPI 3.0 schema as JSON Schema draft 4.

    `nullable` becomes a type; annotations are dropped. Raise ValueError for an unknown keyword,
    since ignoring a rule would be worse.
    """
    rules = {name: schema[name] for name in _KEPT if name in schema}
    for name in ("allOf", "anyOf", "oneOf"):
        if name in schema:
            rules[name] = [json_schema(part) for part in schema[name]]
    if "not" in schema:
        rules["not"] = json_schema(schema["not"])
    if "items" in schema:
        rules["items"] = json_schema(schema["items"])
    if "properties" in schema:
        rules["properties"] = {name: json_schema(part) for name, part in schema["properties"].items()}
    extra = schema.get("additionalProperties")
    if extra is not None:
        rules["additionalProperties"] = json_schema(extra) if isinstance(extra, dict) else extra
    if schema.get("nullable"):
        rules["type"] = [schema["type"], "null"]
        if "enum" in schema:
            rules["enum"] = [*schema["enum"], None]
    _refuse_unknown(schema)
    return rules


def _refuse_unknown(schema: dict[str, Any]) -> None:
    known = {*_KEPT, "allOf", "anyOf", "oneOf", "not", "items", "properties", "additionalProperties", "nullable"}
    annotations = {"title", "description", "default", "example", "deprecated", "externalDocs", "components", "readOnly"}
    unknown = {name for name in schema if not name.startswith("x-")} - known - annotations
    if unknown:
        raise ValueError(f"The contract uses schema keywords that are not supported: {sorted(unknown)}")


def is_uuid(text: str) -> bool:
    """Return whether the text is a UUID in the form of RFC 9562, section 4."""
    return _UUID.fullmatch(text) is not None


_FORMAT_NAMES = {
    "date": "date of the calendar, such as 2026-11-20",
    "date-time": "date-time of RFC 3339 with its offset, such as 2027-11-20T00:00:00Z",
    "uuid": "UUID, such as 018f4e2a-6c3b-7d1e-9a5f-2b7c8d9e0f1a",
}
_TYPE_NAMES = {
    "array": "an array",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}
_FORMATS = {"uuid": is_uuid, "date": is_date, "date-time": is_date_time}


@cache
def _compiled(schema: bytes) -> jsonschema_rs.Draft4Validator:
    """Return the validator of a JSON Schema, one for all that are alike: a tenth of them differ."""
    return jsonschema_rs.Draft4Validator(orjson.loads(schema), validate_formats=True, formats=_FORMATS)


class Rules:
    """A compiled schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._validator = _compiled(orjson.dumps(json_schema(schema)))

    def violations(self, value: Any, location: str, pointer: str = "") -> list[Violation]:
        """Return the violations of a value, at most `MAX_VIOLATIONS`."""
        if self._validator.is_valid(value):
            return []
        found: list[Violation] = []
        of_one_length: set[str] = set()
        for error in self._validator.iter_errors(value):
            violated = _violated(error, self._schema)
            found += _violations_of(error, violated, location, pointer)
            if violated.get("minLength") == violated.get("maxLength", -1):
                of_one_length.add(found[-1].pointer)
            if len(found) >= _MAX_BROKEN:
                break
        return _without_consequences(found[:_MAX_BROKEN], of_one_length)[:MAX_VIOLATIONS]


_CONSEQUENCES = {
    "wrong_type": {"not_allowed"},
    "format": {"pattern", "too_short", "too_long"},
    "pattern": {"too_short"},
}
"""Codes by the code that implies them: a value of a wrong type is in no enumeration either."""


def _without_consequences(found: list[Violation], of_one_length: set[str]) -> list[Violation]:
    """Return the violations that no other one at the same place implies.

    Where all texts are `of_one_length`, the pattern says it.
    """
    explained = {(violation.pointer, code) for violation in found for code in _CONSEQUENCES.get(violation.code, ())}
    explained |= {
        (each.pointer, "too_long") for each in found if each.code == "pattern" and each.pointer in of_one_length
    }
    return [violation for violation in found if (violation.pointer, violation.code) not in explained]


def _violated(error: ValidationError, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that a value violates."""
    violated: Any = schema
    for key in error.schema_path[:-1]:
        violated = violated[key]
    found: dict[str, Any] = violated
    return found


def _violations_of(
    error: ValidationError, violated: dict[str, Any], location: str, pointer: str
) -> Iterable[Violation]:
    kind = error.kind
    pointer += "".join(f"/{escape(str(part))}" for part in error.instance_path)
    match kind:
        case ValidationErrorKind.Required():
            yield Violation(location, f"{pointer}/{escape(str(kind.property))}", "required", "Is required.")
        case ValidationErrorKind.AdditionalProperties():
            for name in kind.unexpected:
                yield Violation(location, f"{pointer}/{escape(name[:MAX_NAME])}", *_unexpected(name, violated))
        case ValidationErrorKind.MaxProperties():
            sent: Any = error.instance
            # A member that is not known is a violation of its own.
            if len(sent.keys() & violated["properties"]) > kind.limit:
                members = ", ".join(violated["properties"])
                yield Violation(location, pointer, "too_many", f"Must have at most {kind.limit} of: {members}.")
        case ValidationErrorKind.Pattern():
            yield Violation(location, pointer, "pattern", _pattern_detail(violated, str(error.instance)))
        case _:
            code, detail = _code_and_detail(kind, violated)
            yield Violation(location, pointer, code, detail)


def _unexpected(name: str, schema: dict[str, Any]) -> tuple[str, str]:
    if name in schema.get("x-read-only", ()):
        return "read_only", "Is set by the server."
    return "unknown", unknown_detail("member", schema.get("properties", ()))


def _pattern_detail(schema: dict[str, Any], text: str) -> str:
    """Return why a text does not match: the `detail` of the first `x-pattern-details` that fits.

    One fits if its pattern `found` occurs in the text.
    """
    for each in schema.get("x-pattern-details", ()):
        if re.search(each["found"], text):
            return str(each["detail"])
    return "Contains characters, or has a form, that are not allowed here."


def _code_and_detail(kind: ValidationErrorKind, schema: dict[str, Any]) -> tuple[str, str]:  # noqa: C901, PLR0911  # one line for each rule
    match kind:
        case ValidationErrorKind.Type():
            return "wrong_type", type_detail(schema)
        case ValidationErrorKind.Enum():
            return "not_allowed", f"Must be one of: {', '.join(str(option) for option in kind.options)}."
        case ValidationErrorKind.MaxLength():
            return "too_long", f"Must have at most {kind.limit} characters."
        case ValidationErrorKind.MinLength():
            return (
                "too_short",
                "Must not be empty." if kind.limit == 1 else f"Must have at least {kind.limit} characters.",
            )
        case ValidationErrorKind.Maximum():
            return "too_large", f"Must be at most {kind.limit}."
        case ValidationErrorKind.Minimum():
            return "too_small", f"Must be at least {kind.limit}."
        case ValidationErrorKind.MaxItems():
            return "too_many", f"Must have at most {_counted(kind.limit, 'item')}."
        case ValidationErrorKind.MinItems():
            return "too_few", f"Must have at least {_counted(kind.limit, 'item')}."
        case ValidationErrorKind.UniqueItems():
            return "duplicate", "Must not contain an item twice."
        case ValidationErrorKind.MinProperties():
            return "too_few", f"Must have at least {kind.limit} of: {', '.join(schema['properties'])}."
        case ValidationErrorKind.Format():
            return "format", f"Must be a {_FORMAT_NAMES.get(kind.format, kind.format)}."
    return "not_allowed", "Is not allowed here."


def type_detail(schema: dict[str, Any]) -> str:
    """Return what a value of another type must be, with the words or members it may have."""
    if "enum" in schema:
        name = f"one of: {', '.join(schema['enum'])}"
    elif schema.get("properties"):
        name = f"an object with: {', '.join(schema['properties'])}"
    else:
        name = _TYPE_NAMES[schema["type"]]
    return f"Must be {name}{'; or null' if schema.get('nullable') else ''}."


def first_item(violations: Iterable[Violation], name: str | None) -> int | None:
    """Return the place of the first item with a violation in the body's list of that name."""
    if name is None:
        return None
    items = [re.match(f"/{name}/([0-9]+)(/|$)", each.pointer) for each in violations if each.location == "body"]
    return min((int(item[1]) for item in items if item), default=None)


def unknown_detail(noun: str, known: Iterable[str]) -> str:
    """Return why a name is refused, with the names that are known."""
    return f"Is not a known {noun}. Known are: {', '.join(known) or 'none'}."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def escape(part: str) -> str:
    """Return a member's name for a JSON Pointer (RFC 6901, section 3)."""
    return part.replace("~", "~0").replace("/", "~1").replace("\n", " ").replace("\r", " ")
