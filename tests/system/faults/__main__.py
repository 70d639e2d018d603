"""`make faults`: what `docs/reliability.md` tells is measured anew. `--help` lists the options."""

import argparse
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from tests.system.faults import acts, neighbours, overload, soak
from tests.system.faults.load import Load
from tests.system.faults.observation import Row, observe, percentile_95
from tests.system.faults.pooler import Pooler, program
from tests.system.faults.proxy import Proxy
from tests.system.faults.report import PAGE, Report
from tests.system.faults.slow import SlowClients
from tests.system.faults.stage import Stage, token

MINUTES = 24
"""Minutes of a whole run."""

SPARE_MINUTES = 2
"""Minutes after which a longer run is ended, and has failed."""

SLOW_CLIENTS = 1000
DISK = "300m"


class Run:
    """One run: how long things take in it, what is left out, and where it tells."""

    def __init__(self, minutes: int, only: list[str], report: Report) -> None:
        whole = minutes >= MINUTES
        self.only = only
        self.report = report
        self.kills = 10 if whole else 2
        self.settle = 20.0 if whole else 4.0
        self.flood = 15.0 if whole else 4.0
        self.soak = (minutes - 14) * 60.0 if whole else minutes * 15.0
        self.killed: list[float] = []

    def wants(self, name: str) -> bool:
        """Return whether a part was chosen."""
        return not self.only or name in self.only

    def fault(self, load: Load, stage: Stage, row: Row, act: Callable[[Stage], float], times: int = 1) -> None:
        """Has a fault happen, and reports it."""
        if not self.wants(row.name):
            return
        for _ in range(times):
            observe(load, row, lambda: act(stage), self.settle)
        self.report.row(row)


def in_place(run: Run, stage: Stage, load: Load) -> None:
    """The faults of a service with its embedded database."""
    load.go()
    time.sleep(min(10.0, run.settle))
    run.fault(
        load,
        stage,
        Row("kill", "the database killed hard; the service starts it again"),
        acts.database_killed,
        run.kills,
    )
    run.fault(load, stage, Row("sessions", "every session ended by the database"), acts.sessions_ended)
    run.fault(load, stage, Row("freeze", "the database frozen (SIGSTOP) for 10 s"), acts.database_frozen)
    run.fault(load, stage, Row("worker", "a worker killed hard"), lambda it: _kill_worker(run, it), min(3, run.kills))
    run.fault(load, stage, Row("restart", "SIGTERM and start, counted from ready"), acts.restarted, min(2, run.kills))
    run.fault(load, stage, Row("reload", "all workers changed (SIGHUP)", strict=True), acts.workers_changed, 2)
    run.fault(load, stage, Row("release", "another release takes over (SIGUSR2)", strict=True), acts.release_changed)
    if run.wants("migrate"):
        what = "the next release migrates, a reader in its way"
        run.fault(load, stage, Row("migrate", what, strict=True), acts.migrated)
        acts.migrated_back(stage)
    if run.wants("slow"):
        slow_clients(run, stage, load)
    load.pause()


def _kill_worker(run: Run, stage: Stage) -> float:
    ended = acts.worker_killed(stage)
    run.killed.append(ended)
    return ended


def slow_clients(run: Run, stage: Stage, load: Load) -> None:
    """A thousand of them beside the load."""
    first = len(load.sent)
    time.sleep(run.settle)
    before = percentile_95([it.seconds for it in load.sent[first:]])
    row = Row("slow", f"{SLOW_CLIENTS} clients that send a byte a second", strict=True)
    first = len(load.sent)
    with SlowClients(stage.port, SLOW_CLIENTS) as slow:

        def act() -> float:
            time.sleep(2 * run.settle)
            return time.monotonic()

        observe(load, row, act, 2.0)
        opened = slow.opened
    run.report.row(row)
    during = percentile_95([it.seconds for it in load.sent[first:]])
    run.report.figure(
        "Slow clients",
        f"{opened} connections were opened; p95 of the others {before * 1000:.0f} ms before, {during * 1000:.0f} ms meanwhile",
        holds=opened >= SLOW_CLIENTS and during <= max(2 * before, before + 0.05),
    )


