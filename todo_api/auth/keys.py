"""The secret that an embedded service makes for itself, once."""

import os
import secrets
from pathlib import Path

from todo_api.config import check_secret


def kept_secret(folder: Path) -> str:
    """The secret of the data folder, made at the first start and readable by its owner alone."""
    path = folder / "jwt-secret"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        secret = path.read_text(encoding="ascii")
        check_secret(secret)
        return secret
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        secret = secrets.token_urlsafe(48)
        file.write(secret)
    return secret
