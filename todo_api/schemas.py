"""What the schemas of every package share: JSON values to Python values and back.

Which values are allowed is the contract's business, and was checked before. The fields are declared once, with marshmallow.
Replies are dumped by a function made from those fields at start, since marshmallow's own dump is most of the cost of a list;
orjson writes times itself. Bodies are loaded by `Schema.load`, so `required` and `allow_none` mean what they say.
"""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any

import orjson
from marshmallow import Schema, fields

from todo_api.contract import parse_date_time


class SentTime(fields.Field[datetime]):
    """A time that a client sends. marshmallow's own field takes other spellings, and not all of RFC 3339."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> datetime:
        return parse_date_time(value)


def dump_of(schema: type[Schema]) -> Callable[[Any], dict[str, Any]]:
    """A function from a value with the schema's attributes to the members of its JSON."""
    names = tuple(schema().fields)
    values = attrgetter(*names)

    def dump(value: Any) -> dict[str, Any]:
        return dict(zip(names, values(value), strict=True))

    return dump


def dump_json(value: Any) -> bytes:
    """A value that was dumped, as JSON (RFC 8259)."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)
