"""Time zones, by the IANA names of the `tzdata` package."""

import zoneinfo
from importlib.metadata import version

zoneinfo.reset_tzpath(to=[])  # by default the files of the operating system come first

DEFAULT_ZONE = "Etc/UTC"
"""The zone of a user who has chosen none."""

VERSION = version("tzdata")
"""The version of the zones. With another version a local time may be another instant."""

RELEASE = int("{:0>4}{:0>2}".format(*VERSION.split(".")[:2]))
"""The version as a number that grows: 202606 is that of 2026.6."""

_NAMES = frozenset(
    name
    for name in zoneinfo.available_timezones()
    if not name.startswith(("posix/", "right/")) and name not in {"localtime", "Factory"}
)


def is_zone(name: str) -> bool:
    """Return whether there is a zone of this name. Aliases are names too."""
    return name in _NAMES
