"""Conversion between JSON and Python values, shared by the schemas of all packages.

The contract has validated values before. marshmallow declares the fields. Replies are dumped by a
function made from them at the start, since marshmallow's own dump costs more than the rest;
orjson writes times. Bodies are loaded field by field, so `required` and `allow_none` apply.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson
from marshmallow import EXCLUDE, Schema, fields, missing

from todo_api.contract import parse_date_time
from todo_api.errors import ValidationFailed, Violation
from todo_api.ordering import Destination


class SentTime(fields.Field[datetime]):
    """A time that a client sends. marshmallow's own field does not follow RFC 3339 exactly."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> datetime:
        return parse_date_time(value)


def dump_of(schema: type[Schema]) -> Callable[[Any], dict[str, Any]]:
    """Return a function that converts an object with the schema's attributes to JSON members."""
    names = tuple(schema().fields)
    values = attrgetter(*names)

    def dump(value: Any) -> dict[str, Any]:
        return dict(zip(names, values(value), strict=True))

    return dump


def load_of(schema: Schema) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function that converts a body's members by the schema's fields.

    It raises the ValidationError of a field, or KeyError for an unknown member. `Schema.load` would
    list every error of the body, and takes twice the time.
    """
    declared, excludes = schema.fields, schema.unknown == EXCLUDE
    needed = [name for name, field in declared.items() if field.required or field.load_default is not missing]
    texts = {name for name, field in declared.items() if type(field) is fields.String and not field.validators}

    def load(body: dict[str, Any]) -> dict[str, Any]:
        # A field of texts would return a text as it is.
        values = {
            name: value if name in texts and type(value) is str else declared[name].deserialize(value, name, body)
            for name, value in body.items()
            if not excludes or name in declared
        }
        for name in needed:
            if name not in values:
                values[name] = declared[name].deserialize(missing, name, body)
        return values

    return load


def load_place(body: dict[str, Any]) -> Destination:
    """Return the place that a body names, perhaps none. Raise ValidationFailed for several."""
    named = [name for name in Destination._fields if name in body]
    if named[1:]:
        detail = "Send one of before, after and at."
        raise ValidationFailed([Violation("body", f"/{name}", "conflicting", detail) for name in named[1:]])
    return Destination(**{name: body[name] if name == "at" else str(UUID(body[name])) for name in named})


@lru_cache(maxsize=1024)
def utc(time: str) -> str:
    """Return a time in UTC, as PostgreSQL writes it, by RFC 3339, as orjson does.

    It is kept, since two times of a task are one: it was not changed since it was made, or it was
    completed by its last change.
    """
    if len(time) == _WITH_MICROSECONDS:
        return f"{time[:10]}T{time[11:26]}Z"
    clock = time[11:-3]
    if len(clock) not in _CLOCKS:  # PostgreSQL leaves out zeros at the end
        clock = f"{clock:0<15}"
    return f"{time[:10]}T{clock}Z"


_WITH_MICROSECONDS = len("2026-11-20 23:59:59.999999+00")
_CLOCKS = (len("23:59:59"), len("23:59:59.999999"))


@lru_cache(maxsize=1024)
def dump_actor(actor: str | None) -> Mapping[str, str | None]:
    """Return the representation of who did something: kind, id and name of a credential.

    It is kept, since the tasks of a page were mostly created by one.
    """
    kind, id_, name, *_ = *(actor or "system").split(" ", 2), None, None
    return {"kind": kind, "id": id_, "name": name}


def dump_json(value: Any) -> bytes:
    """Return dumped values as JSON text (RFC 8259)."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


def section(name: bytes, values: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Yield a further member of a JSON object, an array of dumped values, in parts."""
    yield b',"%b":[' % name
    separator = b""
    for value in values:
        yield separator + dump_json(value)
        separator = b","
    yield b"]"
