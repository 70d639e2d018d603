"""API keys with an end, by the client that OpenAPI Generator makes: `python keys.py http://127.0.0.1:8000/api/v1`."""

import sys
from datetime import UTC, datetime, timedelta, timezone

import task_api

PASSWORD = "correct horse battery staple"


def sign_in(url: str, email: str) -> task_api.ApiClient:
    """Registers, and comes back with a token."""
    with task_api.ApiClient(task_api.Configuration(host=url)) as stranger:
        accounts = task_api.AccountsApi(stranger)
        accounts.register_account(task_api.Registration(email=email, password=PASSWORD))
        token = accounts.issue_token(task_api.Credentials(email=email, password=PASSWORD))
    return task_api.ApiClient(task_api.Configuration(host=url, access_token=token.access_token))


def main(url: str) -> None:
    """Makes keys; the end of each is the same instant in the reply."""
    with sign_in(url, "hedy@example.com") as client:
        for end in (
            datetime(2997, 11, 20, tzinfo=UTC),
            datetime(2997, 11, 20, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=14))),
        ):
            body = task_api.ApiKeyInput(name="Until then", scopes=["tasks:read"], expires_at=end)
            key = task_api.ApiKeysApi(client).create_api_key("me", body)
            assert key.expires_at == end, key.expires_at
    print("openapi-generator: keys with an end")


if __name__ == "__main__":
    main(sys.argv[1])
