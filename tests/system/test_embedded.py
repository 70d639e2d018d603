"""The embedded server: real services, real kills. A service is a process that starts, prints its URL and waits."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import sqlalchemy

from todo_api.embedded import EmbeddedServer, EmbeddedUnavailable
from todo_api.embedded.os_user import SYSTEM_USER

ROOT = Path(__file__).parents[2]
SERVICE = """
import os, signal, sys
from pathlib import Path
from todo_api.embedded import EmbeddedServer

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = EmbeddedServer.start(Path(sys.argv[1]), lambda line: print(line, flush=True))
try:
    worker = None
    if "with-worker" in sys.argv:
        ready, tell = os.pipe()
        worker = os.fork()
        if worker == 0:
            os.write(tell, b".")
            signal.pause()  # and leave through the `finally`, as gunicorn's workers do
        os.read(ready, 1)
    print(server.url, worker, flush=True)
    signal.pause()
finally:
    server.stop()
"""


class Service:
    """A service in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-c", SERVICE, str(folder), *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.url, self.worker = "", 0

    def says(self, text: str) -> str:
        """Its next line with the text in it."""
        assert self.process.stdout
        return next(line for line in self.process.stdout if text in line)

    def ready(self) -> "Service":
        self.url, worker = self.says("postgresql://").split()
        self.worker = 0 if worker == "None" else int(worker)
        return self

    def end(self, by: signal.Signals) -> None:
        self.process.send_signal(by)
        self.process.wait(20)


Start = Callable[..., Service]


@pytest.fixture
def empty() -> Iterator[Path]:
    """A folder that is yet to be made, below one of mode 0700.

    Not in tmp_path: every other pytest of this user that begins resets the mode of /tmp/pytest-of-<user>, and so ends,
    for root, the passage that PostgreSQL's user has been given through it.
    """
    above = Path(tempfile.mkdtemp(prefix="test-embedded-"))
    yield above / "data"
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() == "postgres" and f"{above}/" in "".join(process.cmdline()[2:3]):
                process.send_signal(signal.SIGQUIT)
                process.wait(5)
    shutil.rmtree(above)


@pytest.fixture(scope="module")
def model() -> Iterator[Path]:
    above = Path(tempfile.mkdtemp(prefix="test-embedded-"))
    server = EmbeddedServer.start(above / "data")
    keep(server.url)
    server.stop()
    yield above / "data"
    shutil.rmtree(above)


@pytest.fixture
def folder(empty: Path, model: Path) -> Path:
    """A folder with a stopped server whose data are `kept`."""
    return copy(model, empty)


@pytest.fixture
def service(empty: Path) -> Iterator[Start]:
    started: list[Service] = []

    def start(*options: str) -> Service:
        started.append(Service(empty, *options))
        return started[-1]

    yield start
    for each in started:
        each.end(signal.SIGKILL)
        if each.worker:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(each.worker).kill()
        assert each.process.stdout
        each.process.stdout.close()


def ask(url: str, statement: str, fetch: bool = True) -> Any:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone() if fetch else None


def copy(source: Path, target: Path) -> Path:
    subprocess.run(["/bin/cp", "-a", source, target], check=True)
    return target


def keep(url: str) -> None:
    ask(url, "CREATE TABLE kept AS SELECT 'Grüße' AS word", fetch=False)


def kept(url: str) -> bool:
    return bool(ask(url, "SELECT word FROM kept") == ("Grüße",))


def pid(folder: Path) -> int:
    return int((folder / "cluster" / "postmaster.pid").read_text().split()[0])


def ended(number: int) -> bool:
    """Whether the process is gone, or dead and only not yet reaped by init."""
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_start_first_and_again_keeps_the_data_and_tells_what_takes_time(empty: Path) -> None:
    told: list[str] = []
    server = EmbeddedServer.start(empty, told.append)
    assert any(str(empty) in line and "making" in line for line in told)
    keep(server.url)
    server.stop()

    told.clear()
    began = time.monotonic()
    server = EmbeddedServer.start(empty, told.append)
    assert time.monotonic() - began < 2
    assert kept(server.url)
    server.stop()
    assert told == ["starting the embedded database"]


