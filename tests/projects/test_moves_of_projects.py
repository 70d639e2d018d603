"""The order of projects: as a list of them would be moved about."""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from threading import Barrier
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.rows import rows
from tests.support.users import User
from todo_api.ordering import Destination
from todo_api.projects.placing import Placed, moved

PROJECTS = "/api/v1/me/projects"
NOWHERE = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
ROUNDS = 100


def create(client: Client, *names: str) -> dict[str, str]:
    """The ids of new projects, by name."""
    return {name: client.post(PROJECTS, {"name": name}).json()["id"] for name in names}


def names(client: Client) -> str:
    return "".join(project["name"] for project in client.get(PROJECTS).json()["items"])


def move(client: Client, id_: str, **place: Any) -> Any:
    return client.post(f"{PROJECTS}/{id_}/move", place)


@pytest.mark.parametrize(
    ("name", "place", "value", "after"),
    [
        ("a", "at", "last", "bcda"),
        ("d", "at", "first", "dabc"),
        ("a", "after", "b", "bacd"),
        ("a", "before", "d", "bcad"),
        ("d", "before", "b", "adbc"),
        ("d", "after", "a", "adbc"),
        ("c", "before", "a", "cabd"),
        ("b", "after", "d", "acdb"),
    ],
)
def test_move_project_puts_it_there_and_leaves_the_others(
    ada: Client, name: str, place: str, value: str, after: str
) -> None:
    ids = create(ada, *"abcd")
    others = [project for project in ada.get(PROJECTS).json()["items"] if project["name"] != name]
    before = ada.get(f"{PROJECTS}/{ids[name]}").json()
    reply = move(ada, ids[name], **{place: ids.get(value, value).upper() if place != "at" else value})
    assert (reply.status, names(ada)) == (200, after)
    assert reply.json() == ada.get(f"{PROJECTS}/{ids[name]}").json()
    assert reply.json() == before | {name: reply.json()[name] for name in ("version", "position", "updated_at")}
    assert reply.json()["updated_at"] > before["updated_at"]
    assert reply.json()["version"] == max(project["version"] for project in [*others, before]) + 1
    assert [project for project in ada.get(PROJECTS).json()["items"] if project["name"] != name] == others


@pytest.mark.parametrize(("name", "place"), [("a", "first"), ("c", "last"), ("b", "after-a"), ("b", "before-c")])
def test_move_project_to_where_it_is_writes_nothing(ada: Client, name: str, place: str) -> None:
    ids = create(ada, *"abc")
    before = ada.get(PROJECTS)
    how, _, other = place.partition("-")
    reply = move(ada, ids[name], **({how: ids[other]} if other else {"at": place}))
    assert (reply.status, reply.json()) == (200, ada.get(f"{PROJECTS}/{ids[name]}").json())
    assert (ada.get(PROJECTS).body, ada.get(PROJECTS).headers["etag"]) == (before.body, before.headers["etag"])


def test_move_project_next_to_what_is_no_other_project_of_the_user_is_refused(ada: Client, bob: Client) -> None:
    ids, theirs = create(ada, *"ab"), create(bob, "c")
    for place in ("before", "after"):
        told = [move(ada, ids["a"], **{place: id_}) for id_ in (theirs["c"], NOWHERE, ids["a"])]
        assert {(reply.status, reply.json()["errors"][0]["code"]) for reply in told} == {(400, "not_a_sibling")}
        assert {reply.json()["errors"][0]["pointer"] for reply in told} == {f"/{place}"}
    assert (names(ada), names(bob)) == ("ab", "c")


@pytest.mark.parametrize("places", [*combinations(("before", "after", "at"), 2), ("before", "after", "at")], ids=str)
def test_move_project_to_several_places_is_refused(ada: Client, places: tuple[str, ...]) -> None:
    ids = create(ada, *"ab")
    reply = move(ada, ids["a"], **{place: "last" if place == "at" else ids["b"] for place in places})
    (violation,) = reply.json()["errors"]
    assert (reply.status, violation["pointer"], violation["code"]) == (400, "", "too_many")
    assert violation["detail"] == "Must have at most 1 of: before, after, at."
    assert names(ada) == "ab"


def test_move_project_with_a_place_and_an_unknown_member_is_told_of_the_member(ada: Client) -> None:
    ids = create(ada, *"ab")
    reply = move(ada, ids["a"], at="last", where="there")
    assert [(error["pointer"], error["code"]) for error in reply.json()["errors"]] == [("/where", "unknown")]


@pytest.mark.parametrize("how", ["before", "after"])
def test_move_project_next_to_an_id_in_capitals_goes_there(ada: Client, how: str) -> None:
    ids = create(ada, *"abc")
    assert move(ada, ids["b"], **{how: ids["a" if how == "before" else "c"].upper()}).status == 200
    assert names(ada) == ("bac" if how == "before" else "acb")


