"""Conversion between JSON and Python values, shared by the schemas of all packages.

The contract has validated values before. marshmallow declares the fields. Replies are dumped by a
function made from them at the start, since marshmallow's own dump is most of the cost of a list;
orjson writes times. Bodies are loaded by `Schema.load`, so `required` and `allow_none` apply.
"""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any

import orjson
from marshmallow import Schema, fields

from todo_api.contract import parse_date_time


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


def dump_json(value: Any) -> bytes:
    """Return dumped values as JSON text (RFC 8259)."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)
