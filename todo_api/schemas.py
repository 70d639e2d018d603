"""What the schemas of every package share: JSON values to Python values and back.

Which values are allowed is the contract's business, and was checked before. The fields are declared once, with marshmallow.
Replies are dumped by a function made from those fields at start, since marshmallow's own dump is most of the cost of a list;
orjson writes times itself. Bodies are loaded by such a function too: marshmallow's own load takes as long as all of validation.
"""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any

import orjson
from marshmallow import Schema, fields, missing

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


def load_of(schema: type[Schema]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Strings and null are what they are; all else is converted by its field. Members that are absent take their defaults."""
    declared = schema().fields
    defaults = {name: field.load_default for name, field in declared.items() if field.load_default is not missing}
    converters = {name: field.deserialize for name, field in declared.items() if type(field) is not fields.String}

    def load(value: dict[str, Any]) -> dict[str, Any]:
        loaded = {**defaults, **value}
        for name, convert in converters.items():
            if loaded.get(name) is not None:
                loaded[name] = convert(loaded[name])
        return loaded

    return load


def dump_json(value: Any) -> bytes:
    """A value that was dumped, as JSON (RFC 8259)."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)
