"""Conversion of the contract from OpenAPI 3.0 to 3.1.

They differ in their schemas: 3.1 uses JSON Schema 2020-12, 3.0 a dialect of its own.
"""

from typing import Any

VERSION = "3.1.0"

_OPAQUE = ("example", "examples")
"""Keys of example values, which contain no keywords."""


def convert(document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of an OpenAPI 3.0 document as OpenAPI 3.1."""
    return {**_part(document), "openapi": VERSION}


def _part(part: Any) -> Any:
    """Return a part that is no schema, with the schemas inside converted."""
    if isinstance(part, list):
        return [_part(member) for member in part]
    if not isinstance(part, dict):
        return part
    converted: dict[str, Any] = {}
    for name, value in part.items():
        if name in _OPAQUE:
            converted[name] = value
        elif name == "schema":
            converted[name] = _schema(value)
        elif name == "schemas":
            converted[name] = {key: _schema(schema) for key, schema in value.items()}
        else:
            converted[name] = _part(value)
    return converted


def _schema(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema  # `additionalProperties: false`
    converted = dict(_keyword(name, value) for name, value in schema.items())
    for name, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if converted.pop(name, False):
            converted[name] = converted.pop(bound)
    if converted.pop("nullable", False):
        converted["type"] = [schema["type"], "null"]
        if "enum" in schema:
            converted["enum"] = [*schema["enum"], None]
    return converted


def _keyword(name: str, value: Any) -> tuple[str, Any]:
    match name:
        case "properties":
            return name, {member: _schema(schema) for member, schema in value.items()}
        case "allOf" | "anyOf" | "oneOf":
            return name, [_schema(schema) for schema in value]
        case "items" | "not" | "additionalProperties":
            return name, _schema(value)
        case "example":
            return "examples", [value]
    return name, value
