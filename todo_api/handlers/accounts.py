"""Accounts: each function is the operation of the same name in `openapi/task-api.yaml`."""

from typing import Any

from todo_api.handlers.retries import replayable
from todo_api.handlers.spaces import PRIVATE, SECRET, own_issuer, owner, parts
from todo_api.pipeline.bridge import Reply
from todo_api.schemas import dump_account, load_registration
from todo_api.services.accounts import AccountService, register, sign_in


@replayable
def register_account(body: dict[str, Any]) -> Reply:
    """201 with the new account."""
    own_issuer()
    account = register(parts().database, parts().passwords, **load_registration(body))
    return dump_account(account), 201, SECRET | {"Location": "/api/v1/me/account"}


@replayable
def issue_token(body: dict[str, str]) -> Reply:
    """200 with an access token."""
    issuer = own_issuer()
    user_id = sign_in(parts().database, parts().passwords, body["email"], body["password"])
    token = {"access_token": issuer.issue(user_id), "token_type": "Bearer", "expires_in": issuer.lifetime}
    return token, 200, SECRET


def get_account(user_id: str, user: str) -> Reply:
    """200 with the account."""
    account = AccountService(parts().database, owner(user_id, user)).get()
    return dump_account(account), 200, PRIVATE
