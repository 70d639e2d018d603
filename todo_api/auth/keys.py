"""The secret that an embedded service makes for itself, once."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from todo_api.config import ConfigurationError, check_secret


def kept_secret(folder: Path) -> str:
    """The secret of the data folder, made at the first start and readable by its owner alone."""
    path = folder / "jwt-secret"
    if not path.exists():
        _make(path)
    try:
        secret = path.read_text(encoding="ascii")
        check_secret(secret)
    except (ConfigurationError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} is damaged: restore it from a copy, or delete it, which ends the tokens issued so far."
        ) from error
    return secret


def _make(path: Path) -> None:
    """Made beside its place and linked there whole: a start killed half-way leaves none, and of two at once the first one's holds."""
    descriptor, made = tempfile.mkstemp(prefix="jwt-secret-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(made, path)
    finally:
        Path(made).unlink()
