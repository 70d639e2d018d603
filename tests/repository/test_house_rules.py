"""The rules of the house over the code: who imports whom, what stands where, and how things are called and explained."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "todo_api"
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = sorted(path for folder in ("todo_api", "migrations", "tests") for path in (ROOT / folder).rglob("*.py"))

EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
REASONED = r"# (type: ignore\[[a-z-]+(, [a-z-]+)*\]|noqa: [A-Z]+\d+(, [A-Z]+\d+)*)  # \w"
TRANSACTION = r"\b(BEGIN|COMMIT|ROLLBACK|SAVEPOINT)\b"
LARGEST_PACKAGE = 1500
LONGEST_FILE = 400
LONGEST_FUNCTION = 50
MOST_AT_TOP = 8
SHORTEST_TOUR, LONGEST_TOUR = 4, 7
"""Lines of a package's docstring."""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it; `from a import b` counts as `a.b`."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def exports(path: Path) -> set[str]:
    """The names in a module's `__all__`."""
    lists = [node.value for node in tree(path).body if isinstance(node, ast.Assign) and is_all(node.targets)]
    return {name for found in lists for name in ast.literal_eval(found)}


def is_all(targets: list[ast.expr]) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def layer(path: Path) -> str:
    """The first part of a module's name inside the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def below(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def definitions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [node for node in ast.walk(tree(path)) if isinstance(node, kinds)]


def words(name: str) -> set[str]:
    """The words of a name, in snake_case or CapWords, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def texts(path: Path) -> list[str]:
    """The strings of a module, without its docstrings."""
    prose = {id(node.value) for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Constant) and id(node) not in prose]
    return [node.value for node in constants if isinstance(node.value, str)]


def matches(path: Path, pattern: str) -> list[str]:
    """The places, as `file:line`, where a line has the pattern."""
    numbered = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    return [f"{path.relative_to(ROOT)}:{number}" for number, line in numbered if re.search(pattern, line)]


def test_packages_are_imported_through_what_they_export() -> None:
    """Of a package of ours, other packages see the names in its `__all__`; import-linter keeps the directions."""
    exported = {path.parent.name: exports(path) for path in PACKAGE.glob("*/__init__.py")}
    inside = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in MODULES
        for name in imported(path)
        if below(name, ("todo_api",)) and (parts := name.split(".")[1:])[0] in exported and parts[0] != layer(path)
        if parts[1:] and (len(parts) > 2 or parts[1] not in exported[parts[0]])
    ]
    assert inside == []


def test_handlers_are_exported_by_no_package() -> None:
    """Connexion finds them by their tag; who imports one works around the contract."""
    finders = [
        str(path) for path in MODULES for name in imported(path) if re.search(r"^todo_api\.\w+\.handlers\b", name)
    ]
    assert finders == []


def test_top_of_the_package_is_read_at_a_glance() -> None:
    assert len([path for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]) <= MOST_AT_TOP


def test_packages_say_what_they_are_for_in_a_few_lines() -> None:
    lengths = {
        path.parent.name: len((ast.get_docstring(tree(path)) or "").splitlines())
        for path in PACKAGE.glob("*/__init__.py")
    }
    assert {name: length for name, length in lengths.items() if not SHORTEST_TOUR <= length <= LONGEST_TOUR} == {}


def test_tests_import_no_test_and_no_conftest() -> None:
    imports = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        for name in imported(path)
        if re.match(r"tests\.(\w+\.)*(test_\w+|conftest)\b", name)
    ]
    assert imports == []


def test_transactions_begin_and_end_in_one_place() -> None:
    places = {
        str(path.relative_to(ROOT)) for path in MODULES if any(re.search(TRANSACTION, text) for text in texts(path))
    }
    assert places == {"todo_api/database/transaction.py"}


def test_local_times_become_instants_in_one_place() -> None:
    """PostgreSQL reads the second of two equal local times, and zones of its own: it converts none."""
    places = {
        str(path.relative_to(ROOT))
        for path in MODULES
        if re.search(r"(?i)at time zone|func\.timezone|ZoneInfo\(", path.read_text(encoding="utf-8"))
    }
    assert places == {"todo_api/local_time/moments.py"}


