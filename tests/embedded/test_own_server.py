"""The embedded server among others: whose it is, how it ends, and what a start that failed leaves."""

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.support.embedded import ask, pid
from tests.support.processes import soon
from todo_api.embedded import EmbeddedServer, EmbeddedUnavailable
from todo_api.embedded import server as servers


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """A folder with the data of a server, stopped."""
    above = Path(tempfile.mkdtemp(prefix="test-own-"))
    EmbeddedServer.start(above / "data").stop()
    yield above / "data"
    shutil.rmtree(above)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def server(data: Path, told: list[str]) -> Iterator[EmbeddedServer]:
    """A server that runs."""
    started = EmbeddedServer.start(data, told.append)
    told.clear()
    yield started
    started.stop()


def test_server_is_a_session_of_its_own_without_groups_of_whoever_started_it(
    server: EmbeddedServer, data: Path
) -> None:
    """So the interrupt of a terminal reaches the service alone, which then stops it."""
    assert os.getsid(pid(data)) != os.getsid(0)
    (groups,) = [line for line in Path(f"/proc/{pid(data)}/status").read_text().splitlines() if "Groups:" in line]
    assert os.geteuid() != 0 or groups.split()[1:] == []
    rules = (data / "cluster" / "pg_hba.conf").read_text().splitlines()
    assert {line.split()[-1] for line in rules if line.startswith("host")} == {"reject"}


def test_stop_does_not_wait_for_sessions_to_end(server: EmbeddedServer, data: Path) -> None:
    before = (data / "server.log").stat().st_size
    with closing(psycopg2.connect(server.url)):
        server.stop()
    log = (data / "server.log").read_text()[before:]
    assert "received fast shutdown request" in log
    assert "immediate" not in log


def test_keep_running_leaves_a_server_that_died_to_whoever_is_starting_it(
    server: EmbeddedServer, data: Path, told: list[str]
) -> None:
    os.kill(pid(data), signal.SIGKILL)
    assert soon(lambda: not server._is_running())
    with (data / "start.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server.keep_running()
        assert (told, server._is_running()) == ([], False)
    server.keep_running()
    assert told == ["the embedded database has ended by itself", "starting the embedded database"]
    assert soon(lambda: server._socket_folder() is not None)


def test_keep_running_starts_no_second_server_where_another_service_has_just_started_one(
    server: EmbeddedServer, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended before the look, and was started before the lock was free."""
    looks = iter([False, True])
    with monkeypatch.context() as patch:
        patch.setattr(server, "_is_running", lambda: next(looks))
        server.keep_running()
    assert told == []


def test_start_that_fails_names_this_reason_and_leaves_the_folder_to_others(data: Path) -> None:
    settings, log = data / "cluster" / "postgresql.conf", data / "server.log"
    before = settings.read_text()
    log.write_text(f"{log.read_text()}FATAL:  of an earlier start\n")
    settings.write_text(f"{before}shared_buffers = nonsense\n")
    try:
        with pytest.raises(EmbeddedUnavailable, match=r"did not start: .*postgresql\.conf.* contains errors"):
            EmbeddedServer.start(data)
    finally:
        settings.write_text(before)
    EmbeddedServer.start(data, alone=True).stop()  # refused if the failed start still had its share


def test_start_whose_initdb_fails_leaves_nothing_not_even_of_an_earlier_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "data" / "making-earlier").mkdir(parents=True)
    monkeypatch.setattr(servers, "LOCALE", ("--nonsense",))
    with pytest.raises(EmbeddedUnavailable, match=r"initdb failed in .*: .+: mend that"):
        EmbeddedServer.start(folder / "data")
    assert [each.name for each in (folder / "data").iterdir() if not each.name.endswith(".lock")] == []


def test_start_waits_longer_for_a_server_that_recovers(
    server: EmbeddedServer, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, answers = servers._prepare, iter(["the database system is starting up"] * 3)

    def recover(socket: str) -> None:
        for answer in answers:
            raise psycopg2.OperationalError(answer)
        prepare(socket)

    monkeypatch.setattr(servers, "_prepare", recover)
    monkeypatch.setattr(servers, "START_TIMEOUT", -1)
    second = EmbeddedServer.start(data)
    assert ask(second.url, "SELECT 1") == (1,)
    second.drop_share()  # `stop` would wait for START_TIMEOUT


def test_socket_folder_that_another_user_has_does_not_count(server: EmbeddedServer, folder: Path) -> None:
    """Who may write into /tmp could put a server of his own where a record names a folder that is gone."""
    record = "1\n{data}\n1\n5432\n{socket}\n"
    stranger = EmbeddedServer(folder, lambda _: None)
    stranger._cluster = folder
    for socket, counts in ((server._cluster, True), (Path("/"), stranger._user.uid == 0)):
        (folder / "postmaster.pid").write_text(record.format(data=folder, socket=socket))
        stranger._user.uid = server._user.uid
        assert (stranger._socket_folder() == str(socket)) == counts


def test_socket_folder_is_a_short_one_where_a_path_has_too_many_bytes(server: EmbeddedServer) -> None:
    """An address of a socket is counted in bytes, of which a letter may have several."""
    for name, fits in (("u" * 80, True), ("ü" * 80, False)):
        server._cluster, cluster = Path("/data") / name, server._cluster
        made = server._new_socket_folder()
        server._cluster = cluster
        assert (made == f"/data/{name}") == fits
        if not fits:
            Path(made).rmdir()


def test_start_after_a_crash_removes_the_socket_folder_of_before(data: Path) -> None:
    left = Path(tempfile.mkdtemp(prefix="todo-api-", dir="/tmp"))  # where the service makes them
    cluster = data / "cluster"
    owner = cluster.stat()
    os.chown(left, owner.st_uid, owner.st_gid)
    (cluster / "postmaster.pid").write_text(f"1\n{cluster}\n1\n5432\n{left}\n")
    server = EmbeddedServer.start(data)
    assert not left.exists()
    server.stop()
