"""The numbers that bound a head, at them and one beyond, for each kind of user: they are those of the server, not of an operation."""

import socket
from collections.abc import Iterator

import pytest

from tests.support.credentials import SECRET, own_issuer
from tests.support.issuers import AUDIENCE, ISSUER, Signer
from tests.support.live import Live
from tests.support.token_kinds import TOKEN_KINDS, new_token

TARGET = "/api/v1/me/tasks?limit=1"
LINE, FIELD, FIELDS, HEAD = 8192, 17_408, 64, 65_536
SIZES = [(HEAD, 200), (HEAD + 1, 431)]


@pytest.fixture(scope="module")
def own(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service that issues its tokens itself."""
    with Live(tmp_path_factory.mktemp("own"), DATABASE_URL=url, JWT_SECRET=SECRET, RATE_LIMIT="off") as service:
        yield service.ready()


@pytest.fixture(scope="module")
def external(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, str]]:
    """A service with an external issuer, and a token of a user of that."""
    folder, signer = tmp_path_factory.mktemp("external"), Signer()
    (folder / "key.pem").write_bytes(signer.pem())
    issuer = {"JWT_ISSUER": ISSUER, "JWT_AUDIENCE": AUDIENCE, "JWT_KEY_FILE": str(folder / "key.pem")}
    with Live(folder, DATABASE_URL=url, CURSOR_SECRET=SECRET, RATE_LIMIT="off", **issuer) as service:
        yield service.ready(), signer.token()


@pytest.fixture(scope="module", params=[*TOKEN_KINDS, "external"])
def caller(request: pytest.FixtureRequest, url: str, password_hash: str) -> tuple[Live, str]:
    """A service, and a token of a user of that kind."""
    if request.param == "external":
        found: tuple[Live, str] = request.getfixturevalue("external")
        return found
    return request.getfixturevalue("own"), new_token(url, own_issuer(), request.param, password_hash)


@pytest.fixture(scope="module")
def live(caller: tuple[Live, str]) -> Live:
    return caller[0]


@pytest.fixture(scope="module")
def bearer(caller: tuple[Live, str]) -> str:
    return caller[1]


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


def head(method: str, target: str, token: str, size: int, *others: str) -> bytes:
    """A head of that many bytes, from the first of its request line to the end of its blank line."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", *others]
    missing = size - sum(len(line) + 2 for line in lines) - 2
    fields = [f"X-A: {'a' * 4089}"] * (missing // 4096 - 1)
    fields.append(f"X-A: {'a' * (missing - 4096 * len(fields) - 7)}")
    content = "\r\n".join([*lines, *fields, "", ""]).encode()
    assert len(content) == size
    return content


def pieces(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def answer(live: Live, *sent: bytes) -> int:
    """The status of the reply to bytes that arrive apart, as far as the system lets them."""
    with live.wire() as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in sent:
            wire.send(piece)
        return wire.reply().status


@pytest.mark.parametrize(("size", "status"), SIZES)
def test_list_tasks_head_is_taken_up_to_64_kib(live: Live, bearer: str, size: int, status: int) -> None:
    assert answer(live, head("GET", TARGET, bearer, size)) == status


@pytest.mark.parametrize(("size", "status"), SIZES)
@pytest.mark.parametrize("piece", [1000, HEAD - 1, HEAD])
def test_list_tasks_head_in_pieces_is_taken_up_to_64_kib(
    live: Live, bearer: str, size: int, status: int, piece: int
) -> None:
    assert answer(live, *pieces(head("GET", TARGET, bearer, size), piece)) == status


@pytest.mark.parametrize(("size", "status"), SIZES)
def test_list_tasks_head_with_the_longest_request_line_is_taken_up_to_64_kib(
    live: Live, bearer: str, size: int, status: int
) -> None:
    target = TARGET + "&" * (LINE - len(f"GET {TARGET} HTTP/1.1\r\n"))
    assert answer(live, head("GET", target, bearer, size)) == status


@pytest.mark.parametrize(("size", "status"), [(HEAD, 405), (HEAD + 1, 431)])
def test_tasks_head_with_a_method_of_any_name_is_taken_up_to_64_kib(
    live: Live, bearer: str, size: int, status: int
) -> None:
    assert answer(live, head("REPORT", "/api/v1/me/tasks", bearer, size)) == status


@pytest.mark.parametrize(("size", "status"), [(HEAD, 201), (HEAD + 1, 431)])
@pytest.mark.parametrize("framing", ["Content-Length: 15", "Transfer-Encoding: chunked"])
def test_create_task_head_before_a_body_is_taken_up_to_64_kib(
    live: Live, bearer: str, size: int, status: int, framing: str
) -> None:
    body = b'{"title":"one"}' if "Length" in framing else b'f\r\n{"title":"one"}\r\n0\r\n\r\n'
    sent = head("POST", "/api/v1/me/tasks", bearer, size, "Content-Type: application/json", framing)
    assert answer(live, sent, *pieces(body, 1)) == status


@pytest.mark.parametrize(("size", "status"), SIZES)
def test_list_tasks_second_head_on_a_connection_is_taken_up_to_64_kib(
    live: Live, bearer: str, size: int, status: int
) -> None:
    with live.wire() as wire:
        for each, expected in ((HEAD, 200), (size, status)):
            wire.send(head("GET", TARGET, bearer, each))
            assert wire.reply().status == expected
