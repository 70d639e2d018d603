"""Path normalization (RFC 3986)."""

import re

_UNRESERVED = re.compile(rb"%(2[DEde]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff]|7[Ee])")
"""Escapes of unreserved characters (section 2.3): letters, digits, `-`, `.`, `_` and `~`."""


def normalize_path(raw_path: bytes) -> bytes:
    """Return the path with unreserved characters unescaped (section 6.2.2.2)."""
    if b"%" not in raw_path:
        return raw_path
    return _UNRESERVED.sub(lambda found: bytes([int(found[1], 16)]), raw_path)
