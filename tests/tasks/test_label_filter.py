"""The filter `label` of lists: all of the labels, in any case, with every sort and beside other filters."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.support.client import Client
from tests.support.credentials import token
from tests.support.tasks import create
from todo_api.lists import SORTS

TASKS = "/api/v1/me/tasks"
KINDS: tuple[tuple[str, ...], ...] = (("home", "Errand"), ("HOME",), ("errand", "Größe"), (), ("home ",))


@pytest.fixture(scope="module")
def labelled(anonymous: Client) -> list[dict[str, Any]]:
    """The tasks of a user, of each kind of labels one pending and one completed. Only to be read."""
    client = anonymous.signed_in(token("labelled"))
    return [
        create(client, f"{number}", labels=list(labels), status=status, priority=("low", "high")[number % 2])
        for number, labels in enumerate(KINDS)
        for status in ("pending", "completed")
    ]


@pytest.fixture(scope="module")
def reader(anonymous: Client, labelled: list[dict[str, Any]]) -> Client:
    return anonymous.signed_in(token("labelled"))


def walked(client: Client, query: str, limit: int) -> list[str]:
    """Return the titles of a list, read in pages by `Link`; each page tells the number of all."""
    titles, totals, address = [], [], f"{TASKS}?{query}&limit={limit}"
    while address:
        reply = client.get(address)
        titles += [task["title"] for task in reply.json()["items"]]
        totals.append(reply.json()["total"])
        address = reply.headers.get("link", "").partition(">")[0].lstrip("<")
    assert totals == [len(titles)] * len(totals)
    return titles


@pytest.mark.parametrize(
    ("sent", "titles"),
    [
        ("home", "01"),
        ("HOME", "01"),
        ("errand", "02"),
        ("home,errand", "0"),
        ("Errand,Home,HOME", "0"),
        ("gr%C3%B6sse", "2"),
        ("GRO%CC%88SSE,errand", "2"),
        ("home%20", "4"),
        ("home+", "4"),
        ("nothing", ""),
        ("home,nothing", ""),
        ("hom", ""),
        ("hom%25", ""),
    ],
)
def test_list_tasks_with_labels_has_and_counts_those_with_all_of_them(reader: Client, sent: str, titles: str) -> None:
    assert sorted(walked(reader, f"label={sent}&status=pending", 1)) == list(titles)
    repeated = "&".join(f"label={name}" for name in sent.split(","))
    assert sorted(walked(reader, repeated, 1000)) == sorted(titles * 2)


@pytest.mark.parametrize("sort", SORTS)
def test_list_tasks_with_a_label_is_walked_in_every_order(reader: Client, sort: str) -> None:
    whole = walked(reader, f"sort={sort}", 1000)
    expected = [title for title in whole if title in "01"]
    for limit in (1, 3, 1000):
        assert walked(reader, f"label=home&sort={sort}", limit) == expected


def test_list_tasks_with_a_label_beside_other_filters_has_what_meets_all(reader: Client) -> None:
    assert walked(reader, "label=home&completed=false&priority=high", 5) == ["1"]
    assert walked(reader, "label=errand&q=2&project_id=none&due=none", 5) == ["2", "2"]
    assert walked(reader, "label=home&due=any", 5) == []
    assert walked(reader, "label=errand&startable=true&status=pending&sort=title", 1) == ["0", "2"]


def test_list_tasks_with_the_cursor_of_other_labels_is_refused_but_for_their_case(reader: Client) -> None:
    cursor = reader.get(f"{TASKS}?label=home&limit=1").json()["next_cursor"]
    for query in ("label=errand&", "label=home,errand&", ""):
        assert reader.get(f"{TASKS}?{query}limit=1&cursor={cursor}").code == "invalid_cursor"
    assert reader.get(f"{TASKS}?label=HOME&limit=1&cursor={cursor}").status == 200
    plain = reader.get(f"{TASKS}?limit=1").json()["next_cursor"]
    assert reader.get(f"{TASKS}?label=home&limit=1&cursor={plain}").code == "invalid_cursor"


@pytest.mark.parametrize(
    "sent",
    ["", "home,", ",home", ".", "home,..", "%00", "a%0Ab", "x" * 61, "%E2%80%8B", ",".join("abcdefghijklmnopqrstu")],
)
def test_list_tasks_of_what_is_no_label_is_refused(reader: Client, sent: str) -> None:
    reply = reader.get(f"{TASKS}?label={sent}")
    assert reply.status == 400
    assert reply.json()["errors"][0]["pointer"].startswith("/label")


def test_list_tasks_with_a_label_of_another_user_is_empty(ada: Client, bob: Client) -> None:
    create(ada)
    create(bob, labels=["home"])
    page = ada.get(f"{TASKS}?label=home").json()
    assert (page["items"], page["total"], page["next_cursor"]) == ([], 0, None)


def test_list_tasks_whose_next_address_would_be_too_long_has_a_cursor_alone(ada: Client) -> None:
    names = [chr(0x1F600 + number) * 58 for number in range(10)]
    for _ in range(2):
        create(ada, "\U0001f600" * 255, labels=names)
    reply = ada.get(f"{TASKS}?sort=title&limit=1&label={','.join(map(quote, names))}")
    assert ("link" in reply.headers, reply.json()["next_cursor"] is None) == (False, False)
    shorter = ada.get(f"{TASKS}?sort=title&limit=1&label={','.join(map(quote, names[:5]))}")
    assert "link" in shorter.headers
