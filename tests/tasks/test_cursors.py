"""Walks through lists by cursor, and what is no cursor of the list it is sent to."""

import base64
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import SECRET, token
from tests.support.rows import rows
from tests.support.tasks import create
from todo_api.lists import CursorSigner, DateFilter, TaskFilter

TASKS = "/api/v1/me/tasks"
STATUSES = ["pending", "in_progress", "completed", "cancelled"]
SORTS = ["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title", "priority", "-priority"]


@pytest.fixture(scope="module")
def walker(url: str, anonymous: Client) -> Client:
    """A user with forty tasks, ten of each status; four share each title and each time. Only to be read."""
    client = anonymous.signed_in(token("walker"))
    for number in range(40):
        create(client, f"Täsk {number % 10}", status=STATUSES[number % 4], description="even" if number % 2 else "odd")
    rows(
        url,
        "UPDATE tasks SET created_at = date_trunc('day', created_at) + ascii(right(title, 1)) * interval '1 microsecond',"
        " updated_at = date_trunc('day', created_at) - ascii(right(title, 1)) * interval '1 second'"
        " WHERE user_id = 'walker'",
    )
    return client


def walk(client: Client, query: str) -> list[Reply]:
    """Every page from the first to the last, by the Link header."""
    replies = [client.get(f"{TASKS}?{query}")]
    while "link" in replies[-1].headers:
        assert len(replies) < 100, "the walk does not end"
        replies.append(client.get(replies[-1].headers["link"].removeprefix("<").removesuffix('>; rel="next"')))
    return replies


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize(
    "filters", ["", "status=pending,completed", "completed=false", "q=odd+T%C3%84SK", "q=5&status=completed,pending"]
)
@pytest.mark.parametrize("limit", [1, 7, 40])
def test_list_tasks_by_cursor_gives_what_one_page_gives(walker: Client, sort: str, filters: str, limit: int) -> None:
    whole = walker.get(f"{TASKS}?{filters}&sort={sort}&limit=1000").json()
    pages = [reply.json() for reply in walk(walker, f"{filters}&sort={sort}&limit={limit}")]
    assert [task for page in pages for task in page["items"]] == whole["items"]
    assert {page["total"] for page in pages} == {whole["total"]}
    assert [len(page["items"]) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert pages[-1]["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "link"),
    [
        ("limit=2", {"sort": "-created_at", "limit": "2"}),
        ("sort=title&limit=3", {"sort": "title", "limit": "3"}),
        (
            "q=t%C3%A4sk+e&completed=false&status=pending,cancelled&limit=1",
            {"status": "pending,cancelled", "completed": "false", "q": "täsk e", "sort": "-created_at", "limit": "1"},
        ),
        ("limit=2&skip=4", {"sort": "-created_at", "limit": "2"}),
    ],
)
def test_list_tasks_with_more_to_come_links_to_next_cursor(walker: Client, query: str, link: dict[str, str]) -> None:
    reply = walker.get(f"{TASKS}?{query}")
    target = urlencode(link | {"cursor": reply.json()["next_cursor"]}, safe=",")
    assert reply.headers["link"] == f'<{TASKS}?{target}>; rel="next"'


def test_list_tasks_under_own_id_links_there(walker: Client) -> None:
    assert walker.get("/api/v1/walker/tasks?limit=1").headers["link"].startswith("</api/v1/walker/tasks?")


def test_list_tasks_with_skip_then_cursor_continues_after_the_page(walker: Client) -> None:
    whole = walker.get(f"{TASKS}?limit=1000").json()["items"]
    first = walker.get(f"{TASKS}?limit=5&skip=10").json()
    second = walker.get(f"{TASKS}?limit=5&cursor={first['next_cursor']}").json()
    assert first["items"] + second["items"] == whole[10:20]


def test_list_tasks_with_cursor_and_another_limit_continues(walker: Client) -> None:
    cursor = walker.get(f"{TASKS}?limit=5").json()["next_cursor"]
    assert len(walker.get(f"{TASKS}?limit=9&cursor={cursor}").json()["items"]) == 9


def test_list_tasks_with_statuses_named_in_another_order_continues(walker: Client) -> None:
    cursor = walker.get(f"{TASKS}?status=pending,completed&limit=5").json()["next_cursor"]
    assert walker.get(f"{TASKS}?status=completed,pending,pending&limit=5&cursor={cursor}").status == 200


def test_list_tasks_by_cursor_while_others_write_neither_skips_nor_repeats(ada: Client) -> None:
    kept = [create(ada, f"kept {number}")["id"] for number in range(9)]
    met = []
    query = "sort=created_at&limit=2"
    page = ada.get(f"{TASKS}?{query}").json()
    while True:
        met += [task["id"] for task in page["items"]]
        create(ada, "written meanwhile")
        gone = create(ada, "deleted meanwhile")["id"]
        ada.delete(f"{TASKS}/{met[0]}")
        ada.delete(f"{TASKS}/{gone}")
        if met[-1] == kept[-1] or page["next_cursor"] is None:
            break
        page = ada.get(f"{TASKS}?{query}&cursor={page['next_cursor']}").json()
    assert [task_id for task_id in met if task_id in kept] == kept
    assert len(met) == len(set(met))


def assert_invalid(reply: Reply) -> None:
    assert reply.status == 400
    assert reply.json() == {
        "type": "/problems/invalid_cursor",
        "title": "Invalid cursor",
        "status": 400,
        "detail": "The cursor is not valid for this list. Keep the user, the filters and the sort of the page that it came from.",
        "code": "invalid_cursor",
        "request_id": reply.headers["x-request-id"],
    }


@pytest.mark.parametrize("sort", ["-created_at", "title"])
def test_list_tasks_with_tampered_cursor_is_refused(walker: Client, sort: str) -> None:
    cursor = walker.get(f"{TASKS}?sort={sort}&limit=5").json()["next_cursor"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place, character in enumerate(cursor):
        other = alphabet[(alphabet.index(character) + 1) % 64]
        assert_invalid(walker.get(f"{TASKS}?sort={sort}&limit=5&cursor={cursor[:place]}{other}{cursor[place + 1 :]}"))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c[:-1],
        lambda c: c[1:],
        lambda c: c + "A",
        lambda c: c + "AAAA",
        lambda c: c + c,
        lambda c: c.swapcase(),
    ],
)
def test_list_tasks_with_cut_or_grown_cursor_is_refused(walker: Client, change: Callable[[str], str]) -> None:
    cursor = walker.get(f"{TASKS}?limit=5").json()["next_cursor"]
    assert_invalid(walker.get(f"{TASKS}?limit=5&cursor={change(cursor)}"))


