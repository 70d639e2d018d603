"""DATABASE_URL for libpq, without influence of libpq's environment variables."""

import os
import re
from urllib.parse import quote, unquote_to_bytes

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

_URL = re.compile(
    r"postgres(?:ql)?(?:\+psycopg2)?://(?:(?P<user>[^:/?]*)(?::(?P<password>[^@?]*))?@)?(?P<rest>.*)", re.DOTALL
)
_PORTS = re.compile(r"([0-9]{0,5}(,|$))*")
_SECRETS = ("PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGCHANNELBINDING")
_SECRETS_BEGIN = ("PGSSL", "PGGSS", "PGKRB", "PGREQUIRE")
_VARIABLE = re.compile("PG[A-Z]+")


class UrlError(ValueError):
    """DATABASE_URL is not usable. The message is one line and has no secret part of the URL."""


def ignore_environment(*, keep_secrets: bool) -> None:
    """Remove libpq's variables from the environment, so that only the URL counts.

    With `keep_secrets` those for authentication stay: passwords, certificates and their files.
    """
    for name in [name for name in os.environ if _VARIABLE.fullmatch(name)]:
        if not (keep_secrets and (name in _SECRETS or name.startswith(_SECRETS_BEGIN))):
            del os.environ[name]


def address(url: str) -> str:
    """Return the URL for libpq.

    User and password may have special characters except `@` and `?`.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise UrlError("DATABASE_URL is not a URL: postgresql://user:password@host:port/name")
    user, password, rest = found["user"], found["password"], found["rest"]
    if user is None:
        return f"postgresql://{rest}"
    login = ":".join(quote(unquote_to_bytes(part), safe="") for part in (user, password) if part is not None)
    return f"postgresql://{login}@{rest}"


def parameters(url: str) -> dict[str, str]:
    """Return the URL's parameters by libpq's names. Raise UrlError.

    Several hosts stay one text with commas.
    """
    try:
        found: dict[str, str] = parse_dsn(address(url))
    except UnicodeDecodeError:
        raise UrlError("DATABASE_URL has a % that is no UTF-8: write each byte of the password's UTF-8.") from None
    except psycopg2.Error as error:
        unknown = re.search(r'invalid URI query parameter: ("\w+")', str(error))
        if unknown:
            raise UrlError(
                f"DATABASE_URL has a parameter that libpq does not know, {unknown[1]}: leave it out."
            ) from None
        raise UrlError("DATABASE_URL is not a URL: postgresql://user:password@host:port/name") from None
    if not _PORTS.fullmatch(found.get("port", "")):
        raise UrlError("DATABASE_URL is not a URL: postgresql://user:password@host:port/name")
    _places(found)  # raises if the lists of hosts do not fit together
    return found


def each_host(url: str) -> list[str]:
    """Return a DSN for each host.

    psycopg2's asynchronous mode needs it: there libpq has no time-out per host.
    """
    given = parameters(url)
    return [make_dsn(**(given | place)) for place in _places(given)]


def _places(given: dict[str, str]) -> list[dict[str, str]]:
    """Return host, address and port of each host. Raise UrlError if their numbers differ."""
    lists = {name: given[name].split(",") for name in ("host", "hostaddr", "port") if name in given}
    count = max((len(each) for each in lists.values()), default=1)
    if any(len(each) not in ((1, count) if name == "port" else (count,)) for name, each in lists.items()):
        raise UrlError("DATABASE_URL has several hosts: give each one a port, or all the same.")
    return [{name: each[number % len(each)] for name, each in lists.items()} for number in range(count)]
