"""Time zone data change: other versions of the package `tzdata`, in which Berlin's clocks are those of Kiritimati."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.client import Reply
from tests.support.credentials import SECRET, token
from tests.support.live import Live
from tests.support.processes import soon

TASKS, ACCOUNT = "/api/v1/me/tasks", "/api/v1/me/account"


@pytest.fixture
def serve(folder: Path, new_database: Callable[[], str]) -> Callable[..., Live]:
    """Starts services of one database; each with `zones`, a version, has that of the package."""
    url = new_database()

    def start(zones: str | None = None) -> Live:
        package = {} if zones is None else {"PYTHONPATH": str(other_package(folder, zones))}
        return Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET, **package)

    return start


def other_package(folder: Path, version: str) -> Path:
    """Make the package `tzdata` of that version, whose Berlin is Kiritimati, and return its folder."""
    place = folder / version
    if not place.exists():
        shutil.copytree(str(files("tzdata")), place / "tzdata")
        zones = place / "tzdata" / "zoneinfo"
        shutil.copy(zones / "Pacific" / "Kiritimati", zones / "Europe" / "Berlin")
        about = place / f"tzdata-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tzdata\nVersion: {version}\n")
    return place


class Person:
    """A user of a service that changes meanwhile."""

    def __init__(self, token: str) -> None:
        self._token = token

    def ask(self, service: Live, method: str, path: str, body: Any = None, *fields: str) -> Reply:
        """Return the reply."""
        content = b"" if body is None else json.dumps(body).encode()
        return service.request(method, path, content, *fields, token=self._token)

    def write(self, service: Live, method: str, path: str, body: Any) -> Any:
        """Return the body of the reply to what must succeed."""
        reply = self.ask(service, method, path, body)
        assert reply.status in (200, 201), reply.body  # a change or a creation
        return reply.json()

    def tag(self, service: Live, query: str) -> str:
        """Return the tag of a list."""
        return self.ask(service, "GET", f"{TASKS}?{query}").headers["etag"]

    def knows(self, service: Live, query: str, tag: str) -> bool:
        """Return whether the list still has the tag."""
        return self.ask(service, "GET", f"{TASKS}?{query}", None, f"If-None-Match: {tag}").status == 304

    def titles(self, service: Live, query: str) -> set[str]:
        """Return the titles of a list."""
        return {task["title"] for task in self.ask(service, "GET", f"{TASKS}?{query}").json()["items"]}


def in_six_hours() -> dict[str, str]:
    """Return the date and time in Berlin in six hours, by the package that is installed."""
    local = (datetime.now(UTC) + timedelta(hours=6)).astimezone(ZoneInfo("Europe/Berlin"))
    return {"date": f"{local:%Y-%m-%d}", "time": f"{local:%H:%M}"}


ADA, BOB = Person(token("ada")), Person(token("bob"))


def test_list_tasks_after_other_zone_data_has_the_deadlines_that_they_say(serve: Callable[..., Live]) -> None:
    soon_due = in_six_hours()
    with serve() as old:
        old.ready()
        ADA.write(old, "PATCH", ACCOUNT, {"time_zone": "Europe/Berlin"})
        tasks = [
            ADA.write(old, "POST", TASKS, {"title": "zoned", "due": soon_due | {"time_zone": "Europe/Berlin"}}),
            ADA.write(old, "POST", TASKS, {"title": "floating", "due": soon_due}),
            ADA.write(old, "POST", TASKS, {"title": "tokyo", "due": soon_due | {"time_zone": "Asia/Tokyo"}}),
            ADA.write(old, "POST", TASKS, {"title": "start", "start": soon_due}),
        ]
        BOB.write(old, "POST", TASKS, {"title": "elsewhere", "due": soon_due | {"time_zone": "Asia/Dubai"}})
        assert ADA.titles(old, "due=overdue") & {"zoned", "floating"} == set()
        assert "start" not in ADA.titles(old, "startable=true")
        days = f"due_from={soon_due['date']}&time_zone=Europe/Berlin"
        of_ada, of_bob, of_days = ADA.tag(old, "sort=due"), BOB.tag(old, "sort=due"), BOB.tag(old, days)
    with serve("2099.1") as new:
        new.ready()
        assert soon(lambda: ADA.titles(new, "due=overdue") >= {"zoned", "floating"})
        assert "start" in ADA.titles(new, "startable=true")
        assert not ADA.knows(new, "sort=due", of_ada)
        assert (BOB.knows(new, "sort=due", of_bob), BOB.knows(new, days, of_days)) == (True, False)
        assert [ADA.ask(new, "GET", f"{TASKS}/{task['id']}").json() for task in tasks] == tasks


def test_tasks_written_by_a_service_of_older_zone_data_are_corrected_by_the_newer_one(
    serve: Callable[..., Live],
) -> None:
    due = in_six_hours() | {"time_zone": "Europe/Berlin"}
    with serve() as old, serve("2099.1") as new:
        for person in (ADA, BOB):
            person.write(new.ready(), "POST", TASKS, {"title": "by the newer", "due": due})
        ADA.write(old.ready(), "POST", TASKS, {"title": "by the older", "due": due})
        task = BOB.write(new, "POST", TASKS, {"title": "changed", "due": due})
        for change in ({"time": "00:00"}, due):
            BOB.write(old, "PATCH", f"{TASKS}/{task['id']}", {"due": change})
        for person in (ADA, BOB):
            assert person.titles(new, "due=overdue") == {"by the newer"}
        assert new.end() == 0
        with serve("2099.1") as again:
            again.ready()
            assert soon(lambda: ADA.titles(again, "due=overdue") == {"by the newer", "by the older"})
            assert soon(lambda: BOB.titles(again, "due=overdue") == {"by the newer", "changed"})


@pytest.mark.parametrize("kind", ["missing", "wrong"])
def test_list_tasks_by_dates_is_the_same_whatever_zone_files_the_machine_has(
    folder: Path, new_database: Callable[[], str], kind: str
) -> None:
    """A folder of zones whose Berlin is Kiritimati, and one that is empty."""
    zones = folder / "zones"
    zones.mkdir()
    if kind == "wrong":
        (zones / "Europe").mkdir()
        shutil.copy(str(files("tzdata") / "zoneinfo" / "Pacific" / "Kiritimati"), zones / "Europe" / "Berlin")
    settings = {"DATABASE_URL": new_database(), "JWT_SECRET": SECRET, "PYTHONTZPATH": str(zones)}
    with Live(folder, **settings) as service:
        service.ready()
        zoned = in_six_hours() | {"time_zone": "Europe/Berlin"}
        ADA.write(service, "POST", TASKS, {"title": "zoned", "due": zoned, "start": zoned})
        noon = {"date": "2026-11-20", "time": "12:00", "time_zone": "Etc/UTC"}  # the 21st in Kiritimati
        ADA.write(service, "POST", TASKS, {"title": "by noon", "due": noon, "start": noon})
        ADA.write(service, "PATCH", ACCOUNT, {"time_zone": "Europe/Berlin"})
        ADA.write(service, "POST", TASKS, {"title": "floating", "due": in_six_hours(), "start": in_six_hours()})
        day = "due_from=2026-11-20&due_to=2026-11-20"
        for query in (day, f"{day}&time_zone=Europe/Berlin"):
            assert ADA.titles(service, query) == {"by noon"}
        for asked in ("", "&time_zone=Europe/Berlin"):
            assert ADA.titles(service, f"due=overdue{asked}") <= {"by noon"}
            assert ADA.titles(service, f"startable=false{asked}") >= {"zoned", "floating"}