@pytest.mark.parametrize("cursor", ["A", "AA", "AAAA", "null", "0", "-", "_" * 2048, "eyJpZCI6MX0", "undefined", "-1"])
def test_list_tasks_with_garbage_for_cursor_is_refused(walker: Client, cursor: str) -> None:
    assert_invalid(walker.get(f"{TASKS}?cursor={cursor}"))


def test_list_tasks_with_cursor_of_another_user_is_refused(walker: Client, ada: Client, url: str) -> None:
    """Also where both had the same epoch, which is left to chance."""
    ada_id = create(ada)["user_id"]
    rows(url, f"UPDATE users SET epoch = (SELECT epoch FROM users WHERE id = 'walker') WHERE id = '{ada_id}'")
    cursor = walker.get(f"{TASKS}?limit=5").json()["next_cursor"]
    assert_invalid(ada.get(f"{TASKS}?limit=5&cursor={cursor}"))


@pytest.mark.parametrize(
    "query",
    [
        "",
        *(f"sort={sort}" for sort in SORTS if sort != "title"),
        "sort=title&status=pending",
        "sort=title&completed=false",
        "sort=title&q=odd",
        "sort=title&completed=true&status=pending,completed",
        "sort=title&q=completed",
    ],
)
def test_list_tasks_with_cursor_of_another_list_is_refused(walker: Client, query: str) -> None:
    cursor = walker.get(f"{TASKS}?sort=title&completed=true&limit=5").json()["next_cursor"]
    assert_invalid(walker.get(f"{TASKS}?{query}&cursor={cursor}"))


def test_list_tasks_with_skip_and_cursor_is_refused(walker: Client) -> None:
    cursor = walker.get(f"{TASKS}?limit=5").json()["next_cursor"]
    reply = walker.get(f"{TASKS}?limit=5&skip=0&cursor={cursor}")
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert [(e["pointer"], e["code"]) for e in reply.json()["errors"]] == [("/skip", "conflicting")]


@pytest.fixture(scope="module")
def epoch(url: str, walker: Client) -> bytes:
    """That of the walker, as a cursor has it."""
    ((number,),) = rows(url, "SELECT epoch FROM users WHERE id = 'walker'")
    return int(number).to_bytes(8, "big")


def forged(content: bytes, **wanted: Any) -> str:
    """A cursor with the signature of the service and any content: as if somebody had the secret, or an older release wrote it."""
    key = hmac.digest(SECRET.encode(), b"task-api list cursor", "sha256")
    scope = f"('walker', {TaskFilter(**wanted).scope()})"
    tag = hmac.new(key, sha256(scope.encode()).digest() + content, "sha256").digest()[:16]
    return base64.urlsafe_b64encode(tag + content).rstrip(b"=").decode()