def test_start_settings_are_private_durable_and_fold_case(folder: Path) -> None:
    server = EmbeddedServer.start(folder)
    private = "server_encoding listen_addresses unix_socket_permissions"
    durable = "fsync synchronous_commit full_page_writes max_connections"
    shown = ", ".join(f"current_setting('{name}')" for name in f"{private} {durable}".split())
    assert ask(server.url, f"SELECT {shown}") == ("UTF8", "", "0700", "on", "on", "on", "200")
    folded = ask(server.url, "SELECT 'É' ILIKE 'é', 'ÇAĞRI ΣΩ Ж' ILIKE '%çağri σω ж', lower('ÀΣЖ'), 'B' < 'a'")
    assert folded == (True, True, "àσж", True)
    rights = "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    assert ask(server.url, rights) == (False, False, True, True)
    assert stat.S_IMODE((folder / "cluster").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "server.log").stat().st_mode) == 0o600
    assert psutil.Process(pid(folder)).net_connections("inet") == []
    server.stop()


def test_start_log_holds_no_values_of_failed_statements(folder: Path) -> None:
    server = EmbeddedServer.start(folder)
    ask(server.url, "CREATE TABLE one (word text PRIMARY KEY); INSERT INTO one VALUES ('secret')", fetch=False)
    with pytest.raises(psycopg2.errors.UniqueViolation):
        ask(server.url, "INSERT INTO one VALUES ('secret')", fetch=False)
    server.stop()
    assert "secret" not in (folder / "server.log").read_text()


