"""docs/configuration.md and `.env.example` have every setting, and the numbers that the code has."""

import re
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import pytest

from tests.support.pages import read, rows
from todo_api.config import Config, ConfigurationError, load_config

PAGE = read("docs/configuration.md")
TABLES = rows(PAGE)
DEFAULTS = {field.name.upper(): field.default for field in fields(Config)}
VALUES = {cells[0].strip("`"): cells[2] for cells in TABLES}
RANGES = {
    name: (int(found[1]), int(found[2]))
    for name, values in VALUES.items()
    if (found := re.fullmatch(r"(\d+) to (\d+)", values))
}
EXAMPLES = re.findall(r"^# (\S.*)\n#([A-Z_]+)=(.*)$", read(".env.example"), re.MULTILINE)
ISSUER = {"JWT_ISSUER": "https://auth.example.com", "JWT_DISCOVERY": "true", "JWT_AUDIENCE": "tasks"}
OF_AN_ISSUER = {name for name in VALUES if name.startswith("JWT_KEYS_")} | {"JWT_MAX_LIFETIME"}


def taken(name: str, text: str) -> Any:
    """Return what the configuration makes of one setting."""
    others = ISSUER if name in OF_AN_ISSUER else {}
    return getattr(load_config(others | {name: text}), name.lower())


def test_tables_have_every_setting_with_its_default() -> None:
    def written(default: object) -> str:
        return "none" if default in (None, "", ()) else f"`{default}`"

    assert [(cells[0], cells[1]) for cells in TABLES] == [
        (f"`{name}`", written(default)) for name, default in DEFAULTS.items()
    ]


def test_tables_have_the_range_of_every_setting_that_is_a_number() -> None:
    hints = get_type_hints(Config)
    numbers = {name.upper() for name, hint in hints.items() if {int, float} & {hint, *get_args(hint)}}
    assert {*RANGES} == numbers | {"RATE_LIMIT"}


@pytest.mark.parametrize("name", RANGES)
def test_setting_takes_the_ends_of_its_range_and_nothing_beyond(name: str) -> None:
    lowest, highest = RANGES[name]
    unit = "/hour" if name == "RATE_LIMIT" else ""
    for number in (lowest, highest):
        assert str(taken(name, f"{number}{unit}")) == f"{number}{unit}"
    for number in (lowest - 1, highest + 1):
        with pytest.raises(ConfigurationError, match=name):
            taken(name, f"{number}{unit}")


@pytest.mark.parametrize("name", ["JWT_SECRET", "CURSOR_SECRET"])
def test_secret_has_as_many_bytes_as_the_page_says(name: str) -> None:
    found = re.fullmatch(r"(\d+) bytes or more", VALUES[name])
    assert found is not None
    secret = "0123456789abcdef" * 4
    assert taken(name, secret[: int(found[1])])
    with pytest.raises(ConfigurationError, match=name):
        taken(name, secret[: int(found[1]) - 1])


def test_prefix_of_roles_has_as_many_characters_as_the_page_says() -> None:
    found = re.fullmatch(r"(\d+) to (\d+) characters", VALUES["DATABASE_ROLE_PREFIX"])
    assert found is not None
    for length in map(int, found.groups()):
        assert taken("DATABASE_ROLE_PREFIX", "a" * length)
    with pytest.raises(ConfigurationError, match="DATABASE_ROLE_PREFIX"):
        taken("DATABASE_ROLE_PREFIX", "a" * (int(found[2]) + 1))


@pytest.mark.parametrize("name", ["LOG_LEVEL", "LOG_FORMAT", "JWT_DISCOVERY"])
def test_setting_takes_each_word_that_the_page_names_and_no_other(name: str) -> None:
    others = {key: text for key, text in ISSUER.items() if key != "JWT_DISCOVERY"}
    others = others | {"JWT_JWKS_URL": "https://auth.example.com/keys"} if name == "JWT_DISCOVERY" else {}
    for word in re.findall(r"`(\w+)`", VALUES[name]):
        keys = {key: text for key, text in others.items() if (key, word) != ("JWT_JWKS_URL", "true")}
        assert str(getattr(load_config(keys | {name: word}), name.lower())).lower() == word.lower()
    with pytest.raises(ConfigurationError, match=name):
        load_config(others | {name: "loud"})


@pytest.mark.parametrize("unit", ["second", "minute", "hour", "day"])
def test_rate_limit_takes_the_units_of_the_page(unit: str) -> None:
    (meaning,) = [cells[3] for cells in TABLES if cells[0] == "`RATE_LIMIT`"]
    assert f"`{unit}`" in meaning
    assert taken("RATE_LIMIT", f"1/{unit}") == f"1/{unit}"


@pytest.mark.parametrize(("workers", "slots"), [(1, 12), (7, 12), (8, 11), (24, 3), (96, 1)])
def test_threads_without_a_number_stay_within_the_connections_that_the_page_names(workers: int, slots: int) -> None:
    (meaning,) = [cells[3] for cells in TABLES if cells[0] == "`THREADS`"]
    found = re.search(r"none: (\d+), or fewer if all workers together would need more than (\d+) connections", meaning)
    assert found is not None
    most, connections = map(int, found.groups())
    assert load_config({"WEB_CONCURRENCY": str(workers)}).max_concurrency == slots
    assert slots == min(most, max(1, connections // workers - 1))


def test_session_lifetime_is_the_days_that_the_page_says() -> None:
    assert f"the default is {Config().session_lifetime // 86400} days" in PAGE


def test_env_example_has_every_setting_with_one_line_about_it() -> None:
    assert [name for _, name, _ in EXAMPLES] == [*DEFAULTS]


@pytest.mark.parametrize("name", sorted({*RANGES} - OF_AN_ISSUER))
def test_env_example_shows_the_default_of_a_number(name: str) -> None:
    (shown,) = [value for _, example, value in EXAMPLES if example == name]
    default = DEFAULTS[name]
    assert shown == str(default) or default is None
