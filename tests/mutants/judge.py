"""Mutants of one package: which there are, and whether its tests notice them."""

import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from cosmic_ray.commands import init
from cosmic_ray.modules import filter_paths, find_modules
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import TestOutcome, WorkItem

from tests.conftest import SERVER_URL, make_template
from todo_api.embedded import EmbeddedServer

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

SENSELESS = re.compile(
    r"core/(NumberReplacer.*|ReplaceBinaryOperator_(?!Add_Sub|Sub_Add|Mul_Div).*|.*_(Is|IsNot|In|NotIn|Pow)|.*NoOp)"
)
"""Operators left out: most of what they make is no program, or the same one. `is` between SQL expressions raises at import."""

KEPT_NUMBERS = 3
"""Each of so many number changes is kept: there are more of them than of all the rest."""


class Package(NamedTuple):
    name: str
    modules: list[str]
    tests: list[str]


class Outcome(NamedTuple):
    package: str
    killed: int
    survivors: list[str]
    left: int


def packages() -> list[Package]:
    """Return what packages.toml lists."""
    listed = tomllib.loads((HERE / "packages.toml").read_text(encoding="utf-8"))
    return [Package(name, **entry) for name, entry in listed.items()]


def copy_to(folder: Path) -> None:
    """Copy the files that git tracks, as they are now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def sampled(modules: list[str], seed: int) -> list[WorkItem]:
    """Return the mutations of these modules in random order. The current folder is the copy."""
    paths = filter_paths(find_modules([Path(module) for module in modules]), ())
    with use_db(":memory:") as database:
        init(paths, database, {})
        items = sorted(database.pending_work_items, key=lambda item: str(item.mutations))
    chance = random.Random(seed)  # noqa: S311  # a sample, no secret
    chance.shuffle(items)
    return [item for number, item in enumerate(items) if _is_kept(item, number)]


def _is_kept(item: WorkItem, number: int) -> bool:
    name = item.mutations[0].operator_name
    if name == "core/NumberReplacer":
        return number % KEPT_NUMBERS == 0
    return not SENSELESS.fullmatch(name)


def judge(package: Package, *, minutes: float, most: int, seed: int) -> Outcome:
    """Test mutants of one package, on a PostgreSQL of its own, until the time is over."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "copy"
        copy_to(copy)
        os.chdir(copy)
        server = EmbeddedServer.start(Path(folder) / "postgresql")
        try:
            make_template(server.url)
            os.environ[SERVER_URL] = server.url
            return _judge(package, sampled(package.modules, seed)[:most], 60 * minutes)
        finally:
            server.stop()
            os.chdir(ROOT)


def _judge(package: Package, items: list[WorkItem], seconds: float) -> Outcome:
    pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *package.tests]
    began = monotonic()
    whole = subprocess.run(pytest, capture_output=True, text=True, check=False)
    if whole.returncode:
        raise SystemExit(f"The tests of {package.name} fail without a mutation:\n{whole.stdout[-5000:]}")
    limit = 2 * (monotonic() - began) + 30
    killed, survivors = 0, []
    for done, item in enumerate(items):
        if monotonic() - began > seconds:
            return Outcome(package.name, killed, survivors, len(items) - done)
        result = mutate_and_test(item.mutations, shlex.join(pytest), limit)
        if result.test_outcome == TestOutcome.KILLED:
            killed += 1
        else:
            survivors.append(f"{item.mutations[0].operator_name}\n{result.diff or result.output}")
    return Outcome(package.name, killed, survivors, 0)
