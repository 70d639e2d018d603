"""Lists filtered and sorted by dates, by a given clock: what is due when and where, and the tag of a list that changes by itself."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.tasks import create, path
from todo_api.lists import clock as lists_clock

TASKS = "/api/v1/me/tasks"
ACCOUNT = "/api/v1/me/account"
At = Callable[[str], None]


@pytest.fixture
def at() -> Iterator[At]:
    """Sets the clock of lists, in this process, to a time of RFC 3339."""
    with pytest.MonkeyPatch.context() as patch:
        yield lambda text: patch.setattr(lists_clock, "time", lambda: datetime.fromisoformat(text).timestamp())


def titles(client: Client, query: str) -> list[str]:
    page = client.get(f"{TASKS}?{query}").json()
    assert page["total"] == len(page["items"])
    return [task["title"] for task in page["items"]]


# The worked examples: the same three tasks, looked at in three zones at one moment.
EXAMPLES: dict[str, dict[str, Any]] = {
    "A": {"date": "2026-11-19"},
    "B": {"date": "2026-11-20", "time": "09:00", "time_zone": "Europe/Berlin"},
    "C": {"date": "2026-11-19", "time": "20:00"},
}
SEEN = {
    "America/Los_Angeles": {"overdue": "", "today": "AC", "tomorrow": "B", "week": "ABC"},
    "Europe/Berlin": {"overdue": "AC", "today": "B", "tomorrow": "", "week": "B"},
    "Pacific/Auckland": {"overdue": "AC", "today": "B", "tomorrow": "", "week": "B"},
}


@pytest.mark.parametrize("zone", SEEN)
@pytest.mark.parametrize("own", [False, True], ids=["named", "account"])
def test_list_tasks_due_in_a_zone_has_what_is_due_there(ada: Client, at: At, zone: str, own: bool) -> None:
    for title, due in EXAMPLES.items():
        create(ada, title, due=due)
    if own:
        ada.patch(ACCOUNT, {"time_zone": zone})
    at("2026-11-20T03:30:00Z")
    named = "" if own else f"&time_zone={zone}"
    for due, expected in SEEN[zone].items():
        assert "".join(titles(ada, f"due={due}&sort=title{named}")) == expected, due
        page = ada.get(f"{TASKS}?due={due}{named}").json()
        assert page["time_zone"] == zone
        assert page["as_of"] == "2026-11-20T03:30:00Z" if due == "overdue" else page["as_of"] < "2026-11-20T03:30:00Z"


# The instant at which a task becomes overdue: the table of gaps and folds, the worked examples, and where a day has no midnight.
DEADLINES: list[tuple[str, str | None, str | None, str, str]] = [
    ("2026-11-19", None, None, "America/Los_Angeles", "2026-11-20T08:00:00"),
    ("2026-11-19", None, None, "Europe/Berlin", "2026-11-19T23:00:00"),
    ("2026-11-19", None, None, "Pacific/Auckland", "2026-11-19T11:00:00"),
    ("2026-11-20", "09:00", "Europe/Berlin", "America/Los_Angeles", "2026-11-20T08:00:00"),
    ("2026-11-20", "09:00", "Europe/Berlin", "Europe/Berlin", "2026-11-20T08:00:00"),
    ("2026-11-20", "09:00", "Europe/Berlin", "Pacific/Auckland", "2026-11-20T08:00:00"),
    ("2026-11-19", "20:00", None, "America/Los_Angeles", "2026-11-20T04:00:00"),
    ("2026-11-19", "20:00", None, "Europe/Berlin", "2026-11-19T19:00:00"),
    ("2026-11-19", "20:00", None, "Pacific/Auckland", "2026-11-19T07:00:00"),
    ("2026-10-25", None, None, "Europe/Berlin", "2026-10-25T23:00:00"),
    ("2027-03-28", None, None, "Europe/Berlin", "2027-03-28T22:00:00"),
    ("2027-09-04", None, None, "America/Santiago", "2027-09-05T04:00:00"),
    ("2027-09-05", "00:00", None, "America/Santiago", "2027-09-05T04:00:00"),
    ("2026-10-25", "02:30", None, "Europe/Berlin", "2026-10-25T00:30:00"),
    ("2026-11-01", "01:30", None, "America/New_York", "2026-11-01T05:30:00"),
    ("2027-03-28", "02:30", None, "Europe/Berlin", "2027-03-28T01:30:00"),
    ("2027-03-14", "02:30", None, "America/New_York", "2027-03-14T07:30:00"),
    ("2026-10-25", "03:00", None, "Europe/Berlin", "2026-10-25T02:00:00"),
    ("2026-10-25", "10:00", None, "Europe/Berlin", "2026-10-25T09:00:00"),
    ("2027-03-28", "10:00", None, "Europe/Berlin", "2027-03-28T08:00:00"),
    ("2026-10-04", "02:15", None, "Australia/Lord_Howe", "2026-10-03T15:45:00"),
    ("2026-10-04", None, None, "Australia/Lord_Howe", "2026-10-04T13:00:00"),
    ("2026-04-05", "01:45", None, "Australia/Lord_Howe", "2026-04-04T14:45:00"),
    ("2011-12-30", "12:00", None, "Pacific/Apia", "2011-12-30T22:00:00"),
    ("2011-12-29", None, None, "Pacific/Apia", "2011-12-30T10:00:00"),
    ("2011-12-30", None, None, "Pacific/Apia", "2011-12-30T10:00:00"),
]


@pytest.mark.parametrize(("due", "zone", "deadline"), [(due, zone, deadline) for *due, zone, deadline in DEADLINES])
def test_list_tasks_overdue_has_a_task_at_its_deadline_and_not_a_second_before(
    ada: Client, at: At, due: list[Any], zone: str, deadline: str
) -> None:
    """Floating tasks as well as those with a zone of their own, asked for with the zone named and with that of the account."""
    date, time, of_task = due
    create(ada, "as given", due={"date": date, "time": time, "time_zone": of_task})
    if time is not None:
        create(ada, "zoned", due={"date": date, "time": time, "time_zone": of_task or zone})
    before = datetime.fromisoformat(f"{deadline}Z").timestamp() - 1
    for own in (False, True):
        if own:
            ada.patch(ACCOUNT, {"time_zone": zone})
        query = "due=overdue&sort=title" + ("" if own else f"&time_zone={zone}")
        at(datetime.fromtimestamp(before).astimezone().isoformat())
        assert titles(ada, query) == []
        at(f"{deadline}Z")
        assert titles(ada, query) == ["as given", "zoned"][: 1 if time is None else 2]


STARTS: list[tuple[list[str | None], str, str]] = [
    (["2026-11-20", None, None], "Europe/Berlin", "2026-11-19T23:00:00"),
    (["2026-11-20", "09:00", None], "America/Los_Angeles", "2026-11-20T17:00:00"),
    (["2026-11-20", "09:00", "Europe/Berlin"], "Pacific/Auckland", "2026-11-20T08:00:00"),
    (["2026-10-25", None, None], "Europe/Berlin", "2026-10-24T22:00:00"),
    (["2026-10-25", "02:30", None], "Europe/Berlin", "2026-10-25T00:30:00"),
    (["2026-11-01", "01:30", "America/New_York"], "Asia/Tokyo", "2026-11-01T05:30:00"),
    (["2027-03-28", "02:30", None], "Europe/Berlin", "2027-03-28T01:30:00"),
    (["2027-03-14", "02:30", "America/New_York"], "Asia/Tokyo", "2027-03-14T07:30:00"),
    (["2027-09-05", None, None], "America/Santiago", "2027-09-05T04:00:00"),
    (["2027-09-05", "00:00", "America/Santiago"], "Asia/Tokyo", "2027-09-05T04:00:00"),
    (["2026-10-04", "02:15", None], "Australia/Lord_Howe", "2026-10-03T15:45:00"),
    (["2011-12-30", "12:00", "Pacific/Apia"], "Asia/Tokyo", "2011-12-30T22:00:00"),
    (["2011-12-30", None, None], "Pacific/Apia", "2011-12-30T10:00:00"),
]


@pytest.mark.parametrize(("start", "zone", "begins"), STARTS)
def test_list_tasks_startable_has_a_task_from_its_start_on(
    ada: Client, at: At, start: list[str | None], zone: str, begins: str
) -> None:
    date, time, of_task = start
    create(ada, "free")
    create(ada, "later", start={"date": date, "time": time, "time_zone": of_task})
    create(ada, "done", status="completed")
    before = datetime.fromisoformat(f"{begins}Z").timestamp() - 1
    at(datetime.fromtimestamp(before).astimezone().isoformat())
    assert titles(ada, f"startable=true&time_zone={zone}") == ["free"]
    assert titles(ada, f"startable=false&time_zone={zone}") == ["later"]
    at(f"{begins}Z")
    assert titles(ada, f"startable=true&time_zone={zone}&sort=title") == ["free", "later"]
    assert titles(ada, f"startable=false&time_zone={zone}") == []


def test_list_tasks_overdue_has_open_tasks_alone(ada: Client, at: At) -> None:
    for status in ("pending", "in_progress", "completed", "cancelled"):
        create(ada, status, status=status, due={"date": "2026-11-19"})
    at("2026-11-21T00:00:00Z")
    assert titles(ada, "due=overdue&sort=title") == ["in_progress", "pending"]
    assert titles(ada, "due=overdue&status=pending,completed") == ["pending"]
    assert titles(ada, "due=overdue&completed=true") == []
    assert len(titles(ada, "due=any")) == 4


def test_list_tasks_due_on_days_has_both_ends(ada: Client, at: At) -> None:
    for day in range(19, 29):
        create(ada, f"{day}", due={"date": f"2026-11-{day}"})
        create(ada, f"{day} zoned", due={"date": f"2026-11-{day}", "time": "23:30", "time_zone": "UTC"})
    create(ada, "never")
    at("2026-11-20T12:00:00Z")
    assert titles(ada, "due=week&sort=title&time_zone=UTC") == [
        f"{day}{kind}" for day in range(20, 27) for kind in ("", " zoned")
    ]
    assert titles(ada, "due_from=2026-11-27&sort=title") == ["27", "27 zoned", "28", "28 zoned"]
    assert titles(ada, "due_to=2026-11-19&sort=title") == ["19", "19 zoned"]
    in_berlin = "due_from=2026-11-20&due_to=2026-11-20&sort=title&time_zone=Europe/Berlin"
    assert titles(ada, in_berlin) == ["19 zoned", "20"]
    page = ada.get(f"{TASKS}?{in_berlin}").json()
    assert (page["as_of"], page["time_zone"]) == (None, "Europe/Berlin")
    assert titles(ada, "due=none") == ["never"]
    page = ada.get(f"{TASKS}?due=any&time_zone=Europe/Berlin").json()
    assert (page["total"], page["as_of"], page["time_zone"]) == (20, None, None)


@pytest.mark.parametrize(
    ("own", "named"), [("Pacific/Kiritimati", "Pacific/Pago_Pago"), ("Pacific/Pago_Pago", "Pacific/Kiritimati")]
)
def test_list_tasks_due_on_a_day_in_a_zone_a_day_away_has_what_is_due_on_that_date(
    ada: Client, own: str, named: str
) -> None:
    """A date without a zone is compared as a date, however far its instant, in the zone of the account, is from that day."""
    ada.patch(ACCOUNT, {"time_zone": own})
    for title, due in {"day": {}, "early": {"time": "00:30"}, "late": {"time": "23:30"}}.items():
        create(ada, title, due={"date": "2026-11-20", **due})
        create(ada, f"{title} before", due={"date": "2026-11-19", **due})
        create(ada, f"{title} after", due={"date": "2026-11-21", **due})
    days = "due_from=2026-11-20&due_to=2026-11-20"
    assert titles(ada, f"{days}&sort=title&time_zone={named}") == ["day", "early", "late"]


def test_list_tasks_due_to_a_day_of_25_hours_has_its_last_one(ada: Client) -> None:
    in_berlin = {"time_zone": "Europe/Berlin"}
    create(ada, "in the last hour", due={"date": "2026-10-25", "time": "23:30", **in_berlin})
    create(ada, "the next day", due={"date": "2026-10-26", "time": "00:00", **in_berlin})
    assert titles(ada, "due_to=2026-10-25&time_zone=Europe/Berlin") == ["in the last hour"]
    assert titles(ada, "due_from=2026-10-26&time_zone=Europe/Berlin") == ["the next day"]


def test_list_tasks_by_dates_and_other_filters_meets_all_of_them(ada: Client, at: At) -> None:
    project = ada.post("/api/v1/me/projects", {"name": "Kitchen"}).json()["id"]
    of_day = {"due": {"date": "2026-11-20"}, "start": {"date": "2026-11-20"}}
    create(ada, "all", priority="high", project_id=project, **of_day)
    create(ada, "no priority", project_id=project, **of_day)
    create(ada, "no project", priority="high", **of_day)
    create(ada, "no dates", priority="high", project_id=project)
    create(ada, "done", priority="high", project_id=project, status="completed", **of_day)
    at("2026-11-20T12:00:00Z")
    both = f"priority=high&project_id={project}&sort=title"
    assert titles(ada, f"{both}&due=today") == ["all", "done"]
    assert titles(ada, f"{both}&due_from=2026-11-20&q=all") == ["all"]
    assert titles(ada, f"{both}&startable=true") == ["all", "no dates"]
    assert titles(ada, f"{both}&startable=true&due=any") == ["all"]


BY_DATES = [
    "due=any",
    "due=none",
    "due=overdue",
    "due=today",
    "due=tomorrow",
    "due_from=2026-11-19",
    "due_to=2026-11-21",
]
BY_DATES += [
    "due_from=2026-11-18",
    "due_from=2026-11-18&startable=false",
    "startable=true",
    "startable=false",
    "due=today&time_zone=Asia/Tokyo",
    "",
]
"""Different lists, each of which has a second page."""


@pytest.mark.parametrize("query", [query for query in BY_DATES if query not in ("due=tomorrow", "")])
def test_list_tasks_by_dates_with_the_cursor_of_other_dates_is_refused(ada: Client, at: At, query: str) -> None:
    """Sorted by title, whose keys are texts of any length."""
    for day in (18, 19, 20):
        create(ada, f"{day}", due={"date": f"2026-11-{day}"}, start={"date": f"2026-11-{day}"})
    for number in range(2):
        create(ada, f"later {number}", due={"date": "2026-11-20"}, start={"date": "2026-11-20", "time": "23:00"})
        create(ada, f"free {number}")
    at("2026-11-20T12:00:00Z")
    cursor = ada.get(f"{TASKS}?{query}&sort=title&limit=1").json()["next_cursor"]
    assert ada.get(f"{TASKS}?{query}&sort=title&limit=1&cursor={cursor}").status == 200
    others = [other for other in BY_DATES if other != query]
    replies = {other: ada.get(f"{TASKS}?{other}&sort=title&limit=1&cursor={cursor}") for other in others}
    assert {other: reply.code for other, reply in replies.items()} == dict.fromkeys(others, "invalid_cursor")


@pytest.mark.parametrize("query", ["due=overdue", "due=week", "startable=true"])
def test_list_tasks_that_changes_as_time_passes_with_the_tag_of_the_plain_list_is_sent(
    ada: Client, at: At, query: str
) -> None:
    create(ada, "A", due={"date": "2026-11-19"}, start={"date": "2026-11-18"})
    at("2026-11-19T12:00:00Z" if query == "due=week" else "2026-11-20T12:00:00Z")
    plain = {"If-None-Match": ada.get(TASKS).headers["etag"]}
    reply = ada.get(f"{TASKS}?{query}", headers=plain)
    assert (reply.status, [task["title"] for task in reply.json()["items"]], reply.json()["total"]) == (200, ["A"], 1)
    dated = {"If-None-Match": reply.headers["etag"]}
    assert ada.get(f"{TASKS}?{query}", headers=dated).status == 304
    assert ada.get(TASKS, headers=dated).status == 200


@pytest.mark.parametrize(
    ("query", "at_pointer", "code"),
    [
        ("due=today&due_from=2026-11-20", "/due", "conflicting"),
        ("due=none&due_to=2026-11-20", "/due", "conflicting"),
        ("due_from=2026-11-21&due_to=2026-11-20", "/due_from", "conflicting"),
        ("due=today&time_zone=Europe/Paradise", "/time_zone", "unknown_time_zone"),
        ("time_zone=localtime", "/time_zone", "unknown_time_zone"),
        ("due_from=2026-02-30", "/due_from", "format"),
        ("due=yesterday", "/due", "unknown_value"),
        ("startable=yes", "/startable", "wrong_type"),
    ],
)
def test_list_tasks_with_a_wrong_date_filter_is_refused(ada: Client, query: str, at_pointer: str, code: str) -> None:
    reply = ada.get(f"{TASKS}?{query}")
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert [(error["location"], error["pointer"]) for error in reply.json()["errors"]] == [("query", at_pointer)]
    if code != "unknown_value":
        assert reply.json()["errors"][0]["code"] == code


@pytest.mark.parametrize(
    ("query", "zone"), [("due=overdue", ""), ("startable=false", ""), ("due=overdue", "&time_zone=Asia/Tokyo")]
)
def test_list_tasks_with_known_tag_after_the_deadline_is_sent_again(ada: Client, at: At, query: str, zone: str) -> None:
    """A list that changes as time passes does not answer 304 for ever."""
    due = {"date": "2026-11-20", "time": "09:00", "time_zone": "UTC"}
    create(ada, "soon", **{"due" if query == "due=overdue" else "start": due})
    at("2026-11-20T08:59:58Z")
    first = ada.get(f"{TASKS}?{query}{zone}")
    condition = {"If-None-Match": first.headers["etag"]}
    at("2026-11-20T08:59:59Z")
    assert ada.get(f"{TASKS}?{query}{zone}", headers=condition).status == 304
    at("2026-11-20T09:00:00Z")
    second = ada.get(f"{TASKS}?{query}{zone}", headers=condition)
    assert (second.status, second.json()["as_of"]) == (200, "2026-11-20T09:00:00Z")
    assert second.json()["total"] == 1 - first.json()["total"]
    assert ada.get(f"{TASKS}?sort=due", headers=condition).status == 200


def test_list_tasks_of_today_with_known_tag_is_sent_again_tomorrow(ada: Client, at: At) -> None:
    create(ada, "today", due={"date": "2026-11-20"})
    ada.patch(ACCOUNT, {"time_zone": "Europe/Berlin"})
    at("2026-11-19T23:00:00Z")
    first = ada.get(f"{TASKS}?due=today")
    assert [task["title"] for task in first.json()["items"]] == ["today"]
    condition = {"If-None-Match": first.headers["etag"]}
    at("2026-11-20T22:59:59Z")
    assert ada.get(f"{TASKS}?due=today", headers=condition).status == 304
    assert ada.get(f"{TASKS}?due=today").body == first.body
    at("2026-11-20T23:00:00Z")
    assert ada.get(f"{TASKS}?due=today", headers=condition).json()["items"] == []


# A local day, when it begins and when it ends: of 25, 23 and 24 and a half hours, without a midnight, and beside one that never was.
DAYS = [
    ("2026-10-25", "Europe/Berlin", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
    ("2027-03-28", "Europe/Berlin", "2027-03-27T23:00:00", "2027-03-28T22:00:00"),
    ("2027-09-04", "America/Santiago", "2027-09-04T04:00:00", "2027-09-05T04:00:00"),
    ("2027-09-05", "America/Santiago", "2027-09-05T04:00:00", "2027-09-06T03:00:00"),
    ("2026-10-04", "Australia/Lord_Howe", "2026-10-03T13:30:00", "2026-10-04T13:00:00"),
    ("2011-12-29", "Pacific/Apia", "2011-12-29T10:00:00", "2011-12-30T10:00:00"),
    ("2011-12-31", "Pacific/Apia", "2011-12-30T10:00:00", "2011-12-31T10:00:00"),
]


@pytest.mark.parametrize(("day", "zone", "begins", "ends"), DAYS)
def test_list_tasks_of_today_has_a_task_from_the_first_second_of_its_day_to_the_last(
    ada: Client, at: At, day: str, zone: str, begins: str, ends: str
) -> None:
    """And who has the tag of the list of before is sent it then, and not before."""
    create(ada, "its day", due={"date": day})
    first, last = (datetime.fromisoformat(f"{instant}Z") for instant in (begins, ends))
    query, second, tag = f"{TASKS}?due=today&time_zone={zone}", timedelta(seconds=1), {}
    for moment, status, found in (
        (first - second, 200, []),
        (first, 200, ["its day"]),
        (last - second, 304, None),
        (last, 200, []),
    ):
        at(moment.isoformat())
        reply = ada.get(query, headers=tag)
        assert reply.status == status, moment
        if found is not None:
            assert [task["title"] for task in reply.json()["items"]] == found, moment
        tag = {"If-None-Match": reply.headers["etag"]}


def test_update_account_to_another_zone_changes_lists_and_no_version(ada: Client, at: At) -> None:
    task = create(ada, "A", due={"date": "2026-11-19"})
    ada.patch(ACCOUNT, {"time_zone": "Europe/Berlin"})
    at("2026-11-20T03:30:00Z")
    before = ada.get(f"{TASKS}?due=overdue")
    ada.patch(ACCOUNT, {"time_zone": "America/Los_Angeles"})
    after = ada.get(f"{TASKS}?due=overdue", headers={"If-None-Match": before.headers["etag"]})
    assert (before.json()["total"], after.status, after.json()["total"]) == (1, 200, 0)
    assert ada.get(path(task)).json() == task


def test_list_tasks_by_cursor_keeps_moment_and_zone_of_the_first_page(ada: Client, at: At) -> None:
    for number in range(4):
        create(ada, f"{number}", due={"date": "2026-11-19", "time": f"12:0{number}"})
    ada.patch(ACCOUNT, {"time_zone": "Europe/Berlin"})
    at("2026-11-19T11:02:30Z")
    first = ada.get(f"{TASKS}?due=overdue&sort=title&limit=2")
    at("2026-11-21T00:00:00Z")
    ada.patch(ACCOUNT, {"name": "Ada", "time_zone": "Asia/Tokyo"})
    second = ada.get(first.headers["link"].partition("<")[2].partition(">")[0])
    assert [task["title"] for task in second.json()["items"]] == ["2"]
    assert {(page.json()["total"], page.json()["as_of"], page.json()["time_zone"]) for page in (first, second)} == {
        (3, "2026-11-19T11:02:00Z", "Europe/Berlin")
    }
    assert len(titles(ada, "due=overdue")) == 4


def test_list_tasks_with_a_zone_and_no_filter_by_dates_is_the_plain_list(ada: Client) -> None:
    for number in range(3):
        create(ada, f"{number}")
    page = ada.get(f"{TASKS}?limit=2").json()
    assert ada.get(f"{TASKS}?limit=2&time_zone=Asia/Tokyo").json()["time_zone"] is None
    rest = ada.get(f"{TASKS}?limit=2&time_zone=Asia/Tokyo&cursor={page['next_cursor']}")
    assert [task["title"] for task in rest.json()["items"]] == ["0"]


def test_list_tasks_in_a_named_zone_by_link_goes_on_there(ada: Client, at: At) -> None:
    for title in "AB":
        create(ada, title, due={"date": "2026-11-19"})
    at("2026-11-20T12:00:00Z")
    first = ada.get(f"{TASKS}?due=overdue&time_zone=Europe/Berlin&sort=title&limit=1")
    second = ada.get(first.headers["link"].partition("<")[2].partition(">")[0])
    assert (second.status, [task["title"] for task in second.json()["items"]]) == (200, ["B"])
    assert second.json()["time_zone"] == "Europe/Berlin"
