"""One PostgreSQL for the whole run, a database for each module, the application in process, and users to act as."""

import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from zlib import crc32

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.support import contract_coverage, pooler, redis_server
from tests.support.client import Client, event_loop
from tests.support.contract_check import ContractCheck
from tests.support.discretion import RUN, Listener
from tests.support.kinds import EACH_KIND, KINDS, new_token
from tests.support.rows import rows
from todo_api.accounts.passwords import Passwords
from todo_api.app import create_app
from todo_api.auth.tokens import TokenIssuer
from todo_api.config import Config
from todo_api.database import migrations as migrating
from todo_api.database.connection import engine_url
from todo_api.embedded import EmbeddedServer

SECRET = "a-secret-of-the-tests-Zk8vQ2xW7pLm4nRt"
PASSWORD = "correct horse battery staple"

SERVER_URL = "TEST_SERVER_URL"
"""The variable that names a PostgreSQL to use, as its superuser, in place of one that the run starts."""

BETTER_AUTH = Path(__file__).parent / "auth" / "better-auth" / "node_modules" / ".package-lock.json"
LEFT_OUT = {
    "auth/test_better_auth.py": (
        BETTER_AUTH.exists(),
        "the real Better Auth server; where Node 20 and npm are, make test installs it.",
    ),
    "throttling/test_redis.py": (
        redis_server.PROGRAM is not None,
        "limits in a real Redis; Debian's redis-server is missing.",
    ),
    "database/pooled": (pooler.PROGRAM is not None, "everything behind a pooler; Debian's pgbouncer is missing."),
}
"""What needs something that may be missing, by its file."""

collect_ignore = [file for file, (is_there, _) in LEFT_OUT.items() if not is_there]


