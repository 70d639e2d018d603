"""Loads the settings from flags, the environment, `.env` and defaults, in this order."""

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple, get_args

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from todo_api.config import settings
from todo_api.config.config import Config
from todo_api.config.errors import ConfigurationError, refuse

ENV_FILE = Path(".env")


def _settings_of(*kinds: Any) -> set[str]:
    """Return the settings whose values are of one of these types."""
    return {each.name.upper() for each in fields(Config) if {each.type, *get_args(each.type)} & {*kinds}}


NUMBERS = _settings_of(int, float)
PATHS = _settings_of(Path)
SWITCHES = _settings_of(bool)
_LISTS = _settings_of(tuple[str, ...])


class GivenSetting(NamedTuple):
    """A setting that has a value. `source` is `flag`, `environment`, or the file."""

    name: str
    text: str
    source: str


def load_config(environment: Mapping[str, str] | None = None, dotenv: Path = ENV_FILE, **flags: str | None) -> Config:
    """Return the configuration. Flags come first, then environment, `.env` and defaults.

    An empty value counts as unset. Raise ConfigurationError.
    """
    texts = list(given(environment, dotenv, flags))
    for name, text, _ in texts:
        refuse(name, settings.text_flaw(text))
    values: dict[str, Any] = {name.lower(): _convert(name, text) for name, text, _ in texts}
    config = Config(**values)
    for name, text, _ in texts:
        refuse(name, settings.control_flaw(text))
    return config


def given(
    environment: Mapping[str, str] | None, dotenv: Path, flags: Mapping[str, str | None]
) -> Iterator[GivenSetting]:
    """Return the settings that have a value, each from the first source that has it.

    Raise ConfigurationError if the file cannot be read.
    """
    sources: dict[str, Mapping[str, str | None]] = {
        "flag": {name.upper(): value for name, value in flags.items()},
        "environment": os.environ if environment is None else environment,
        str(dotenv): _read(dotenv),
    }
    for field in fields(Config):
        name = field.name.upper()
        found = ((text, source) for source, texts in sources.items() if (text := texts.get(name)))
        for text, source in itertools.islice(found, 1):
            yield GivenSetting(name, text, source)


def unknown_settings(dotenv: Path = ENV_FILE) -> list[str]:
    """Return a line for each unknown name in `.env`. Others share the environment."""
    known = [field.name.upper() for field in fields(Config)]
    return [f"{dotenv}: {line}" for line in settings.unknown(_read(dotenv), known)]


def wants_color() -> bool:
    """Return whether a terminal may be sent colors (no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def has_inherited_socket() -> bool:
    """Return whether to serve on a socket of systemd (sd_listen_fds(3)) or of SIGUSR2."""
    return os.environ.get("LISTEN_PID") == str(os.getpid()) or "GUNICORN_FD" in os.environ


def _read(dotenv: Path) -> Mapping[str, str | None]:
    try:
        # Windows writes a byte order mark.
        text = dotenv.read_text("utf-8-sig") if dotenv.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{dotenv} cannot be read as text in UTF-8: mend or remove it.") from error
    for found in parse_stream(StringIO(text)):
        if found.error or (found.key and found.value is None):
            blank = found.original.string.partition(found.original.string.strip())[0]
            number = found.original.line + blank.count("\n")
            raise ConfigurationError(f"{dotenv}, line {number}, is no NAME=value: mend or remove it.")
    return dotenv_values(stream=StringIO(text))


def _convert(name: str, text: str) -> Any:
    if name in NUMBERS:
        if not re.fullmatch("[0-9]{1,18}", text):  # no setting has more digits, and int() refuses very many
            raise ConfigurationError(f"{name} must be a whole number.")
        return int(text)
    if name in _LISTS:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if name in PATHS:
        return Path(text)
    if name in SWITCHES:
        if text.lower() not in ("true", "false"):
            raise ConfigurationError(f"{name} must be true or false.")
        return text.lower() == "true"
    return text.upper() if name == "LOG_LEVEL" else text
