"""The embedded server is private, durable and quiet, and keeps its data. `tests/system/test_embedded.py` kills it and shares it."""

import stat
from pathlib import Path

import psutil
import psycopg2
import pytest

from tests.support.embedded import ask, keep, kept, pid
from todo_api.embedded import EmbeddedServer


def test_start_first_and_again_keeps_the_data_and_tells_what_takes_time(folder: Path) -> None:
    data = folder / "data"
    told: list[str] = []
    server = EmbeddedServer.start(data, told.append)
    assert any(str(data) in line and "making" in line for line in told)
    keep(server.url)
    ask(server.url, "CREATE TABLE one (word text PRIMARY KEY); INSERT INTO one VALUES ('secret')", fetch=False)
    with pytest.raises(psycopg2.errors.UniqueViolation):
        ask(server.url, "INSERT INTO one VALUES ('secret')", fetch=False)
    assert_private_and_durable(data, server.url)
    server.stop()
    assert "secret" not in (data / "server.log").read_text()

    told.clear()
    server = EmbeddedServer.start(data, told.append)
    assert kept(server.url)
    server.stop()
    assert told == ["starting the embedded database"]


def assert_private_and_durable(data: Path, url: str) -> None:
    private = "server_encoding listen_addresses unix_socket_permissions"
    durable = "fsync synchronous_commit full_page_writes max_connections"
    shown = ", ".join(f"current_setting('{name}')" for name in f"{private} {durable}".split())
    assert ask(url, f"SELECT {shown}") == ("UTF8", "", "0700", "on", "on", "on", "200")
    folded = ask(url, "SELECT 'É' ILIKE 'é', 'ÇAĞRI ΣΩ Ж' ILIKE '%çağri σω ж', lower('ÀΣЖ'), 'B' < 'a'")
    assert folded == (True, True, "àσж", True)
    rights = "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    assert ask(url, rights) == (False, False, True, True)
    assert stat.S_IMODE((data / "cluster").stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "server.log").stat().st_mode) == 0o600
    assert psutil.Process(pid(data)).net_connections("inet") == []
