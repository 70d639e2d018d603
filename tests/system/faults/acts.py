"""The faults: each brings something about, and returns when that was over (`time.monotonic()`)."""

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg2

from tests.support.live import environment
from tests.system.faults.proxy import Proxy
from tests.system.faults.stage import PATIENCE, Stage, next_release, until
from todo_api.provisioning import migrations

ROOT = Path(__file__).parents[3]
FROZEN_SECONDS = 10

MIGRATION = '''"""A column and an index more."""

from alembic import op

revision = "9000"
down_revision = "{head}"


def upgrade() -> None:
    """Adds them beside the release that serves."""
    op.execute("ALTER TABLE tasks ADD COLUMN of_the_faults integer NOT NULL DEFAULT 7")
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY of_the_faults ON tasks (of_the_faults)")


def downgrade() -> None:
    """Not of this test."""
'''


def database_killed(stage: Stage) -> float:
    """Every process of PostgreSQL at once; the service starts it again."""
    for process in stage.postgres():
        with suppress(psutil.NoSuchProcess):
            process.kill()
    until(lambda: not stage.database_answers(), "the end of the database")
    until(stage.database_answers, "the database again")
    return time.monotonic()


def sessions_ended(stage: Stage) -> float:
    """By the database, three times, each in the middle of what it does."""
    for _ in range(3):
        with suppress(psycopg2.Error):
            stage.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'task-api'")
        time.sleep(1)
    return time.monotonic()


def database_frozen(stage: Stage) -> float:
    """Every process of PostgreSQL stopped, sockets open."""
    processes = stage.postgres()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    time.sleep(FROZEN_SECONDS)
    for process in reversed(processes):
        with suppress(psutil.NoSuchProcess):
            process.resume()
    return time.monotonic()


def worker_killed(stage: Stage) -> float:
    """One of two, hard; the other goes on."""
    stage.workers()[0].kill()
    ended = time.monotonic()
    until(lambda: len(stage.workers()) == 2, "another worker")
    return ended


def restarted(stage: Stage) -> float:
    """SIGTERM, the embedded database with it, and a new start."""
    stage.stop()
    stage.start()
    return time.monotonic()


def workers_changed(stage: Stage) -> float:
    """SIGHUP."""
    old = {worker.pid for worker in stage.workers()}
    stage.master().send_signal(signal.SIGHUP)
    until(lambda: len(stage.workers()) == 2 and not old & {worker.pid for worker in stage.workers()}, "new workers")
    return time.monotonic()


def release_changed(stage: Stage) -> float:
    """SIGUSR2: a new process takes over the socket."""
    old = stage.master()
    old.send_signal(signal.SIGUSR2)
    until(lambda: not old.is_running() or old.status() == psutil.STATUS_ZOMBIE, "the end of the old release")
    until(lambda: len(stage.workers()) == 2, "the workers of the new release")
    return time.monotonic()


def migrated(stage: Stage) -> float:
    """The next release migrates while this one serves, and somebody reads the tasks for three seconds, as a backup does."""
    settings = {"DATA_DIR": str(stage.cluster.parents[1])}
    if stage.url:
        settings["DATABASE_URL"] = stage.url
    with tempfile.TemporaryDirectory(prefix="faults-release-") as folder:
        command = next_release(Path(folder), ROOT, MIGRATION.format(head=migrations.head()))
        with stage.session() as cursor:
            cursor.execute("LOCK TABLE tasks IN ACCESS SHARE MODE")
            process = subprocess.Popen(
                [*command, "migrate"],
                cwd=folder,
                env=environment(Path(folder), **settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            time.sleep(4)
        said, _ = process.communicate(timeout=PATIENCE)
    if process.returncode or stage.sql("SELECT version_num FROM alembic_version") != [("9000",)]:
        raise RuntimeError(f"the migration failed: {said}")
    if not stage.is_ready():
        raise RuntimeError("the release before is not ready after the migration")
    return time.monotonic()


def migrated_back(stage: Stage) -> None:
    """Undoes the migration."""
    stage.sql("SET lock_timeout = '500ms'; ALTER TABLE tasks DROP COLUMN of_the_faults")
    stage.sql(f"UPDATE alembic_version SET version_num = '{migrations.head()}'")


def connections_reset(proxy: Proxy) -> Callable[[Stage], float]:
    """Between service and database, by a RST, five times."""

    def act(_: Stage) -> float:
        cut = 0
        for __ in range(5):
            cut += proxy.reset()
            time.sleep(0.7)
        if not cut:
            raise RuntimeError("there was no connection to reset")
        return time.monotonic()

    return act


def disk_full(ballast: Path) -> Callable[[Stage], float]:
    """The disk of the database's folder, with whatever it had to write, for ten seconds."""

    def act(stage: Stage) -> float:
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(65536))
        until_full = time.monotonic() + FROZEN_SECONDS
        while time.monotonic() < until_full:
            with suppress(psycopg2.Error, OSError, IndexError):
                stage.sql("SELECT pg_switch_wal()")  # which makes it need another segment of 16 MB
            time.sleep(0.5)
        ballast.unlink()
        return time.monotonic()

    return act