def test_list_tasks_with_forged_cursor_of_good_content_is_answered(walker: Client, epoch: bytes) -> None:
    cursor = forged(epoch + bytes(16) + (4_000_000_000_000_000).to_bytes(8, "big"))
    assert len(walker.get(f"{TASKS}?cursor={cursor}").json()["items"]) == 40


def test_list_tasks_with_cursor_of_an_older_release_goes_on(walker: Client, epoch: bytes) -> None:
    """The scope of 1.1, which knew no other filters: those that came later leave its cursors valid."""
    scope = "('walker', TaskFilter(statuses=('pending',), completed=None, words='odd', sort='title'))"
    content = epoch + bytes(16) + b"T"
    tag = hmac.digest(
        hmac.digest(SECRET.encode(), b"task-api list cursor", "sha256"),
        sha256(scope.encode()).digest() + content,
        "sha256",
    )
    cursor = base64.urlsafe_b64encode(tag[:16] + content).rstrip(b"=").decode()
    page = walker.get(f"{TASKS}?status=pending&q=odd&sort=title&cursor={cursor}")
    assert (page.status, page.json()["total"], len(page.json()["items"])) == (200, 10, 10)


def test_list_tasks_with_cursor_of_another_secret_is_refused(walker: Client, epoch: bytes) -> None:
    def signed(secret: bytes) -> Reply:
        scope = f"('walker', {TaskFilter().scope()})"
        cursor = CursorSigner(secret).sign(int.from_bytes(epoch), datetime(2026, 1, 1, tzinfo=UTC), UUID(int=7), scope)
        return walker.get(f"{TASKS}?cursor={cursor}")

    assert signed(SECRET.encode()).status == 200
    assert_invalid(signed(b"another secret of some other service"))


@pytest.mark.parametrize("microseconds", [2**63 - 1, -(2**63), 253402300800 * 10**6, -62135596801 * 10**6])
@pytest.mark.parametrize("sort", ["-created_at", "updated_at"])
def test_list_tasks_with_forged_cursor_out_of_range_is_refused(
    walker: Client, epoch: bytes, sort: str, microseconds: int
) -> None:
    cursor = forged(epoch + bytes(16) + microseconds.to_bytes(8, "big", signed=True), sort=sort)
    assert_invalid(walker.get(f"{TASKS}?sort={sort}&cursor={cursor}"))


@pytest.mark.parametrize("microseconds", [253402300799 * 10**6 + 999_999, -62135596800 * 10**6, 0])
def test_list_tasks_with_forged_cursor_at_the_ends_of_time_is_answered(
    walker: Client, epoch: bytes, microseconds: int
) -> None:
    cursor = forged(epoch + bytes(16) + microseconds.to_bytes(8, "big", signed=True))
    assert walker.get(f"{TASKS}?cursor={cursor}").status == 200


@pytest.mark.parametrize(
    ("sort", "content"),
    [
        *(("-created_at", bytes(length)) for length in (0, 8, 15, 16, 23, 25, 100)),
        ("title", b""),
        ("title", bytes(15)),
        ("title", bytes(16) + b"\xff\xfe"),
        ("title", bytes(16) + b"a\x00b"),
        ("priority", bytes(16)),
        ("-priority", bytes(18)),
    ],
)
def test_list_tasks_with_forged_cursor_of_bad_content_is_refused(
    walker: Client, epoch: bytes, sort: str, content: bytes
) -> None:
    for forgery in (forged(epoch + content, sort=sort), forged(content, sort=sort)):
        assert_invalid(walker.get(f"{TASKS}?sort={sort}&cursor={forgery}"))


@pytest.mark.parametrize(
    ("zone", "status"), [("Europe/Berlin", 200), ("Europe/Paradise", 400), ("", 400), ("../x", 400)]
)
def test_list_tasks_with_forged_cursor_of_a_zone_answers_if_there_is_such_a_zone(
    walker: Client, epoch: bytes, zone: str, status: int
) -> None:
    """As after an update that has left out a zone."""
    moment = (1_700_000_000_000_000).to_bytes(8, "big")
    content = epoch + bytes(16) + bytes([len(zone)]) + zone.encode() + moment + moment
    reply = walker.get(f"{TASKS}?due=overdue&cursor={forged(content, dates=DateFilter(due='overdue'))}")
    assert (reply.status, reply.code if status == 400 else "") == (status, "invalid_cursor" if status == 400 else "")
