"""When a task is due and when it can be started: how it is written, refused, patched, and at which instant it is."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.rows import rows
from tests.support.tasks import create, path

TASKS = "/api/v1/me/tasks"
ACCOUNT = "/api/v1/me/account"
BERLIN = {"date": "2026-11-20", "time": "17:30", "time_zone": "Europe/Berlin"}


@pytest.fixture
def instant(direct: str) -> Callable[[dict[str, Any], str], str]:
    """The instant that is stored of a task, by the column."""

    def read(task: dict[str, Any], column: str) -> str:
        text = f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')"
        ((found,),) = rows(
            direct, f"SELECT {text} FROM tasks WHERE user_id = '{task['user_id']}' AND id = '{task['id']}'"
        )
        return str(found)

    return read


def whole(date: str, time: str | None = None, time_zone: str | None = None) -> dict[str, str | None]:
    return {"date": date, "time": time, "time_zone": time_zone}


@pytest.mark.parametrize("member", ["due", "start"])
@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"date": "2026-11-20"}, whole("2026-11-20")),
        ({"date": "2026-11-20", "time": None, "time_zone": None}, whole("2026-11-20")),
        ({"date": "2026-11-20", "time": "00:00"}, whole("2026-11-20", "00:00")),
        (BERLIN, BERLIN),
        ({"date": "1900-01-01", "time": "23:59", "time_zone": "UTC"}, whole("1900-01-01", "23:59", "UTC")),
        ({"date": "2199-12-31"}, whole("2199-12-31")),
        ({"date": "2028-02-29", "time": "12:00", "time_zone": "Europe/Kiev"}, whole("2028-02-29", "12:00", "Europe/Kiev")),
    ],
)  # fmt: skip
def test_write_of_a_date_comes_back_as_sent(ada: Client, member: str, sent: Any, told: Any) -> None:
    made = create(ada, **{member: sent})
    assert made[member] == told
    put = ada.request("PUT", path(create(ada)), json_body={"title": "x", member: sent}).json()
    patched = ada.patch(path(create(ada)), {member: sent}).json()
    for task in (made, put, patched):
        assert task[member] == told
        assert ada.get(path(task)).json() == task


@pytest.mark.parametrize("member", ["due", "start"])
@pytest.mark.parametrize(
    ("sent", "at", "code"),
    [
        ({}, "/date", "required"),
        ({"time": "17:30"}, "/date", "required"),
        ({"date": None}, "/date", "wrong_type"),
        ({"date": "2026-02-30"}, "/date", "format"),
        ({"date": "2027-02-29"}, "/date", "format"),
        ({"date": "2026-11-20T00:00:00Z"}, "/date", "format"),
        ({"date": "1899-12-31"}, "/date", "pattern"),
        ({"date": "2200-01-01"}, "/date", "pattern"),
        ({"date": "2026-11-20", "time": "24:00"}, "/time", "pattern"),
        ({"date": "2026-11-20", "time": "09:00:00"}, "/time", "pattern"),
        ({"date": "2026-11-20", "time": "9:00"}, "/time", "pattern"),
        ({"date": "2026-11-20", "time_zone": "Europe/Berlin"}, "/time_zone", "zone_without_time"),
        ({"date": "2026-11-20", "time": None, "time_zone": "Europe/Berlin"}, "/time_zone", "zone_without_time"),
        *(
            ({"date": "2026-11-20", "time": "09:00", "time_zone": zone}, "/time_zone", "unknown_time_zone")
            for zone in ("Europe/Paradise", "europe/berlin", "localtime", "Factory", "posix/UTC", "right/UTC", "posixrules", "/UTC")
        ),
        ({"date": "2026-11-20", "time": "09:00", "time_zone": "Europe Berlin"}, "/time_zone", "pattern"),
        ({"date": "2026-11-20", "time": "09:00", "time_zone": "../etc/passwd"}, "/time_zone", "pattern"),
        ({"date": "2026-11-20", "day": 5}, "/day", "unknown"),
        ("2026-11-20", "", "wrong_type"),
    ],
)  # fmt: skip
def test_write_of_what_is_no_date_is_400_and_changes_nothing(
    ada: Client, member: str, sent: Any, at: str, code: str
) -> None:
    task = create(ada)
    for method, target in (("POST", TASKS), ("PUT", path(task)), ("PATCH", path(task))):
        body = {member: sent} | ({} if method == "PATCH" else {"title": "x"})
        reply = ada.request(method, target, json_body=body)
        if method == "PATCH" and sent == {}:  # a patch that names nothing asks for nothing
            continue
        assert (reply.status, reply.code) == (400, "validation_failed")
        codes = {(error["pointer"], error["code"]) for error in reply.json()["errors"]}
        assert (f"/{member}{at}", code) in codes
        assert len(codes) == 1 or code == "pattern"
    assert ada.get(TASKS).json()["items"] == [ada.get(path(task)).json()]
    assert ada.get(path(task)).json()[member] is None


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        (BERLIN, {"date": "2026-11-23"}, whole("2026-11-23", "17:30", "Europe/Berlin")),
        (BERLIN, {"time": None}, whole("2026-11-20")),
        (BERLIN, {"time": "09:00"}, whole("2026-11-20", "09:00", "Europe/Berlin")),
        (BERLIN, {"time_zone": None}, whole("2026-11-20", "17:30")),
        (BERLIN, {"time_zone": "Asia/Tokyo"}, whole("2026-11-20", "17:30", "Asia/Tokyo")),
        (BERLIN, {}, BERLIN),
        (BERLIN, None, None),
        (whole("2026-11-20"), {"time": "09:00", "time_zone": "UTC"}, whole("2026-11-20", "09:00", "UTC")),
        (None, {"date": "2026-11-20", "time": "09:00"}, whole("2026-11-20", "09:00")),
        (None, None, None),
    ],
)
@pytest.mark.parametrize("member", ["due", "start"])
def test_update_task_merges_the_patch_of_a_date(ada: Client, member: str, before: Any, patch: Any, after: Any) -> None:
    task = create(ada, **{member: before})
    reply = ada.patch(path(task), {member: patch})
    assert (reply.status, reply.json()[member]) == (200, after)
    assert ada.get(path(task)).json() == reply.json()


@pytest.mark.parametrize(
    ("before", "patch", "at", "code"),
    [
        (None, {"time": "09:00"}, "/date", "required"),
        (None, {"time_zone": "UTC"}, "/date", "required"),
        (whole("2026-11-20"), {"time_zone": "UTC"}, "/time_zone", "zone_without_time"),
        (BERLIN, {"time": None, "time_zone": "UTC"}, "/time_zone", "zone_without_time"),
    ],
)
def test_update_task_with_a_patch_that_leaves_no_date_is_400(
    ada: Client, before: Any, patch: Any, at: str, code: str
) -> None:
    task = create(ada, due=before)
    (error,) = ada.patch(path(task), {"due": patch}).json()["errors"]
    assert (error["pointer"], error["code"]) == (f"/due{at}", code)
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize(
    ("start", "due", "is_after"),
    [
        (whole("2026-11-20"), whole("2026-11-20"), False),
        (whole("2026-11-21"), whole("2026-11-20"), True),
        (whole("2026-11-20", "23:00"), whole("2026-11-20"), False),
        (whole("2026-11-21", "00:00"), whole("2026-11-20"), True),
        (whole("2026-11-20", "09:00"), whole("2026-11-20", "09:00"), False),
        (whole("2026-11-20", "09:01"), whole("2026-11-20", "09:00"), True),
        (whole("2026-11-20", "09:00", "America/New_York"), whole("2026-11-20", "14:00", "UTC"), False),
        (whole("2026-11-20", "09:01", "America/New_York"), whole("2026-11-20", "14:00", "UTC"), True),
        (whole("2026-11-21", "01:00", "Asia/Tokyo"), whole("2026-11-20", "16:00", "UTC"), False),
        (whole("2026-11-21", "01:01", "Asia/Tokyo"), whole("2026-11-20", "16:00"), True),
    ],
)
def test_write_of_a_start_after_due_is_400(ada: Client, start: Any, due: Any, is_after: bool) -> None:
    task = create(ada, due=due)
    replies = [
        ada.post(TASKS, {"title": "x", "start": start, "due": due}),
        ada.request("PUT", path(task), json_body={"title": "x", "start": start}),
        ada.patch(path(task), {"start": start}),
        ada.patch(path(create(ada, start=start)), {"due": due}),
    ]
    assert {reply.status // 100 for reply in replies} == ({4} if is_after else {2})
    for reply in replies if is_after else []:
        (error,) = reply.json()["errors"]
        assert (error["pointer"], error["code"]) == ("/start", "after_due")


@pytest.mark.parametrize(
    ("due", "at"),
    [
        (whole("2026-10-25", "02:30", "Europe/Berlin"), "2026-10-25T00:30:00"),
        (whole("2026-11-01", "01:30", "America/New_York"), "2026-11-01T05:30:00"),
        (whole("2027-03-28", "02:30", "Europe/Berlin"), "2027-03-28T01:30:00"),
        (whole("2027-03-14", "02:30", "America/New_York"), "2027-03-14T07:30:00"),
        (whole("2027-09-05", "00:00", "America/Santiago"), "2027-09-05T04:00:00"),
        (whole("2026-10-04", "02:15", "Australia/Lord_Howe"), "2026-10-03T15:45:00"),
        (whole("2011-12-30", "12:00", "Pacific/Apia"), "2011-12-30T22:00:00"),
        (whole("2026-11-20", "12:00", "UTC"), "2026-11-20T12:00:00"),
    ],
)
def test_write_of_a_time_in_a_zone_is_at_the_instant_of_rfc_5545(
    ada: Client, instant: Callable[[dict[str, Any], str], str], due: Any, at: str
) -> None:
    ada.patch(ACCOUNT, {"time_zone": "Asia/Tokyo"})
    task = create(ada, due=due, start=due)
    assert (instant(task, "due_at"), instant(task, "start_at")) == (at, at)


@pytest.mark.parametrize(
    ("zone", "moment", "due_at", "start_at"),
    [
        ("Europe/Berlin", whole("2026-10-25"), "2026-10-25T23:00:00", "2026-10-24T22:00:00"),
        ("Europe/Berlin", whole("2027-03-28"), "2027-03-28T22:00:00", "2027-03-27T23:00:00"),
        ("America/Santiago", whole("2027-09-04"), "2027-09-05T04:00:00", "2027-09-04T04:00:00"),
        ("America/Santiago", whole("2027-09-05"), "2027-09-06T03:00:00", "2027-09-05T04:00:00"),
        ("America/Los_Angeles", whole("2026-11-19"), "2026-11-20T08:00:00", "2026-11-19T08:00:00"),
        ("Pacific/Auckland", whole("2026-11-19"), "2026-11-19T11:00:00", "2026-11-18T11:00:00"),
        ("America/Los_Angeles", whole("2026-11-19", "20:00"), "2026-11-20T04:00:00", "2026-11-20T04:00:00"),
        ("Pacific/Auckland", whole("2026-11-19", "20:00"), "2026-11-19T07:00:00", "2026-11-19T07:00:00"),
        ("Etc/UTC", whole("2199-12-31"), "2200-01-01T00:00:00", "2199-12-31T00:00:00"),
    ],
)  # fmt: skip
def test_dates_without_a_zone_are_where_the_user_is(
    ada: Client,
    instant: Callable[[dict[str, Any], str], str],
    zone: str,
    moment: Any,
    due_at: str,
    start_at: str,
) -> None:
    """Before and after the account moves there: what was written in another zone is computed anew."""
    early = create(ada, due=moment)
    early_start = ada.patch(path(create(ada)), {"start": moment}).json()
    assert ada.patch(ACCOUNT, {"time_zone": zone}).json()["time_zone"] == zone
    late, late_start = create(ada, due=moment), create(ada, start=moment)
    assert [instant(task, "due_at") for task in (early, late)] == [due_at] * 2
    assert [instant(task, "start_at") for task in (early_start, late_start)] == [start_at] * 2


def test_dates_in_a_zone_of_their_own_stay_at_their_instant_wherever_the_user_goes(
    ada: Client, instant: Callable[[dict[str, Any], str], str]
) -> None:
    task = create(ada, due=BERLIN, start=BERLIN)
    beside = create(ada, due=BERLIN | {"time_zone": None}, start=BERLIN | {"time_zone": None})
    assert ada.patch(ACCOUNT, {"time_zone": "America/Los_Angeles"}).status == 200
    assert [instant(task, column) for column in ("due_at", "start_at")] == ["2026-11-20T16:30:00"] * 2
    assert [instant(beside, column) for column in ("due_at", "start_at")] == ["2026-11-21T01:30:00"] * 2


def test_start_and_due_of_which_one_is_in_a_zone_are_compared_where_the_user_is(ada: Client) -> None:
    """09:00 in Berlin is midnight in Los Angeles."""
    start, due = BERLIN | {"time": "09:00"}, BERLIN | {"time": "00:30", "time_zone": None}
    assert ada.post(TASKS, {"title": "x", "start": start, "due": due}).status == 400
    assert ada.patch(ACCOUNT, {"time_zone": "America/Los_Angeles"}).status == 200
    assert ada.post(TASKS, {"title": "x", "start": start, "due": due}).status == 201
    early = due | {"time": "23:30", "date": "2026-11-19"}
    assert ada.post(TASKS, {"title": "x", "start": start, "due": early}).status == 400


def test_update_account_to_another_zone_changes_no_task_but_the_list(ada: Client) -> None:
    task = create(ada, due={"date": "2026-11-19"}, status="completed")
    tag = ada.get(TASKS).headers["etag"]
    account = ada.patch(ACCOUNT, {"time_zone": "America/Los_Angeles"}).json()
    assert ada.get(path(task)).json() == task
    reply = ada.get(TASKS, headers={"If-None-Match": tag})
    assert (reply.status, reply.json()["items"]) == (200, [task])
    assert ada.get(ACCOUNT).json() == account


def test_update_account_to_an_unknown_zone_is_400_and_changes_nothing(ada: Client) -> None:
    before = ada.patch(ACCOUNT, {"time_zone": "Europe/Berlin", "week_start": "sunday", "name": "Ada"}).json()
    assert (before["time_zone"], before["week_start"], before["name"]) == ("Europe/Berlin", "sunday", "Ada")
    for zone in ("Europe/Paradise", "localtime", "Factory", "posix/UTC", "right/UTC"):
        (error,) = ada.patch(ACCOUNT, {"time_zone": zone, "name": "Bob"}).json()["errors"]
        assert (error["pointer"], error["code"]) == ("/time_zone", "unknown_time_zone")
    assert ada.get(ACCOUNT).json() == before


def test_update_account_member_by_member_leaves_the_others(ada: Client) -> None:
    for member, value in (("name", "Ada"), ("time_zone", "Asia/Tokyo"), ("week_start", "saturday")):
        before = ada.get(ACCOUNT).json()
        after = ada.patch(ACCOUNT, {member: value}).json()
        assert after == before | {member: value, "version": before["version"] + 1, "updated_at": after["updated_at"]}
        assert after["updated_at"] > before["updated_at"]
    assert ada.patch(ACCOUNT, {"name": None}).json()["name"] is None
    assert ada.patch(ACCOUNT, {}).status == 400
    assert ada.patch(ACCOUNT, {"time_zone": None}).status == 400


def test_update_task_with_dates_at_an_old_version_is_412(ada: Client) -> None:
    task = create(ada, due=BERLIN)
    reply = ada.request("PATCH", path(task), json_body={"due": {"date": "2026-11-23"}}, headers={"If-Match": '"0"'})
    assert (reply.status, reply.json()["current"]) == (412, task)
    tag = {"If-Match": f'"{task["version"]}"'}
    assert ada.request("PATCH", path(task), json_body={"due": {"time": None}}, headers=tag).status == 200
    assert ada.request("PATCH", path(task), json_body={"due": None}, headers=tag).status == 412


def test_update_task_with_dates_and_a_status_that_is_not_allowed_is_409(ada: Client) -> None:
    task = create(ada, due=BERLIN, status="cancelled")
    reply = ada.patch(path(task), {"due": {"date": "2026-11-23"}, "status": "completed"})
    assert (reply.status, reply.code) == (409, "invalid_transition")
    assert ada.get(path(task)).json() == task


def test_update_task_that_is_not_there_with_dates_is_404_and_with_wrong_ones_400(ada: Client, bob: Client) -> None:
    for address in (path(create(bob, due=BERLIN)), f"{TASKS}/01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"):
        assert ada.patch(address, {"due": {"date": "2026-11-23"}}).status == 404
        for wrong in ({"time": None, "time_zone": "Europe/Berlin"}, {"time_zone": "Europe/Paradise"}):
            assert ada.patch(address, {"due": wrong}).status == 400


def test_write_of_dates_keeps_the_shown_text_and_the_columns_alike(ada: Client, direct: str) -> None:
    """Filters and recomputed instants read the columns, replies the text."""
    moments = [None, {"date": "2026-11-20"}, {"date": "2026-11-21", "time": "17:30"}, BERLIN]
    first = create(ada, start={"date": "2026-01-01"})
    for due in moments:
        made = create(ada, due=due, start={"date": "2026-01-02", "time": "08:00"})
        for change in ({"start": None}, {"due": {"date": "2026-11-22"}}, {"start": {"date": "2026-01-03"}}):
            assert ada.patch(path(made), change).status == 200
        assert ada.request("PUT", path(first), json_body={"title": "x", "due": due}).status == 200
    columns = ", ".join(f"{name}_{part}" for name in ("due", "start") for part in ("date", "time", "zone"))
    alike = f"coalesce(dates::jsonb, to_jsonb(array_fill(NULL::int, ARRAY[6]))) = jsonb_build_array({columns})"
    mine = f"user_id = '{first['user_id']}'"
    assert rows(direct, f"SELECT {alike}, count(*), count(dates) FROM tasks WHERE {mine} GROUP BY 1") == [(True, 5, 5)]


@pytest.mark.parametrize("kind", ["missing", "wrong"])
def test_zones_are_those_of_the_package_whatever_the_machine_has(tmp_path: Path, kind: str) -> None:
    """A folder of zones whose Berlin is Tokyo, and one that is empty."""
    if kind == "wrong":
        (tmp_path / "Europe").mkdir()
        shutil.copy(str(files("tzdata") / "zoneinfo" / "Asia" / "Tokyo"), tmp_path / "Europe" / "Berlin")
    program = (
        "from datetime import date\nfrom todo_api.local_time import is_zone, start_of_day\n"
        "print(start_of_day(date(2026, 10, 25), 'Europe/Berlin'), is_zone('Asia/Tokyo'))"
    )
    environment = {**os.environ, "PYTHONTZPATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "2026-10-24 22:00:00+00:00 True\n"
