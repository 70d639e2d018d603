"""A plugin of pytest that leaves out, and says so, what needs a program that this machine lacks."""

from pathlib import Path

from tests.support.programs import FOUND, USES

TESTS = Path(__file__).parents[1]
BETTER_AUTH = TESTS / "system" / "better-auth" / "node_modules" / ".package-lock.json"
TYPESCRIPT = TESTS.parent / "node_modules" / "typescript-7" / "bin" / "tsc"


def has_typescript() -> bool:
    """Return whether a program in TypeScript can be compiled and run."""
    return TYPESCRIPT.exists() and FOUND["node"] is not None


LEFT_OUT = {
    "system/test_better_auth.py": (
        BETTER_AUTH.exists(),
        "the real Better Auth server; if Node 20 and npm are there, make test-system installs it.",
    ),
    "system/test_offline_clients.py: offline.ts": (
        has_typescript(),
        "the offline client in TypeScript; with Node 20 and npm, make lint-contract installs its compiler.",
    ),
}
"""Programs that may be missing, by the test file, or the part of one, that needs them."""

MISSING = [TESTS / file for file, (is_there, _) in LEFT_OUT.items() if not is_there]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the files whose program is missing."""
    return True if collection_path in MISSING else None


def pytest_report_header() -> list[str]:
    """Say what the run cannot do."""
    missing = [what for is_there, what in LEFT_OUT.values() if not is_there]
    missing += [f"{what}; {name} is missing." for name, what in USES.items() if FOUND[name] is None]
    return [f"Left out: {what}" for what in missing]
