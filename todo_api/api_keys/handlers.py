"""Operations on API keys of `openapi/task-api.yaml`, one function each."""

from typing import Any
from urllib.parse import quote

from todo_api.api_keys.schemas import dump_api_key, load_api_key_input
from todo_api.api_keys.service import KeyService
from todo_api.auth import Identity
from todo_api.database import RoleSessions
from todo_api.http import Reply
from todo_api.idempotency import idempotent_while, session_is_there
from todo_api.services import PRIVATE, SECRET, address, caller, require_owner, services


@idempotent_while(session_is_there)
def create_api_key(user_id: str, identity: Identity, body: dict[str, Any], *, database: RoleSessions) -> Reply:
    """Return 201 with the new key, its secret and its `Location`."""
    key, secret = _service(database, user_id, identity).create(**load_api_key_input(body))
    location = address(f"/{quote(user_id, safe='')}/keys/{key.id}")
    return dump_api_key(key) | {"key": secret}, 201, SECRET | {"Location": location}


def list_api_keys(user_id: str, identity: Identity) -> Reply:
    """Return 200 with every key."""
    return (
        {"items": [dump_api_key(key) for key in _service(services().database, user_id, identity).list()]},
        200,
        PRIVATE,
    )


def revoke_api_key(user_id: str, identity: Identity, key_id: str) -> Reply:
    """Return 204."""
    _service(services().database, user_id, identity).revoke(key_id)
    return None, 204, PRIVATE


def _service(database: RoleSessions, user_id: str, identity: Identity) -> KeyService:
    return KeyService(database, require_owner(user_id, identity.subject), caller(identity))
