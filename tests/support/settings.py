"""Settings of services for tests. No request is turned away for how many there are, nor for having to wait, however slow the machine."""

from typing import Any

from tests.support.credentials import SECRET
from todo_api.config import Config

MAIL_FROM = "Tasks <no-reply@example.com>"
_AMPLE: dict[str, Any] = {"jwt_secret": SECRET, "rate_limit": "1000000/minute", "queue_limit": 60_000}


def behind_a_proxy(url: str) -> Config:
    """A service that is told whose address a request comes from. Its limits of attempts are the usual ones."""
    return Config(database_url=url, trusted_proxies=("127.0.0.1",), **_AMPLE)


def with_mail(url: str, **more: Any) -> Config:
    """A service that has a mail server, where nobody listens."""
    return Config(database_url=url, smtp_url="smtp://127.0.0.1:1?tls=off", mail_from=MAIL_FROM, **_AMPLE | more)