def by_other_ways(run: Run, stage: Stage, load: Load) -> None:
    """The faults of what is between service and database."""
    if run.wants("reset"):
        proxy = Proxy(f"{stage.cluster}/.s.PGSQL.5432")
        try:
            stage.switch(lambda place: f"postgresql://todo@127.0.0.1:{proxy.port}/todo?sslmode=disable")
            load.go()
            time.sleep(3)
            run.fault(
                load, stage, Row("reset", "every connection to the database reset"), acts.connections_reset(proxy)
            )
            load.pause()
        finally:
            proxy.close()
    if run.wants("pooler"):
        if program() is None:
            run.report.figure("The pooler restarted", "not shown: pgbouncer is not installed", holds=False)
        else:
            pooler = Pooler(str(stage.cluster))
            try:
                stage.switch(pooler.url)
                load.go()
                time.sleep(3)
                run.fault(load, stage, Row("pooler", "PgBouncer killed hard and restarted"), pooler.restarted)
                load.pause()
            finally:
                pooler.close()
    if stage.url:
        stage.switch(None)


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A disk of its own, in memory; None where it cannot be had."""
    folder = Path(tempfile.mkdtemp(prefix="faults-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False, timeout=10)
        shutil.rmtree(folder, ignore_errors=True)


def on_a_full_disk(run: Run) -> None:
    """A service whose embedded database has a disk of its own, which fills up."""
    with small_disk() as folder:
        if folder is None:
            run.report.figure(
                "The disk full", "not shown: a small disk cannot be mounted here (root is needed)", holds=False
            )
            return
        stage = Stage(folder)
        try:
            stage.start()
            load = Load(stage.port, token, Path(tempfile.gettempdir()) / f"{folder.name}.jsonl", "disk")
            load.go()
            time.sleep(5)
            row = Row("disk", "the disk of the embedded database full for 10 s")
            run.fault(load, stage, row, acts.disk_full(folder / "ballast"), 1)
            verify(run, stage, load, "the full disk")
            load.close()
        finally:
            stage.end()


def verify(run: Run, stage: Stage, load: Load, of: str) -> None:
    """Holds everything there is against the journals."""
    load.pause()
    while any(not doubt.over for user in load.users for doubt in user.journal.doubts.values()):
        time.sleep(0.5)
    complaints = load.verify()
    journals = [user.journal for user in load.users]
    twice = stage.sql("SELECT user_id, title FROM tasks WHERE title LIKE '%, made %' GROUP BY 1, 2 HAVING count(*) > 1")
    acknowledged, doubted = sum(it.acknowledged for it in journals), sum(it.doubted for it in journals)
    done = sum(it.doubted_and_done for it in journals)
    run.report.figure(
        f"The journal of {of}",
        f"{acknowledged} acknowledged writes, all there, none twice, versions only risen, and {len(journals)} copies by the feed equal: "
        f"{len(complaints) + len(twice)} complaints; "
        f"{doubted} writes had no answer or 503, of which {done} were done and {doubted - done} were not",
        holds=not complaints and not twice and acknowledged > 0,
    )
    for complaint in complaints[:20]:
        print(f"    {complaint}", flush=True)


def play(run: Run) -> None:
    """Everything, in order."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    stage = Stage(folder)
    try:
        stage.start()
        load = Load(stage.port, token, folder / "journal.jsonl", "user")
        in_place(run, stage, load)
        by_other_ways(run, stage, load)
        if run.wants("overload"):
            overload.overload(stage, run.report, run.flood)
            neighbours.searches(stage, run.report, run.flood / 2)
            neighbours.floods(stage, run.report, run.flood / 4)
        if run.wants("soak"):
            soak.soak(stage, load, run.report, run.soak)
        verify(run, stage, load, f"{len(load.sent)} requests")
        stage.stop()
        soak.logs(stage.log, load.sent, run.killed, run.report)
        load.close()
    finally:
        stage.end()
        if run.report.holds:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"The service's log and the journal are kept in {folder}.", flush=True)
    if run.wants("disk"):
        on_a_full_disk(run)


def main() -> int:
    """0 where everything holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.faults", description=__doc__)
    parser.add_argument(
        "--minutes", type=int, default=MINUTES, help="how long; fewer than %(default)s is for trying out"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="kill, freeze, soak, ...; several times"
    )
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    whole = options.minutes >= MINUTES and not options.only
    report = Report(PAGE if whole else None, f"{'A whole run' if whole else 'A part'}, {options.minutes} minutes.")

    def give_up(_: int, __: FrameType | None) -> None:
        raise SystemExit(f"not done after {options.minutes + SPARE_MINUTES} minutes")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm((options.minutes + SPARE_MINUTES) * 60)
    began = time.monotonic()
    try:
        play(Run(options.minutes, options.only, report))
    except (OSError, RuntimeError, AssertionError) as error:
        report.figure("The run", f"ended early: {str(error)[:500]}", holds=False)
    except SystemExit as error:
        report.figure("The run", str(error), holds=False)
    with suppress(BrokenPipeError):
        print(
            f"{'Everything holds' if report.holds else 'Something does not hold'}, {(time.monotonic() - began) / 60:.1f} minutes."
        )
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