def test_garbage_collector_is_set_in_one_place() -> None:
    settings = r"\bgc\.(disable|enable|freeze|set_threshold)\("
    assert {str(path.relative_to(ROOT)) for path in MODULES if matches(path, settings)} == {
        "todo_api/config/garbage.py"
    }


def test_idempotent_handlers_use_no_other_database_than_they_are_handed() -> None:
    """What they wrote beside their transaction would hold without the reply that a retry gets."""
    handlers = [
        (path, node)
        for path in PACKAGE.glob("*/handlers.py")
        for node in definitions(path)
        if any("idempotent" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]
    assert handlers
    beside = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path, node in handlers
        if "services().database" in ast.unparse(node)
    ]
    assert beside == []


def test_environment_is_read_in_one_place() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if ROOT / "tests" not in path.parents
        and matches(path, r"\bos\.(environ|getenv|putenv)\b|from os import .*environ")
    }
    assert readers == {
        "todo_api/config/loading.py",
        "todo_api/database/url.py",
        "migrations/env.py",
    }


def test_files_are_short_enough_to_read() -> None:
    lengths = {str(path.relative_to(ROOT)): lines(path) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_packages_are_small_enough_to_know() -> None:
    lengths = {
        str(folder.relative_to(ROOT)): sum(map(lines, folder.rglob("*.py")))
        for folder in PACKAGE.iterdir()
        if folder.is_dir()
    }
    assert {name: length for name, length in lengths.items() if length > LARGEST_PACKAGE} == {}


def test_wheel_has_every_package() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert {*built["packages"]} - {"todo_api.migrations.versions", *built["package-dir"]} == folders


def test_functions_are_short_enough_to_read() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCES
        for node in definitions(path)
        if not isinstance(node, ast.ClassDef)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_modules_and_classes_have_names_that_say_something() -> None:
    classes = [node.name for path in SOURCES for node in definitions(path) if isinstance(node, ast.ClassDef)]
    assert [name for name in [*(path.stem for path in SOURCES), *classes] if words(name) & EMPTY_NAMES] == []


def test_silenced_warnings_have_their_code_and_their_reason() -> None:
    others = [path for path in SOURCES if path != Path(__file__)]  # whose patterns look like what they find
    silenced = {place for path in others for place in matches(path, r"#\s*(type:\s*ignore|noqa)")}
    reasoned = {place for path in others for place in matches(path, REASONED)}
    assert silenced - reasoned == set()


def test_modules_say_what_they_are_for() -> None:
    assert [path.name for path in MODULES if not ast.get_docstring(tree(path))] == []


def test_helpers_of_tests_say_what_they_return() -> None:
    """A docstring that begins like a question takes two readings: it may name a value or ask for one."""
    helpers = sorted((ROOT / "tests" / "support").glob("*.py"))
    question = r'^ *"{3}(Whether|What|Where|How|Whose|Who|Of|As|It) '
    assert [place for path in helpers for place in matches(path, question)] == []


def test_tests_expect_one_status() -> None:
    """A test that accepts two may get the wrong one. Where chance decides, a comment says so."""
    tests = [path for path in SOURCES if path.is_relative_to(ROOT / "tests")]
    assert [place for path in tests for place in matches(path, r"assert .*\.status in [({\[][^#]*$")] == []


def test_prose_has_none_of_the_empty_words() -> None:
    prose = [*SOURCES, *ROOT.glob("*.md"), *(ROOT / "openapi").glob("*.yaml")]
    empty = r"(?i)\b(robust|seamless|comprehensive)(ly|ness)?\b"
    assert [place for path in prose if path != Path(__file__) for place in matches(path, empty)] == []


def test_files_name_no_folder_of_a_machine() -> None:
    kept = [*SOURCES, *ROOT.glob("*.md"), *(ROOT / "openapi").glob("*.yaml"), ROOT / "Makefile", ROOT / ".ci" / "run"]
    assert [place for path in kept for place in matches(path, r"[\s\"'(=](/home|/root|/work)/\w")] == []
