"""Moments as a client writes them."""

from marshmallow import Schema, fields


class MomentSchema(Schema):
    """When a task is due or can be started, as a client writes it whole."""

    date = fields.String(required=True)
    time = fields.String(load_default=None, allow_none=True)
    time_zone = fields.String(load_default=None, allow_none=True)


class MomentPatchSchema(Schema):
    """Members of it to change."""

    date = fields.String()
    time = fields.String(allow_none=True)
    time_zone = fields.String(allow_none=True)
