"""Position keys: sorted by byte as the user ordered the things, and short however often one place is split."""

import random
import re
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from sqlalchemy import DateTime, select

from tests.support.on_loop import on_loop
from todo_api.database import Database, Statement, param
from todo_api.ordering import MAX_LENGTH, clock_key, evenly_spaced, key_after, key_before, key_between, keys_between

NOW = "m660b24ea2c800"
FORM = re.compile(r"m[0-9A-Za-z]{13}([0-9A-Za-z]*[1-9A-Za-z])?")
"""What the libraries named fractional-indexing accept: `m` has 13 digits, and a fraction does not end in 0."""


def of_second(second: int) -> str:
    return f"m{0x660B24EA2C800 + second * 1_000_000:013x}"


def placed(keys: list[str], place: int) -> str | None:
    """A key for what is put at this place among the keys."""
    if place == 0:
        return key_before(keys[0])
    return key_after(keys[-1]) if place == len(keys) else key_between(keys[place - 1], keys[place])


@pytest.mark.parametrize("seed", range(5))
def test_key_between_thousand_random_moves_equal_a_list(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # no secret: a failure can be repeated
    model = list(range(30))
    keys = {thing: of_second(thing) for thing in model}
    for _ in range(1000):
        thing = model.pop(chance.randrange(len(model)))
        place = chance.randint(0, len(model))
        key = placed([keys[other] for other in model], place)
        assert key is not None
        model.insert(place, thing)
        keys[thing] = key
        assert sorted(model, key=lambda each: keys[each].encode()) == model
    assert all(FORM.fullmatch(key) and len(key) <= 40 for key in keys.values())


@pytest.mark.parametrize("side", ["low", "high"])
def test_key_between_gap_of_a_microsecond_split_a_thousand_times_fits(side: str) -> None:
    low, high = NOW, "m660b24ea2c801"
    for _ in range(1000):
        key = key_between(low, high)
        assert key is not None
        assert low < key < high
        assert FORM.fullmatch(key)
        low, high = (low, key) if side == "low" else (key, high)
    assert len(key) <= 220


@pytest.mark.parametrize("side", ["low", "high"])
def test_key_between_gap_split_without_end_is_none_before_a_key_is_too_long(side: str) -> None:
    low, high, longest = NOW, "m660b24ea2c801", 0
    while (key := key_between(low, high)) is not None:
        longest = len(key)
        low, high = (low, key) if side == "low" else (key, high)
    assert longest == MAX_LENGTH == 250


def test_key_between_keys_of_seconds_has_no_fraction() -> None:
    key = key_between(of_second(0), of_second(1))
    assert key is not None
    assert len(key) == 14


@pytest.mark.parametrize(
    ("low", "high", "middle"), [("5", "61", "6"), ("5", "6", "5V"), ("5", "7", "6"), ("5z", "6", "5zV")]
)
def test_key_between_is_the_shortest_one(low: str, high: str, middle: str) -> None:
    zeros = f"m{'0' * 12}"
    assert key_between(zeros + low, zeros + high) == zeros + middle


@pytest.mark.parametrize(("low", "high"), [(NOW, NOW), ("m660b24ea2c801", NOW), (NOW + "V", NOW)])
def test_key_between_keys_not_in_order_is_none(low: str, high: str) -> None:
    assert key_between(low, high) is None


@pytest.mark.parametrize("key", [NOW, NOW + "V", "m660b24ea00001"])
def test_keys_before_and_after_leave_room_for_twenty_halvings(key: str) -> None:
    for below, high in ((key_before(key), key), (key, key_after(key))):
        assert below < high
        low = below
        for _ in range(20):
            middle = key_between(low, high)
            assert middle is not None
            assert len(middle) == 14
            low = middle


def test_evenly_spaced_keys_are_in_order_before_the_key_with_room() -> None:
    keys = [*evenly_spaced(1000, NOW), NOW]
    assert len(keys) == 1001
    assert keys == sorted(set(keys))
    assert {len(key) for key in keys} == {14}
    for low, high in pairwise(keys):
        middle = key_between(low, high)
        assert middle is not None
        assert len(middle) == 14


@pytest.mark.parametrize("count", [0, 1, 2, 999, 1000])
def test_keys_between_two_are_in_order_and_short(count: int) -> None:
    low, high = NOW, f"{NOW[:-1]}1"
    keys = keys_between(low, high, count)
    assert keys is not None
    assert len(keys) == count
    assert [low, *keys, high] == sorted({low, *keys, high})
    assert max(map(len, keys), default=14) <= 16


def test_keys_between_two_without_room_for_all_is_none() -> None:
    low, high = NOW, NOW + "0" * 235 + "4"
    assert [keys_between(low, high, count) is None for count in (0, 3, 4)] == [False, False, True]


@on_loop
def test_clock_key_is_the_microseconds_of_a_moment(database: Database) -> None:
    moments = {
        datetime(2026, 11, 20, 10, tzinfo=UTC): NOW,
        datetime(2026, 11, 20, 10, 0, 0, 1, tzinfo=UTC): "m660b24ea2c801",
        datetime(1970, 1, 1, tzinfo=UTC): "m0000000000000",
        datetime(2112, 9, 17, 23, 53, 47, 370495, tzinfo=UTC): "mfffffffffffff",
    }
    for moment, key in moments.items():
        statement = Statement(select(clock_key(param("at", DateTime(timezone=True)))))
        assert database.as_user("ada").fetch_one(statement, {"at": moment}) == (key,)
