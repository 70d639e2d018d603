"""Mutants of one package: which there are, and whether its tests notice them."""

import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from cosmic_ray.commands import init
from cosmic_ray.modules import filter_paths, find_modules
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import OPERATOR_PROVIDERS, get_operator
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec

from tests.mutants import operators
from tests.mutants.packages import ROOT, Package
from tests.support.databases import SERVER_URL, make_template
from tests.support.rows import rows
from todo_api.embedded import EmbeddedServer

OPERATOR_PROVIDERS["ours"] = operators.Provider()

USED = re.compile(
    r"""core/(
        ReplaceComparisonOperator_(Eq_(LtE|GtE)|NotEq_(Lt|Gt)|Lt_(LtE|NotEq)|LtE_(Lt|Eq)|Gt_(GtE|NotEq)|GtE_(Gt|Eq))
        | ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div)
        | ReplaceUnaryOperator_(Delete_Not|Delete_USub)
        | ReplaceTrueWithFalse | ReplaceFalseWithTrue | ReplaceAndWithOr | ReplaceOrWithAnd
        | ReplaceBreakWithContinue | ReplaceContinueWithBreak
        | AddNot | ExceptionReplacer | NumberReplacer | RemoveDecorator | ZeroIterationForLoop
    ) | ours/.*""",
    re.VERBOSE,
)
"""The operators. Of comparisons those that a test that catches them all need not repeat (Kaminski, Ammann and Offutt, 2013)."""

KEPT_NUMBERS = 3
"""Each of so many number changes is kept: there are more of them than of all the rest."""

OPTIONS = ("-q", "-x", "-n", "0", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")

PATIENCE = 120
"""Maximum seconds of a test at first."""

ALL_PASSED, SOME_FAILED = 0, 1
"""The exit codes of pytest. Any other means that the program did not even start."""


class Run(NamedTuple):
    """The exit code of pytest, or None if a test never ended; and the test that failed or never ended."""

    code: int | None
    test: str | None


@dataclass
class Outcome:
    """The outcome of a package's mutants."""

    package: str
    killed: int = 0
    timed_out: list[str] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)
    no_program: int = 0
    left: int = 0
    red: list[str] = field(default_factory=list)

    def add(self, run: Run, mutant: str) -> None:
        """Count a mutant, and print what became of it."""
        match run.code:
            case 0:
                said = "survived"
                self.survivors.append(mutant)
            case 1:
                said = "killed"
                self.killed += 1
            case None:
                said = "never ended"
                self.timed_out.append(mutant)
            case _:
                said = "did not start"
                self.no_program += 1
        print(f"[{self.package}] {said}: {mutant}\n  {run.test or ''}\n", flush=True)

    @property
    def caught(self) -> int:
        return self.killed + len(self.timed_out)

    @property
    def tested(self) -> int:
        return self.caught + len(self.survivors)


