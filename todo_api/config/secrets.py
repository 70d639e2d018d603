"""The secret that an embedded service makes for itself, and the cursor secret."""

import hashlib
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from todo_api.config.config import Config
from todo_api.config.errors import ConfigurationError
from todo_api.config.issuer import check_secret


def cursor_secret(config: Config) -> bytes:
    """Return the secret that signs cursors, the same in every worker and copy of a deployment.

    With public keys only, the database's password is the one secret. The cursor secret is derived
    slowly from it, so that a cursor does not help to guess it.
    """
    given = config.cursor_secret or config.jwt_secret
    if given:
        return given.encode()
    url = config.database_url or ""
    password = unquote(urlsplit(url).password or url)
    return hashlib.scrypt(password.encode(), salt=b"task-api cursors", n=2**14, r=8, p=1)


def load_or_create_secret(folder: Path) -> str:
    """Return the secret of the data folder.

    It is made at the first start, readable only by its owner.
    """
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
    """Write the secret to a temporary file, then link it: never half a file, the first wins."""
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
