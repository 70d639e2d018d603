"""Limits on the JSON of a body, besides its bytes."""

from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 100
"""Maximum nesting of arrays and objects. The parser reads 1,024 levels, the validator 255."""

MAX_VALUES = 20_000
"""Maximum number of values in a body: to find that each of a million is wrong takes seconds."""


def excess(content: bytes, value: Any) -> str | None:
    """Return what a JSON text and its value have too much of, None for nothing.

    Whoever has few brackets and commas is not looked through.
    """
    if content.count(b"[") + content.count(b"{") <= MAX_DEPTH and content.count(b",") + MAX_DEPTH < MAX_VALUES:
        return None
    level, count = [value], 1
    for _ in range(MAX_DEPTH + 1):
        level = [child for parent in level for child in _children(parent)]
        count += len(level)
        if count > MAX_VALUES:
            return f"The body has more than {MAX_VALUES} values."
    return "The body is nested too deeply." if level else None


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