def copy_to(folder: Path) -> None:
    """Copy the files that git tracks, as they are now, and put what ships inside the package there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in ("migrations", "openapi"):
        (folder / "todo_api" / name).symlink_to(folder / name)


def sampled(modules: list[str], seed: int) -> list[MutationSpec]:
    """Return the mutations of these modules in random order. The current folder is the copy."""
    paths = filter_paths(find_modules([Path(module) for module in modules]), ())
    with use_db(":memory:") as database:
        init(paths, database, {})
        mutations = sorted((item.mutations[0] for item in database.pending_work_items), key=str)
    chance = random.Random(seed)  # noqa: S311  # a sample, no secret
    chance.shuffle(mutations)
    return [mutation for number, mutation in enumerate(mutations) if _is_kept(mutation.operator_name, number)]


def _is_kept(operator: str, number: int) -> bool:
    return bool(USED.fullmatch(operator)) and (operator != "core/NumberReplacer" or number % KEPT_NUMBERS == 0)


def judge(package: Package, *, minutes: float, most: int, seed: int) -> Outcome:
    """Test mutants of one package, on a PostgreSQL of its own, until the time is over."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "copy"
        copy_to(copy)
        os.chdir(copy)
        server = EmbeddedServer.start(Path(folder) / "postgresql")
        try:
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # the data need not outlive the run
                rows(server.url, f"ALTER SYSTEM SET {setting} = off")
            rows(server.url, "SELECT pg_reload_conf()")
            make_template(server.url)
            os.environ |= {SERVER_URL: server.url, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
            return Judge(package, server.url, 60 * minutes).judge(sampled([*package.tests], seed)[:most])
        finally:
            server.stop()
            os.chdir(ROOT)


class Judge:
    """Runs the tests of a package against one mutant after the other."""

    def __init__(self, package: Package, url: str, seconds: float) -> None:
        self._package, self._url = package, url
        self._ends_at = monotonic() + seconds
        self._patience = PATIENCE
        self._kills: Counter[tuple[str, str]] = Counter()
        self._killers: set[str] = set()
        self._output = Path("output-of-pytest").absolute()
        command = [sys.executable, "-m", "tests.mutants.runner"]
        self._runner = subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def judge(self, mutations: list[MutationSpec]) -> Outcome:
        """Test each mutant, as long as there is time."""
        outcome = Outcome(self._package.name)
        for done, mutation in enumerate(mutations):
            if monotonic() > self._ends_at:
                outcome.left = len(mutations) - done
                break
            module = str(mutation.module_path)
            operator = get_operator(mutation.operator_name)()
            with ExitStack() as stack:
                try:
                    before, after = stack.enter_context(
                        use_mutation(mutation.module_path, operator, mutation.occurrence)
                    )
                except AttributeError:  # Cosmic Ray's own, for the dotted names of an `except`
                    outcome.no_program += 1
                    continue
                run = self._tested(module, before)
            outcome.add(run, f"{mutation.operator_name}\n{_difference(before, after, module)}")
        outcome.red = self._red()
        self._runner.terminate()
        return outcome

    def _tested(self, module: str, before: str) -> Run:
        """Run the tests of the module, those first that killed mutants of it before. The mutation is in place.

        A failure counts if the test fails once more, alone or among all. A test that never ends counts if it ends in half the time
        without the mutation. So neither a slow machine nor chance is taken for a mutant that was noticed.
        """
        tests = sorted(self._package.tests[module], key=lambda test: -self._kills[module, test])
        run = self._pytest(tests)
        while run.code is None and run.test is not None and self._is_slow(module, before, run.test):
            run = self._pytest(tests)
        if run.code == SOME_FAILED and run.test is not None:
            if self._pytest([run.test]).code == ALL_PASSED:
                run = self._pytest(tests)
            if run.test is not None:
                self._kills[module, run.test.split("::")[0]] += 1
                self._killers.add(run.test)
        return run

    def _red(self) -> list[str]:
        """Return those of the tests that noticed mutants that fail without one as well."""
        red: list[str] = []
        while self._killers and (run := self._pytest(sorted(self._killers))).code != ALL_PASSED:
            failed = {run.test} if run.test else set(self._killers)
            red += sorted(failed)
            self._killers -= failed
        return red

    def _is_slow(self, module: str, before: str, test: str) -> bool:
        """Return whether the test takes as long without the mutation. It then gets more time from now on."""
        mutated = Path(module).read_bytes()
        began = monotonic()
        try:
            Path(module).write_text(before, encoding="utf-8")
            ended = self._pytest([test]).code is not None
        finally:
            Path(module).write_bytes(mutated)
        is_slow = not ended or monotonic() - began > self._patience / 2
        self._patience *= 3 if is_slow else 1
        return is_slow

    def _pytest(self, tests: list[str]) -> Run:
        """Run these tests up to the first that fails, or that takes longer than is waited for it."""
        for (name,) in rows(self._url, "SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%'"):
            rows(self._url, f"DROP DATABASE {name} WITH (FORCE)")  # of the run before; they would fill the disk
        arguments = [*OPTIONS, *tests]
        stdin, stdout = self._runner.stdin, self._runner.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"arguments": arguments, "output": str(self._output)}).encode() + b"\n")
        process, test = int(stdout.readline()), None
        while select.select([stdout], [], [], self._patience)[0]:
            line = stdout.readline()
            if not line.startswith(b'"'):
                return Run(int(line), self._failed() if int(line) == SOME_FAILED else None)
            test = json.loads(line)
        os.killpg(process, signal.SIGKILL)
        while stdout.readline().startswith(b'"'):
            pass
        return Run(None, test)

    def _failed(self) -> str | None:
        output = self._output.read_text(errors="replace")
        failed = re.search(r"^(?:FAILED|ERROR) (\S+?::.*?)(?: - .*)?$", output, re.MULTILINE)
        return failed[1] if failed else None


def _difference(before: str, after: str | None, path: str) -> str:
    lines = unified_diff(before.splitlines(), (after or "").splitlines(), path, path, n=1, lineterm="")
    return "\n".join(line for line in lines if not line.startswith(("---", "+++ ")) or line.startswith("--- "))
