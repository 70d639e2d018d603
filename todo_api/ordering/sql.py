"""The position key of a moment, in SQL."""

from datetime import datetime

from sqlalchemy import BigInteger, ColumnElement, cast, extract, func


def clock_key(at: ColumnElement[datetime]) -> ColumnElement[str]:
    """Return the key of a moment: its microseconds since 1970 as 13 hexadecimal digits.

    `clock_timestamp()` under the lock of the user's row gives a key after all keys there, so a
    new thing goes last without a look at the others.
    """
    microseconds = cast(extract("epoch", at) * 1_000_000, BigInteger)
    return "m" + func.lpad(func.to_hex(microseconds), 13, "0")
