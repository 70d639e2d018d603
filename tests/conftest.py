"""One PostgreSQL for the whole run, a database for each module, the application in process, and users to act as."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

import psutil
import pytest
from sqlalchemy.engine import make_url

from tests.support.client import Client, event_loop
from tests.support.clock import ManualClock, clock_of_attempts
from tests.support.contract_check import ContractCheck
from tests.support.credentials import PASSWORD, SECRET, own_issuer
from tests.support.databases import SERVER_URL, database_url, make_template, new_databases
from tests.support.memory import in_memory
from tests.support.pooler import Pooler
from tests.support.processes import postmasters
from tests.support.rows import rows
from tests.support.token_kinds import new_token
from tests.support.users import User
from todo_api.accounts import passwords
from todo_api.accounts.passwords import Passwords
from todo_api.app import create_app
from todo_api.config import Config
from todo_api.database import Database
from todo_api.embedded import EmbeddedServer

pytest_plugins = [
    f"tests.support.{name}"
    for name in ("collector", "judging", "longest_first", "missing", "progress", "reporting", "variants")
]


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """An embedded PostgreSQL of the run's own, with a migrated database `template_tasks` to copy.

    Not in pytest's own temporary folder: as root, each new run of pytest closes that to the user PostgreSQL runs as.
    """
    if SERVER_URL in os.environ:
        make_template(os.environ[SERVER_URL])
        yield SimpleNamespace(url=os.environ[SERVER_URL])
        return
    with tempfile.TemporaryDirectory(prefix="task-api-", dir=in_memory(), ignore_cleanup_errors=True) as folder:
        embedded = EmbeddedServer.start(Path(folder) / "postgresql")
        try:
            # The data need not outlive the run, and nothing but the tests is to change what plans are made of.
            for setting in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum"):
                rows(embedded.url, f"ALTER SYSTEM SET {setting} = off")
            rows(embedded.url, "SELECT pg_reload_conf()")
            make_template(embedded.url)
            yield embedded
        finally:
            embedded.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Makes a private folder, not pytest's, whose modes other runs of pytest reset. Its PostgreSQL ends with the test."""
    above = Path(tempfile.mkdtemp(prefix="test-", dir=in_memory()))
    yield above
    for process in postmasters(above):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGQUIT)
            process.wait(10)
    shutil.rmtree(above)


@pytest.fixture(scope="session")
def pooler(server: EmbeddedServer) -> Iterator[Pooler]:
    """A pooler before that PostgreSQL, in transaction mode."""
    with Pooler(server.url) as made:
        yield made


@pytest.fixture(scope="module")
def new_database(server: EmbeddedServer, route: str, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes a migrated, empty database and gives its URL, which leads through the pooler if that is the module's route."""
    make = new_databases(server)
    if route == "direct":
        return make
    made: Pooler = request.getfixturevalue("pooler")
    return lambda: made.url(make())


@pytest.fixture(scope="module")
def url(new_database: Callable[[], str]) -> str:
    """The URL of the module's database."""
    return new_database()


@pytest.fixture(scope="module")
def direct(server: EmbeddedServer, url: str, route: str) -> str:
    """The same, past whatever the service reaches it through."""
    return url if route == "direct" else database_url(server.url, str(make_url(url).database))


@pytest.fixture(scope="module")
def database(url: str) -> Iterator[Database]:
    """The module's database, as the service reaches it."""
    made = Database(url, pool_size=2)
    yield made
    made.close()


@pytest.fixture(scope="session")
def new_client(check: ContractCheck) -> Iterator[Callable[[Config], Client]]:
    """Makes an application and a client of it."""
    with event_loop() as loop:
        yield lambda config: Client(create_app(config), check, loop)


@pytest.fixture(scope="module")
def anonymous(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A client without a token. However slow the machine, no request of it is turned away for having to wait."""
    return new_client(Config(database_url=url, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000))


@pytest.fixture(scope="module")
def clock() -> Iterator[ManualClock]:
    """The clock by which this process counts attempts while a module's tests run: no wait is over before a test says so."""
    with clock_of_attempts() as clock:
        yield clock


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """Hash passwords in this process at the least cost that argon2 has: a run hashes thousands. Services of their own do not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "COST", (1, 8))
        yield


@pytest.fixture(scope="session")
def password_hash(cheap_passwords: None) -> str:
    """Return the hash of `PASSWORD`, made once."""
    return Passwords().hash(PASSWORD)


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
