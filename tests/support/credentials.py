"""Tokens of the service's own issuer, and the secrets behind them."""

from typing import Any

from todo_api.auth.tokens import TokenIssuer

SECRET = "a-secret-of-the-tests-Zk8vQ2xW7pLm4nRt"
PASSWORD = "correct horse battery staple"


def token(user_id: str, **changes: Any) -> str:
    """A token of the service's own issuer."""
    return own_issuer(**changes).issue(user_id)


def own_issuer(**changes: Any) -> TokenIssuer:
    """The service's own issuer."""
    settings = {"secret": SECRET, "issuer": "task-api", "audience": "task-api", "lifetime": 3600} | changes
    return TokenIssuer(**settings)
