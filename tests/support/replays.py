"""Keys of requests that may be sent again, and what tells a replay from the reply."""

import secrets

from tests.support.client import Reply


def new_key() -> str:
    return f'"{secrets.token_hex(16)}"'


def keyed(key: str | None = None, **more: str) -> dict[str, str]:
    return {"Idempotency-Key": key or new_key(), **more}


def is_replay(reply: Reply) -> bool:
    return reply.headers.get("idempotency-replayed") == "true"
