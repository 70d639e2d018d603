"""DATABASE_URL as providers and operators write it."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn
from sqlalchemy.engine import make_url

from tests.support.client import Client
from tests.support.credentials import SECRET, token
from tests.support.live import refusal
from tests.support.proxy import Proxy
from todo_api.config import Config
from todo_api.database.connection import options
from todo_api.database.url import UrlError, each_host, parameters
from todo_api.provisioning import migrations

FORMS = {
    "two hosts, the first one closed": "postgresql://todo@127.0.0.1:1,127.0.0.1:{port}/{name}",
    "two hosts, one writes": "postgresql://todo@127.0.0.1:1,127.0.0.1:{port}/{name}?target_session_attrs=read-write",
    "two hosts in the query": "postgresql://todo@/{name}?host=127.0.0.1,127.0.0.1&port=1,{port}",
    "one port for two hosts": "postgresql://todo@/{name}?host=/nowhere,127.0.0.1&port={port}",
    "a host and a socket": "postgresql://todo@/{name}?host=127.0.0.1,{socket}&port=1,{socket_port}",
    "addresses beside names": "postgresql://todo@a,b:{port}/{name}?hostaddr=127.0.0.1,127.0.0.1&port=1,{port}",
    "a socket as host": "postgresql://todo@{quoted}:{socket_port}/{name}",
    "quoted letters": "postgres://%74odo:p%40ss@127.0.0.1:{port}/{name}",
    "another encoding": "postgresql://todo@127.0.0.1:{port}/{name}?client_encoding=latin1",
    "another search_path": "postgresql://todo@127.0.0.1:{port}/{name}?options=-csearch_path%3Dnowhere",
    "TLS where there is some": "postgresql://todo@127.0.0.1:{port}/{name}?sslmode=prefer&channel_binding=prefer",
}


def serves(new_client: Callable[[Config], Client], url: str) -> bool:
    """Return whether the database migrates, is ready and stores an umlaut."""
    migrations.migrate(url)
    client = new_client(Config(database_url=url, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000))
    created = client.signed_in(token("ada")).post("/api/v1/me/tasks", {"title": "Äpfel ☃"})
    return (client.get("/health/ready").status, created.status, created.json()["title"]) == (200, 201, "Äpfel ☃")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_service_with_a_url_of_any_form_serves(
    new_database: Callable[[], str], new_client: Callable[[Config], Client], form: str
) -> None:
    proxy = Proxy(new_database())
    target, place = make_url(proxy.url), proxy.socket_folder
    values = {"port": target.port, "name": target.database, "socket": place, "socket_port": 5432}
    assert serves(new_client, form.format(**values, quoted=place.replace("/", "%2F")))


def test_service_with_a_first_host_that_never_answers_takes_the_next(
    new_database: Callable[[], str], new_client: Callable[[Config], Client]
) -> None:
    target = make_url(Proxy(new_database()).url)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{target.port}"
        url = f"postgresql://todo@{hosts}/{target.database}?connect_timeout=2"
        migrations.migrate(url)
        client = new_client(Config(database_url=url, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000))
        assert client.signed_in(token("ada")).post("/api/v1/me/tasks", {"title": "Later"}).status == 201


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://ada:secret@[::1]:5433/tasks", [("::1", "5433")]),
        ("postgresql://ada@[fe80::1%25eth0],db/tasks", [("fe80::1%eth0", ""), ("db", "")]),
        ("postgresql://ada@one:1,two/tasks", [("one", "1"), ("two", "")]),
        ("postgresql://ada@/tasks?host=/run/a,/run/b&port=1", [("/run/a", "1"), ("/run/b", "1")]),
        ("postgresql:///tasks", [(None, None)]),
    ],
)
def test_hosts_of_a_url_are_tried_one_after_another(url: str, hosts: list[tuple[str | None, str | None]]) -> None:
    found = [parse_dsn(dsn) for dsn in each_host(url)]
    assert [(one.get("host"), one.get("port")) for one in found] == hosts


@pytest.mark.parametrize(
    ("rest", "target"),
    [
        ("//ada@one/tasks", "any"),
        ("//ada@one,two/tasks", "primary"),
        ("//ada@/tasks?host=one,two", "primary"),
        ("//ada@/tasks?hostaddr=192.0.2.1,192.0.2.2", "primary"),
        ("//ada@one,two/tasks?target_session_attrs=read-write", "read-write"),
        ("//ada@one/tasks?target_session_attrs=standby", "standby"),
    ],
)
def test_url_of_several_hosts_leads_to_the_primary_unless_it_says_otherwise(rest: str, target: str) -> None:
    assert options(f"postgresql:{rest}")["target_session_attrs"] == target


@pytest.mark.parametrize("password", ["p/w", "50%off", "a#b", "[x]", "a:b", "Käse", "%C3%A4"])
def test_password_may_have_signs_that_urls_have_a_use_for(password: str) -> None:
    found = parameters(f"postgresql://ada:{password}@db.example.com:5433/tasks")
    assert (found["host"], found["port"], found["dbname"]) == ("db.example.com", "5433", "tasks")
    assert found["password"] == {"%C3%A4": "ä"}.get(password, password)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://ada:hidden@one:port/tasks", "is not a URL: postgresql://user:password@host:port/name"),
        ("postgresql://ada:hidden@one/tasks?sslmode", "is not a URL: postgresql://user:password@host:port/name"),
        ("postgresql://ada:hidden%FF@one/tasks", "has a % that is no UTF-8: write each byte of the password's UTF-8."),
        ("postgresql://ada:hidden@a,b/tasks?port=1,2,3", "has several hosts: give each one a port, or all the same."),
        ("postgresql://ada:hidden@a,b/tasks?nonsense=1", 'has a parameter that libpq does not know, "nonsense"'),
    ],
)
def test_migrate_with_a_url_that_is_none_is_refused_in_one_line(tmp_path: Path, url: str, says: str) -> None:
    line = refusal("migrate", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
    assert line.startswith(f"DATABASE_URL {says}")
    assert "hidden" not in line
    with pytest.raises(UrlError):
        each_host(url)


def test_url_of_another_database_is_refused_without_its_password() -> None:
    with pytest.raises(UrlError) as refused:
        parameters("mysql://ada:hidden@one/tasks")
    assert "hidden" not in str(refused.value)