@pytest.mark.parametrize("name", ["with space", "a$HOME`id`\"'\\%2F+&?#,ü", "long" * 40])
def test_start_awkward_path_works_and_leaves_no_socket_behind(empty: Path, name: str) -> None:
    server = EmbeddedServer.start(empty / name)
    keep(server.url)
    engine = sqlalchemy.create_engine(server.url.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT word FROM kept")) == "Grüße"
    engine.dispose()
    assert psutil.Process(pid(empty / name)).cwd() == str(empty / name / "cluster")
    socket = Path((empty / name / "cluster" / "postmaster.pid").read_text().splitlines()[4])
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert (socket == empty / name / "cluster") == (name == "with space")
    second = EmbeddedServer.start(empty / name)
    assert second.url == server.url
    server.stop()
    second.stop()
    assert not (socket / ".s.PGSQL.5432").exists()
    assert socket.parent != empty.parent.parent or not socket.exists()


def test_start_below_private_folder_opens_it_to_nobody_else(empty: Path) -> None:
    server = EmbeddedServer.start(empty)
    assert not empty.stat().st_mode & stat.S_IRWXO
    assert not empty.parent.stat().st_mode & stat.S_IRWXO
    assert psutil.Process(pid(empty)).uids().real != 0
    server.stop()


def test_start_as_ordinary_user_works(model: Path, empty: Path) -> None:
    """For root, the ordinary user is `todo-api`, whom the model's start has made and shown the way to the programs."""
    assert model.exists()
    user = pwd.getpwnam(SYSTEM_USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    os.chown(empty.parent, user.pw_uid, user.pw_gid)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
            server = EmbeddedServer.start(empty)
            keep(server.url)
            number = pid(empty)
            server.stop()
            code = 0 if soon(lambda: ended(number)) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert empty.stat().st_uid == user.pw_uid
    again = EmbeddedServer.start(empty)  # root's server runs as the owner
    assert kept(again.url)
    assert psutil.Process(pid(empty)).uids().real == user.pw_uid
    again.stop()


def test_stop_ends_the_server_and_does_nothing_the_second_time(folder: Path) -> None:
    server = EmbeddedServer.start(folder)
    number = pid(folder)
    with closing(psycopg2.connect(server.url)):
        server.stop()
        assert soon(lambda: ended(number))
    other = EmbeddedServer.start(folder)
    server.stop()
    assert ask(other.url, "SELECT 1") == (1,)
    other.stop()


def test_service_terminated_stops_the_server(folder: Path, service: Start) -> None:
    one = service().ready()
    number = pid(folder)
    one.end(signal.SIGTERM)
    assert soon(lambda: ended(number))


def test_service_killed_next_start_takes_the_running_server_over(folder: Path, service: Start) -> None:
    one = service().ready()
    number = pid(folder)
    one.end(signal.SIGKILL)
    assert not ended(number)

    server = EmbeddedServer.start(folder)
    assert pid(folder) == number
    assert kept(server.url)
    server.stop()
    assert soon(lambda: ended(number))


def test_service_killed_while_making_leaves_nothing_in_the_way(empty: Path, service: Start) -> None:
    one = service()
    one.says("making")
    assert soon(lambda: any(empty.glob("making-*/base")))
    one.end(signal.SIGKILL)
    assert not (empty / "cluster").exists()
    server = EmbeddedServer.start(empty)
    assert ask(server.url, "SELECT 1") == (1,)
    server.stop()


def test_service_killed_while_starting_is_carried_on(folder: Path, service: Start) -> None:
    one = service()
    one.says("starting")
    one.end(signal.SIGKILL)
    server = EmbeddedServer.start(folder)
    assert ask(server.url, "SELECT 1") == (1,)
    server.stop()


def test_everything_killed_next_start_recovers_the_data(folder: Path, service: Start) -> None:
    one = service().ready()
    with closing(psycopg2.connect(one.url)):
        one.end(signal.SIGKILL)
        os.kill(pid(folder), signal.SIGKILL)
        server = EmbeddedServer.start(folder)
    assert kept(server.url)
    server.stop()


def test_stale_process_id_now_anothers_is_neither_trusted_nor_ended(folder: Path) -> None:
    def crash(now: int) -> None:
        """Kills the server, and gives its process id, as its files have it, to another process."""
        number = pid(folder)
        os.kill(number, signal.SIGKILL)
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            file = folder / "cluster" / name
            file.write_text(file.read_text().replace(str(number), str(now), 1))
        time.sleep(0.3)  # for the server's other processes to notice

    user = (folder / "cluster").stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["/bin/sleep", "60"], user=user) as bystander:
        server = EmbeddedServer.start(folder)
        crash(bystander.pid)
        server.stop()
        server = EmbeddedServer.start(folder)
        assert kept(server.url)
        server.stop()
        assert bystander.poll() is None
        bystander.kill()


def test_two_services_share_one_server_until_the_last_stops(empty: Path, service: Start) -> None:
    starting = [service(), service()]  # at once, in an empty empty
    one, two = [each.ready() for each in starting]
    number = pid(empty)
    assert one.url == two.url
    one.end(signal.SIGTERM)
    assert ask(two.url, "SELECT 1") == (1,)
    assert pid(empty) == number
    two.end(signal.SIGTERM)
    assert soon(lambda: ended(number))


def test_two_services_one_killed_the_others_stop_ends_the_server(folder: Path, service: Start) -> None:
    one, two = service().ready(), service().ready()
    number = pid(folder)
    one.end(signal.SIGKILL)
    assert ask(two.url, "SELECT 1") == (1,)
    two.end(signal.SIGTERM)
    assert soon(lambda: ended(number))


def test_worker_ending_leaves_the_server_to_its_master(folder: Path, service: Start) -> None:
    master = service("with-worker").ready()
    os.kill(master.worker, signal.SIGTERM)
    assert soon(lambda: ended(master.worker))
    assert ask(master.url, "SELECT 1") == (1,)
    number = pid(folder)
    master.end(signal.SIGTERM)
    assert soon(lambda: ended(number))


def test_worker_outliving_its_killed_master_does_not_hold_the_server(folder: Path, service: Start) -> None:
    master, other = service("with-worker").ready(), service().ready()
    number = pid(folder)
    master.end(signal.SIGKILL)
    assert not ended(master.worker)
    other.end(signal.SIGTERM)
    assert soon(lambda: ended(number))


def test_copied_folder_has_a_server_of_its_own(folder: Path) -> None:
    original = EmbeddedServer.start(folder)
    copied = EmbeddedServer.start(copy(folder, folder.with_name("other")))  # with the original's postmaster.pid
    ask(copied.url, "DROP TABLE kept", fetch=False)
    assert kept(original.url)
    copied.stop()
    assert kept(original.url)
    original.stop()


def test_start_server_that_cannot_run_says_why(folder: Path) -> None:
    with (folder / "cluster" / "postgresql.conf").open("a") as settings:
        settings.write("shared_buffers = nonsense\n")
    with pytest.raises(EmbeddedUnavailable, match=r"did not start: .*postgresql\.conf.* contains errors"):
        EmbeddedServer.start(folder)
