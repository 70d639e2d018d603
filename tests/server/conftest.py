"""The fixture that tests of the wire share."""

from collections.abc import Iterator

import pytest

from tests.support.credentials import SECRET
from tests.support.live import Live


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service without rate limits. It must fail at nothing that it gets."""
    with Live(tmp_path_factory.mktemp("live"), DATABASE_URL=url, JWT_SECRET=SECRET, RATE_LIMIT="off") as service:
        yield service.ready()
        assert "Traceback" not in service.output()
