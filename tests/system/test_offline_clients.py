"""examples/offline.py and offline.ts: whatever fails meanwhile, in the end client and server are equal."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from secrets import token_hex
from typing import Any

import pytest

from tests.support.credentials import SECRET, token
from tests.support.cutting import ALL, Network
from tests.support.feed import TASKS
from tests.support.live import SLACK, Live, environment, run
from tests.support.missing import TYPESCRIPT, has_typescript
from tests.support.pages import ROOT
from tests.support.processes import kill_database, soon
from tests.support.rows import rows

EXAMPLES = ROOT / "examples"
LINES = 150
STRICT = (
    *("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--noUnusedLocals"),
    *("--target", "es2022", "--lib", "es2022,dom", "--module", "nodenext", "--types", "node"),
)
"""Options of the compiler: what it must not overlook, and Node 20."""


@pytest.fixture(scope="module", params=["python", *(["typescript"] if has_typescript() else [])])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the example."""
    if request.param == "python":
        return [sys.executable, str(EXAMPLES / "offline.py")]
    folder = tmp_path_factory.mktemp("typescript")
    types = ("--typeRoots", str(ROOT / "node_modules" / "@types"))
    command = ["node", str(TYPESCRIPT), *STRICT, *types, "--outDir", str(folder), str(EXAMPLES / "offline.ts")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SLACK)
    assert (done.returncode, done.stdout) == (0, "")
    return ["node", str(folder / "offline.js")]


class Device:
    """A copy of one user's tasks, kept by the example."""

    def __init__(self, program: list[str], folder: Path, origin: str, key: str) -> None:
        folder.mkdir()
        self._command = [*program, str(folder / "tasks.json"), origin]
        self._environment = environment(folder, TASK_API_KEY=key)

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*self._command, *arguments], env=self._environment, text=True, **pipes)

    def run(self, *arguments: str) -> str:
        """Run a command that succeeds, and return what it prints."""
        process = self.begin(*arguments)
        said, complaint = process.communicate(timeout=SLACK)
        assert (process.returncode, complaint) == (0, "")
        return said.strip()

    def add(self, title: str) -> str:
        return self.run("add", title)

    def change(self, id_: str, **members: Any) -> None:
        self.run("change", id_, json.dumps(members))

    def remove(self, id_: str) -> None:
        self.run("remove", id_)

    def tasks(self) -> dict[str, Any]:
        return {task["id"]: task for task in json.loads(self.run("list"))}

    def refused(self) -> list[Any]:
        return [(each["code"], each.get("clash")) for each in json.loads(self.run("refused"))]

    def sync(self) -> bool:
        """Return whether the service was reached to the end."""
        return ended(self.begin("sync"))

    def catch_up(self) -> None:
        assert soon(self.sync)


def ended(process: "subprocess.Popen[str]") -> bool:
    """Return whether a sync ended well. If not, it says in a line that the writes wait."""
    said, complaint = process.communicate(timeout=SLACK)
    assert said == ""
    assert (process.returncode, complaint) == (0, "") or (
        process.returncode == 1 and complaint.endswith("writes wait.\n") and "Traceback" not in complaint
    ), complaint
    return process.returncode == 0


class Stage:
    """The service with its embedded database, and two devices that reach it through the network."""

    def __init__(self, program: list[str], folder: Path, network: Network, **settings: str) -> None:
        self.folder = folder
        self.network = network
        self._token = token(token_hex(4))
        self._settings = {"RATE_LIMIT": "off", "JWT_SECRET": SECRET} | settings
        self.start()
        body = b'{"name": "devices", "scopes": ["tasks:read", "tasks:write"]}'
        made = self.live.request("POST", "/api/v1/me/keys", body, token=self._token)
        self.devices = [Device(program, folder / name, network.origin, made.json()["key"]) for name in ("one", "two")]

    def start(self) -> None:
        self.live = Live(self.folder, **self._settings).ready()
        self.network.port = self.live.port

    def stop(self) -> None:
        self.live.__exit__()

    def tasks(self) -> dict[str, Any]:
        """What the server has, by id."""
        page = self.live.request("GET", f"{TASKS}?limit=1000", token=self._token).json()
        return {task["id"]: task for task in page["items"]}


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


@pytest.fixture
def stage(program: list[str], folder: Path, network: Network) -> Iterator[Stage]:
    made = Stage(program, folder, network)
    yield made
    made.stop()


@pytest.fixture
def beside(program: list[str], folder: Path, network: Network, url: str) -> Iterator[Stage]:
    """The same on the database of the tests."""
    made = Stage(program, folder, network, DATABASE_URL=url)
    yield made
    made.stop()


@pytest.mark.parametrize("name", ["offline.py", "offline.ts"])
def test_example_is_short_enough_to_read(name: str) -> None:
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= LINES


