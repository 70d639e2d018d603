"""Programs that only some machines have: a test that needs one is skipped without it, and the run says so at its beginning."""

import os
import shutil

import pytest

USES = {
    "curl": "the examples of the README and of the guide",
    "node": "the contract's patterns in JavaScript",
    "pgbouncer": "everything behind a pooler",
    "redis-server": "limits in a real Redis",
}
"""The part of the tests that is left out without each."""

_PLACES = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
FOUND = {name: shutil.which(name, path=_PLACES) for name in USES}
"""The place of each, or none. Debian has pgbouncer in /usr/sbin, which need not be in the PATH."""


def program(name: str) -> str:
    """Return where a program is. Without it the test is skipped."""
    path = FOUND[name]
    if path is None:
        pytest.skip(f"{name} is missing")
    return path
