"""Keys before, between and after others, as exact arithmetic on numbers of base 62.

A key is `m`, 13 digits, and a fraction that does not end in 0. It is sorted as the number that its
digits are. Keys are valid in the scheme of the libraries named fractional-indexing.
"""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_BASE = len(_DIGITS)
_HEAD = "m"
_WHOLE = 13
"""Digits before the fraction."""

MAX_LENGTH = 250
"""Maximum length of a key."""

GAP = _BASE**4
"""Distance of a key at an end, and of evenly spaced ones: room for 23 halvings."""


def key_between(low: str, high: str) -> str | None:
    """Return the shortest key in the middle of these two. None if it would be too long.

    None also if `low` is not below `high`: the clock of the database was put back.
    """
    below, above = _whole(low), _whole(high)
    for length in range(_WHOLE, MAX_LENGTH if low < high else 0):
        # `low` is rounded down to as many digits, `high` up
        ceiling = above + (len(high) > length + 1)
        if ceiling - below > 1:
            return _key((below + ceiling) // 2, length)
        below, above = (number * _BASE + _value(key, length + 1) for number, key in ((below, low), (above, high)))
    return None


def keys_between(low: str, high: str, count: int) -> list[str] | None:
    """Return as many keys between these two, in order. None if one of them would be too long."""
    if count == 0:
        return []
    middle = key_between(low, high)
    if middle is None:
        return None
    below, above = keys_between(low, middle, (count - 1) // 2), keys_between(middle, high, count // 2)
    return None if below is None or above is None else [*below, middle, *above]


def key_before(key: str) -> str:
    """Return a key before this one."""
    return _key(_whole(key) - GAP, _WHOLE)


def key_after(key: str) -> str:
    """Return a key after this one."""
    return _key(_whole(key) + GAP, _WHOLE)


def evenly_spaced(count: int, before: str) -> list[str]:
    """Return as many keys before this one, in order, with room between them."""
    end = _whole(before)
    return [_key(end - GAP * left, _WHOLE) for left in range(count, 0, -1)]


def _value(key: str, place: int) -> int:
    return _VALUES[key[place]] if place < len(key) else 0


def _whole(key: str) -> int:
    """Return the digits before the fraction as a number."""
    number = 0
    for place in range(1, _WHOLE + 1):
        number = number * _BASE + _value(key, place)
    return number


def _key(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, value = divmod(number, _BASE)
        digits.append(_DIGITS[value])
    return _HEAD + "".join(reversed(digits))