def test_offline_clients_that_change_one_task_keep_both_changes_and_tell_of_a_clash(beside: Stage) -> None:
    """Each write is compared with what was there when it was made, whatever the ones before it have met."""
    one, two = beside.devices
    shared, other = one.add("Buy milk"), one.add("Buy tea")
    one.catch_up()
    two.catch_up()
    one.change(shared, title="Buy oat milk")
    one.change(other, title="Buy green tea")
    two.change(shared, description="Two litres")
    two.change(shared, title="Buy soy milk", priority="high")
    two.remove(other)
    for device in (one, two, one):
        device.catch_up()
    task = beside.tasks()[shared]
    assert (task["title"], task["description"], task["priority"]) == ("Buy oat milk", "Two litres", "high")
    assert beside.tasks() == one.tasks() == two.tasks()
    assert one.refused() == []
    assert [code for code, _ in two.refused()] == ["precondition_failed"] * 2
    assert two.refused()[0][1] == ["title"]


@pytest.mark.parametrize("is_kept", [True, False])
def test_offline_client_whose_replies_are_lost_writes_once(beside: Stage, url: str, *, is_kept: bool) -> None:
    """A creation whose reply is kept no more is answered 409 with the task that is there."""
    one, two = beside.devices
    id_ = one.add("Once")
    one.change(id_, title="Changed once")
    gone = one.add("Gone")
    one.remove(gone)
    # With TypeScript one connection has several replies.
    passed = iter([0, 3000, 0, 100, 3000, 0])
    beside.network.passing = lambda: (ALL, next(passed, ALL))
    while not one.sync():
        if not is_kept:
            rows(url, "DELETE FROM idempotent_replies")
    two.catch_up()
    assert beside.network.cuts >= 3
    assert [task["title"] for task in beside.tasks().values()] == ["Changed once"]
    assert beside.tasks() == one.tasks() == two.tasks()
    assert one.refused() == []


def test_offline_client_through_a_restored_backup_walks_anew_and_equals_the_server(stage: Stage) -> None:
    one, _ = stage.devices
    kept, changed = one.add("In the backup"), one.add("Changed offline")
    one.catch_up()
    assert run("backup", "tasks.backup", cwd=stage.folder).returncode == 0
    lost = one.add("After the backup")
    one.change(kept, title="Changed after the backup")
    one.catch_up()
    stage.stop()
    one.change(changed, title="Changed while the server was away")
    new = one.add("New while the server was away")
    assert not one.sync()
    assert {*one.tasks()} == {kept, changed, lost, new}
    assert run("restore", "--overwrite", "tasks.backup", cwd=stage.folder).returncode == 0
    stage.start()
    one.catch_up()
    titles = {id_: task["title"] for id_, task in stage.tasks().items()}
    assert titles == {
        kept: "In the backup",
        changed: "Changed while the server was away",
        new: "New while the server was away",
    }
    assert one.tasks() == stage.tasks()


class Editing:
    """Edits at random on two devices, and what must come of them."""

    def __init__(self, devices: list[Device], seed: int) -> None:
        self.added: set[str] = set()
        self.removed: set[str] = set()
        self.random = Random(seed)  # noqa: S311  # no secret
        self._count = 0
        self._devices = devices

    def edit(self, times: int) -> None:
        for device in self._devices:
            for _ in range(times):
                self._edit(device)

    def _edit(self, device: Device) -> None:
        self._count += 1
        known = sorted(device.tasks())
        act = self.random.choice(("add", "add", "change", "change", "remove")) if known else "add"
        if act == "add":
            self.added.add(device.add(f"Title {self._count}"))
        elif act == "change":
            device.change(self.random.choice(known), title=f"Title {self._count}")
        else:
            self.removed.add(gone := self.random.choice(known))
            device.remove(gone)

    def cut(self) -> tuple[int, int]:
        """Every second connection loses the end of its request, or of its reply, or all of it."""
        cuts = ((self.random.randrange(300), ALL), (ALL, self.random.randrange(900)))
        return self.random.choice((*cuts, (ALL, ALL), (ALL, ALL)))


def test_offline_clients_through_outages_equal_the_server(stage: Stage) -> None:
    """A network that cuts, a database and workers that are killed in the middle of a sync, and a service that is away."""
    seed = Random().getrandbits(32)  # noqa: S311  # no secret
    print(f"seed {seed}")  # it stands below the test if it fails
    editing = Editing(stage.devices, seed)

    def worker_killed() -> None:
        os.kill(stage.live.workers()[-1], signal.SIGKILL)

    for outage in (lambda: None, lambda: kill_database(stage.folder), worker_killed, stage.stop):
        stage.network.passing = editing.cut
        editing.edit(5)
        syncs = [device.begin("sync") for device in stage.devices]
        time.sleep(editing.random.random() / 2)
        outage()
        for sync in syncs:
            ended(sync)
    stage.start()
    stage.network.passing = lambda: (ALL, ALL)
    for device in [*stage.devices, *stage.devices]:
        device.catch_up()
    tasks = stage.tasks()
    for device in stage.devices:
        assert device.tasks() == tasks
    assert editing.added - editing.removed <= {*tasks} <= editing.added
    assert len({task["title"] for task in tasks.values()}) == len(tasks)
    assert stage.network.cuts > 0
