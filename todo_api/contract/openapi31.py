"""The contract as OpenAPI 3.1, for tools that want it: converted from what OpenAPI 3.0 says, never edited.

The two differ in their schemas: 3.1 takes JSON Schema 2020-12 as it is, where 3.0 has words of its own.
"""

from typing import Any

VERSION = "3.1.0"

_OPAQUE = ("example", "examples")
"""What holds values of the API's users, in which nothing is a keyword."""


def convert(document: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI 3.0 document as OpenAPI 3.1. The one given stays as it is."""
    return {**_part(document), "openapi": VERSION}


def _part(part: Any) -> Any:
    """Whatever is no schema: the same, with every schema in it converted."""
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
