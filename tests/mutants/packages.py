"""The list of packages.toml: modules to mutate, and the tests that must notice."""

import tomllib
from itertools import chain
from pathlib import Path
from typing import NamedTuple

LIST = Path(__file__).with_name("packages.toml")
ROOT = LIST.parents[2]


class Package(NamedTuple):
    """Modules, each with the files of its tests, cheapest first."""

    name: str
    tests: dict[str, list[str]]


def packages() -> list[Package]:
    """Return all packages. Raise FileNotFoundError for a path that is not there."""
    found = [Package(name, tests) for name, tests in tomllib.loads(LIST.read_text(encoding="utf-8")).items()]
    for path in chain.from_iterable((module, *tests) for package in found for module, tests in package.tests.items()):
        if not (ROOT / path).is_file():
            raise FileNotFoundError(f"packages.toml names {path}, which is not there")
    return found
