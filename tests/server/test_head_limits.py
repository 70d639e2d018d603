"""The numbers that bound a head, at them and one beyond, for each kind of user: they are those of the server, not of an operation."""

from collections.abc import Iterator

import pytest

from tests.support.credentials import SECRET, own_issuer
from tests.support.kinds import KINDS, new_token
from tests.support.live import Live

TARGET = "/api/v1/me/tasks?limit=1"
LINE, FIELD, FIELDS = 8192, 17_408, 64


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("live"), DATABASE_URL=url, JWT_SECRET=SECRET, RATE_LIMIT="off") as service:
        yield service.ready()


@pytest.fixture(scope="module", params=KINDS)
def bearer(request: pytest.FixtureRequest, url: str, password_hash: str) -> str:
    return new_token(url, own_issuer(), request.param, password_hash)


@pytest.mark.parametrize(("size", "status"), [(LINE, 200), (LINE + 1, 414)])
def test_list_tasks_request_line_is_taken_up_to_8192_bytes(live: Live, bearer: str, size: int, status: int) -> None:
    around = len(f"GET {TARGET} HTTP/1.1\r\n")
    assert live.request("GET", TARGET + "&" * (size - around), token=bearer).status == status


@pytest.mark.parametrize(("size", "status"), [(FIELD, 200), (FIELD + 1, 431)])
def test_list_tasks_header_field_is_taken_up_to_17_kib(live: Live, bearer: str, size: int, status: int) -> None:
    assert live.request("GET", TARGET, b"", f"X-A: {'a' * (size - 3)}", token=bearer).status == status


@pytest.mark.parametrize(("number", "status"), [(FIELDS, 200), (FIELDS + 1, 431)])
def test_list_tasks_header_fields_are_taken_up_to_64(live: Live, bearer: str, number: int, status: int) -> None:
    others = ["X-A: a"] * (number - 2)  # beside Host and Authorization
    assert live.request("GET", TARGET, b"", *others, token=bearer).status == status
