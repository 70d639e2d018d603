"""The secret that an embedded service makes for itself, once, and the one that cursors are signed with."""

import hashlib
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from todo_api.config.config import Config, ConfigurationError, check_secret


def cursor_secret(config: Config) -> bytes:
    """What cursors are signed with, the same in every worker and every copy of a deployment.

    With public keys alone there is no secret but the database's password, so it is made from that: slowly, lest a cursor help to guess it.
    """
    given = config.cursor_secret or config.jwt_secret
    if given:
        return given.encode()
    url = config.database_url or ""
    password = unquote(urlsplit(url).password or url)
    return hashlib.scrypt(password.encode(), salt=b"task-api cursors", n=2**14, r=8, p=1)


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