def test_move_project_at_an_old_version_fails_with_the_current_one(ada: Client) -> None:
    ids = create(ada, *"ab")
    reply = ada.post(f"{PROJECTS}/{ids['a']}/move", {"at": "last"}, headers={"If-Match": '"0"'})
    assert (reply.status, reply.json()["current"]["name"], names(ada)) == (412, "a", "ab")
    tag = reply.headers["etag"]
    assert ada.post(f"{PROJECTS}/{ids['a']}/move", {"at": "last"}, headers={"If-Match": tag}).status == 200


@pytest.mark.parametrize("tag", ['"x"', 'W/"1"', '""'])
def test_write_of_a_project_with_a_tag_that_is_no_version_fails_the_precondition(ada: Client, tag: str) -> None:
    ids = create(ada, *"ab")
    address, headers = f"{PROJECTS}/{ids['a']}", {"If-Match": tag}
    assert ada.post(f"{address}/move", {"at": "last"}, headers=headers).status == 412
    assert ada.patch(address, {"name": "c"}, headers=headers).status == 412
    assert ada.delete(address, headers=headers).status == 412
    assert names(ada) == "ab"


def test_move_project_to_the_end_after_the_clock_was_put_back_stands_last(user: User, direct: str) -> None:
    ids = create(user.client, *"abc")
    at_end = f"user_id = '{user.id}' AND id = '{ids['b']}'"
    rows(direct, f"UPDATE projects SET position = 'mz{'0' * 12}' WHERE {at_end}")
    assert move(user.client, ids["a"], at="last").status == 200
    assert names(user.client) == "cba"


def test_position_at_the_end_at_the_moment_of_the_last_project_is_after_it() -> None:
    placed = [Placed("m0000000000001", "a"), Placed("m0000000000009", "b")]
    ((position, id_),) = moved(placed, "a", Destination(at="last"), "m0000000000009")
    assert (position > "m0000000000009", id_) == (True, "a")


def test_move_project_twice_with_one_idempotency_key_moves_it_once(ada: Client) -> None:
    ids, key = create(ada, *"ab"), {"Idempotency-Key": "move"}
    first = ada.post(f"{PROJECTS}/{ids['a']}/move", {"at": "last"}, headers=key)
    assert move(ada, ids["b"], at="last").status == 200
    again = ada.post(f"{PROJECTS}/{ids['a']}/move", {"at": "last"}, headers=key)
    assert (again.json(), names(ada)) == (first.json(), "ab")


def test_move_project_where_there_is_no_room_gives_all_new_positions_under_one_number(user: User, direct: str) -> None:
    ada, ids = user.client, create(user.client, *"abc")
    low, high = "m" + "5" * 13, "m" + "5" * 13 + "0" * 235 + "1"
    for name, position in (("a", low), ("b", high)):
        rows(direct, f"UPDATE projects SET position = '{position}' WHERE user_id = '{user.id}' AND id = '{ids[name]}'")
    assert move(ada, ids["c"], before=ids["b"]).status == 200
    found = ada.get(PROJECTS).json()["items"]
    assert "".join(project["name"] for project in found) == "acb"
    assert len({project["version"] for project in found}) == 1
    assert max(len(project["position"]) for project in found) == 14
    create(ada, "d")
    assert names(ada) == "acbd"


def test_move_project_many_times_is_as_in_a_list(ada: Client) -> None:
    chance = random.Random(7)  # noqa: S311  # no secret
    ids = create(ada, *"abcdefgh")
    model = [*"abcdefgh"]
    for _ in range(150):
        name, other = chance.sample(model, 2)
        place = chance.choice(("before", "after", "first", "last"))
        model.remove(name)
        index = {"first": 0, "last": len(model)}.get(place, model.index(other) + (place == "after"))
        model.insert(index, name)
        reply = move(ada, ids[name], **({place: ids[other]} if place in ("before", "after") else {"at": place}))
        assert reply.status == 200
    assert names(ada) == "".join(model)


def test_move_project_of_two_into_one_gap_at_once_puts_both_there(ada: Client) -> None:
    ids = create(ada, *"abcd")
    with ThreadPoolExecutor(2) as pool:
        for number in range(ROUNDS):
            gate = Barrier(2)

            def into(name: str, place: dict[str, str], gate: Barrier = gate) -> int:
                gate.wait()
                return int(move(ada, ids[name], **place).status)

            place = {"after": ids["a"]} if number % 2 else {"before": ids["a"]}
            done = [pool.submit(into, name, place) for name in "cd"]
            assert [each.result() for each in done] == [200, 200]
            found = ada.get(PROJECTS).json()["items"]
            order = "".join(project["name"] for project in found)
            assert order in (("acdb", "adcb") if number % 2 else ("cdab", "dcab"))
            assert len({project["position"] for project in found}) == 4
