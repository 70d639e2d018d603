"""Every database of these tests is reached through PgBouncer in transaction mode."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy.engine import make_url

from tests.conftest import new_databases
from tests.support.pooler import Pooler
from todo_api.embedded import EmbeddedServer


@pytest.fixture(scope="package")
def pooler(server: EmbeddedServer) -> Iterator[Pooler]:
    with Pooler(server.url) as made:
        yield made


@pytest.fixture(scope="package")
def new_database(server: EmbeddedServer, pooler: Pooler) -> Callable[[], str]:
    """Makes a migrated, empty database and gives its URL, by way of the pooler."""
    make = new_databases(server)
    return lambda: pooler.url(make())


@pytest.fixture(scope="module")
def direct(server: EmbeddedServer, url: str) -> str:
    """The module's database, past the pooler."""
    return make_url(server.url).set(database=make_url(url).database).render_as_string(hide_password=False)