LONG = (
    *("test_backups.py", "test_serve.py", "test_stopping.py", "test_issuers.py", "test_cli.py"),
    *(
        "test_embedded.py",
        "test_traces.py",
        "test_client_limits.py",
        "test_frozen.py",
        "test_guesses.py",
        "test_mcp.py",
    ),
    *("test_concurrency.py", "test_retries_after_crashes.py", "test_isolation.py", "test_guide.py", "test_wheel.py"),
)
"""The files that take longest. They come first: of several processes none is then left alone with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take longest first, as they stand in LONG, where several processes share the tests."""
    if not items or not hasattr(items[0].config, "workerinput"):
        return
    places = {file: place for place, file in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


def pytest_report_header() -> list[str]:
    """Says what the run cannot do."""
    return [f"Left out: {what}" for is_there, what in LEFT_OUT.values() if not is_there]


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """An embedded PostgreSQL of the run's own, with a migrated database `template_tasks` to copy.

    Not in pytest's own temporary folder: as root, each new run of pytest closes that to the user PostgreSQL runs as.
    """
    if SERVER_URL in os.environ:
        make_template(os.environ[SERVER_URL])
        yield SimpleNamespace(url=os.environ[SERVER_URL])
        return
    with tempfile.TemporaryDirectory(prefix="task-api-", ignore_cleanup_errors=True) as folder:
        embedded = EmbeddedServer.start(Path(folder) / "postgresql")
        try:
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # the data need not outlive the run
                rows(embedded.url, f"ALTER SYSTEM SET {setting} = off")
            rows(embedded.url, "SELECT pg_reload_conf()")
            make_template(embedded.url)
            yield embedded
        finally:
            embedded.stop()


def make_template(url: str) -> None:
    """Makes the migrated database `template_tasks`, unless it is there from an earlier run."""
    if not rows(url, "SELECT 1 FROM pg_database WHERE datname = 'template_tasks'"):
        execute(url, "CREATE DATABASE template_tasks")
        migrating.migrate(database_url(url, "template_tasks"))


def new_databases(server: EmbeddedServer) -> Callable[[], str]:
    """Makes migrated, empty databases."""

    def make() -> str:
        name = f"test_{secrets.token_hex(4)}"
        execute(server.url, f"CREATE DATABASE {name} TEMPLATE template_tasks")
        return database_url(server.url, name)

    return make


@pytest.fixture(scope="session")
def new_database(server: EmbeddedServer) -> Callable[[], str]:
    """Makes a migrated, empty database and gives its URL."""
    return new_databases(server)


@pytest.fixture(scope="module")
def url(new_database: Callable[[], str]) -> str:
    """The URL of the module's database."""
    return new_database()


@pytest.fixture(scope="module")
def direct(url: str) -> str:
    """The same, past whatever the service reaches it through."""
    return url


CHECK = pytest.StashKey[ContractCheck]()
DESELECTED = pytest.StashKey[bool]()
COVERAGE = pytest.StashKey[list[str]]()
INDISCREET = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[CHECK] = ContractCheck()
    config.stash[INDISCREET] = []
    logging.getLogger().addHandler(Listener(RUN))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run that has seen a secret where none may be fails, and a whole run that has not seen everything that the contracts
    document, though each test passed.

    Where the tests run in several processes (pytest-xdist), each hands over what it saw, and the one that started them judges.
    """
    session.config.stash[INDISCREET] += RUN.complaints()
    if hasattr(session.config, "workeroutput"):
        seen = session.config.stash[CHECK]
        deselected = session.config.stash.get(DESELECTED, False)
        session.config.workeroutput["saw"] = (list(seen.seen.items()), list(seen.headers_seen), deselected)
        session.config.workeroutput["indiscreet"] = session.config.stash[INDISCREET]
        return
    if session.config.stash[INDISCREET] and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not session.shouldfail
    if ended and contract_coverage.is_whole(session.config, session.config.stash.get(DESELECTED, False)):
        session.config.stash[COVERAGE] = contract_coverage.complaints(session.config.stash[CHECK])
        if session.config.stash[COVERAGE]:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of the run has ended."""
    statuses, headers, deselected = getattr(node, "workeroutput", {}).get("saw", ((), (), True))
    check = node.config.stash[CHECK]
    check.seen.update(dict(statuses))
    check.headers_seen.update(headers)
    node.config.stash[INDISCREET] += getattr(node, "workeroutput", {}).get("indiscreet", ())
    if deselected:
        node.config.stash[DESELECTED] = True


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        item.config.stash[DESELECTED] = True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[INDISCREET]:
        terminalreporter.section("secrets in logs, errors or metrics")
        for complaint in sorted(set(config.stash[INDISCREET])):
            terminalreporter.line(complaint)
    if COVERAGE in config.stash:
        terminalreporter.section("contract coverage")
        terminalreporter.line(contract_coverage.summary(config.stash[CHECK]))
        for complaint in config.stash[COVERAGE]:
            terminalreporter.line(complaint)


@pytest.fixture(scope="session")
def check(pytestconfig: pytest.Config) -> ContractCheck:
    """The judge of every reply of the run."""
    return pytestconfig.stash[CHECK]


@pytest.fixture(scope="session")
def new_client(check: ContractCheck) -> Iterator[Callable[[Config], Client]]:
    """Makes an application and a client of it."""
    with event_loop() as loop:
        yield lambda config: Client(create_app(config), check, loop)


@pytest.fixture(scope="module")
def anonymous(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A client without a token. However slow the machine, no request of it is turned away for having to wait."""
    return new_client(Config(database_url=url, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000))


@pytest.fixture(scope="session")
def password_hash() -> str:
    """Of `PASSWORD`."""
    return Passwords().hash(PASSWORD)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """Of what kind the users of the test are (see `kinds`): whom the service has not met yet, unless the module has several."""
    return str(getattr(request, "param", KINDS[0]))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs the tests of some modules with users of each kind."""
    kinds = EACH_KIND.get(metafunc.module.__name__)
    if kinds and "new_user" in metafunc.fixturenames:
        metafunc.parametrize("kind", kinds, indirect=True)


@pytest.fixture
def new_user(anonymous: Client, direct: str, kind: str, password_hash: str) -> Callable[[], Client]:
    """Makes a client of a user of its own."""
    return lambda: anonymous.signed_in(new_token(direct, own_issuer(), kind, password_hash))


@pytest.fixture
def ada(new_user: Callable[[], Client]) -> Client:
    """A user's client."""
    return new_user()


@pytest.fixture
def bob(new_user: Callable[[], Client]) -> Client:
    """Another user's client."""
    return new_user()


class User(NamedTuple):
    """A user with an account, signed in."""

    client: Client
    id: str
    email: str
    tokens: dict[str, Any]


@pytest.fixture
def new_account(anonymous: Client, request: pytest.FixtureRequest) -> Callable[[], User]:
    """Registers and signs in."""
    count = iter(range(100))

    def make() -> User:
        email = f"life{crc32(request.node.nodeid.encode())}-{next(count)}@example.com"
        account = anonymous.post("/api/v1/auth/register", {"email": email, "password": PASSWORD, "name": "Ada"})
        tokens = anonymous.post("/api/v1/auth/token", {"email": email, "password": PASSWORD}).json()
        return User(anonymous.signed_in(tokens["access_token"]), account.json()["id"], email, tokens)

    return make


@pytest.fixture
def user(new_account: Callable[[], User]) -> User:
    return new_account()


def token(user_id: str, **changes: Any) -> str:
    """A token of the service's own issuer."""
    return own_issuer(**changes).issue(user_id)


def own_issuer(**changes: Any) -> TokenIssuer:
    """The service's own issuer."""
    settings = {"secret": SECRET, "issuer": "task-api", "audience": "task-api", "lifetime": 3600} | changes
    return TokenIssuer(**settings)


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Runs a statement as the owner of the database."""
    with closing(psycopg2.connect(engine_url(url).set(drivername="postgresql").render_as_string(False))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def database_url(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)
