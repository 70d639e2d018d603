"""Media types (RFC 9110, section 8.3.1) and content codings (section 8.4) of requests."""

import re

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_NAME = re.compile(rf"[ \t]*({_WORD}/{_WORD})[ \t]*")
_PARAMETER = re.compile(rf";[ \t]*(?:({_WORD})=({_WORD}|{_QUOTED}))?[ \t]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_UTF_8 = frozenset(
    {"utf-8", "utf8", "csutf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"}
)
"""Names of UTF-8: IANA's, and those of the Encoding standard (section 4.2)."""


class MediaTypes:
    """The media types that a body may have, in UTF-8."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._fields = frozenset(name.encode() for name in names)

    def include(self, field: bytes) -> bool:
        """Return whether a Content-Type is one of them.

        Unknown parameters are ignored (RFC 2045, section 5), but must be well-formed.
        """
        return field in self._fields or self._is_included(field.decode("latin-1"))

    def _is_included(self, field: str) -> bool:
        found = _NAME.match(field)
        if found is None or found[1].lower() not in self.names:
            return False
        place = found.end()
        while place < len(field):
            found = _PARAMETER.match(field, place)
            if found is None or not _is_utf_8(found[1], found[2]):
                return False
            place = found.end()
        return True


def _is_utf_8(name: str | None, value: str) -> bool:
    """Return whether a parameter names no other charset. It may be empty (section 5.6.6)."""
    if name is None or name.lower() != "charset":
        return True
    if value.startswith('"'):
        value = _ESCAPED.sub(r"\1", value[1:-1])
    return value.lower() in _UTF_8


def is_encoded(fields: list[bytes]) -> bool:
    """Return whether Content-Encoding names any coding but `identity`."""
    codings = (coding.strip(b" \t").lower() for field in fields for coding in field.split(b","))
    return any(coding not in (b"", b"identity") for coding in codings)
