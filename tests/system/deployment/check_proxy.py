"""TLS in front of the service as `deploy/Caddyfile` has it: a real Caddy, with a certificate of its own making."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.caddy import caddy
from tests.support.credentials import SECRET, token
from tests.support.live import Live, free_port

DEPLOY = Path(__file__).parents[3] / "deploy"
TASKS = "/api/v1/me/tasks"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """What Caddy keeps: its certificates."""
    with tempfile.TemporaryDirectory(prefix="test-proxy-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def service(url: str, folder: Path) -> Iterator[Live]:
    """The service that trusts the proxy, and allows an address without a token few requests."""
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "TRUSTED_PROXIES": "127.0.0.1", "RATE_LIMIT": "30/minute"}
    with Live(folder, **settings) as live:
        yield live.ready()


@pytest.fixture(scope="module")
def proxy(service: Live, folder: Path) -> Iterator[tuple[str, requests.Session]]:
    """The address of Caddy before the service, and a session that knows its certificate."""
    port = free_port()
    root = folder / "data/caddy/pki/authorities/local/root.crt"
    ours = folder / "Caddyfile"  # no port but this one, and nothing of the machine's is changed
    ours.write_text(
        f"{{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}}\nimport {DEPLOY}/Caddyfile\n"
    )
    origin = f"https://localhost:{port}"
    with caddy(ours, origin, root, DOMAIN=origin, SERVICE=f"127.0.0.1:{service.port}") as session:
        yield origin, session


def test_proxy_serves_the_api_with_tls_and_says_so(proxy: tuple[str, requests.Session]) -> None:
    origin, session = proxy
    bearer = {"Authorization": f"Bearer {token('ada')}"}
    made = session.post(f"{origin}{TASKS}", json={"title": "Through Caddy"}, headers=bearer, timeout=30)
    assert made.status_code == 201
    assert made.headers["Strict-Transport-Security"] == "max-age=31536000"
    again = session.get(f"{origin}{made.headers['Location']}", headers=bearer, timeout=30)
    assert (again.status_code, again.json()) == (200, made.json())
    assert again.headers["ETag"] == made.headers["ETag"]
    assert session.get(f"{origin}/api/v1/ui/", timeout=30).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/health/live", "/health/ready"])
def test_proxy_keeps_what_is_for_operators_from_outside(proxy: tuple[str, requests.Session], path: str) -> None:
    origin, session = proxy
    assert session.get(f"{origin}{path}", timeout=30).status_code == 404


def test_proxy_names_the_client_whatever_the_client_claims(proxy: tuple[str, requests.Session]) -> None:
    origin, session = proxy
    left = [
        session.get(f"{origin}/api/v1/nowhere", headers={"X-Forwarded-For": claimed}, timeout=30).headers["RateLimit"]
        for claimed in ("203.0.113.7", "198.51.100.9")
    ]
    remaining = [int(re.search(r"r=(\d+)", each)[1]) for each in left]
    assert remaining[1] < remaining[0]  # both were counted for one address


def test_proxy_passes_long_bodies_and_refusals_on(proxy: tuple[str, requests.Session]) -> None:
    origin, session = proxy
    bearer = {"Authorization": f"Bearer {token('ada')}"}
    longest = {"title": "t", "description": "d" * 5000}
    assert session.post(f"{origin}{TASKS}", json=longest, headers=bearer, timeout=30).status_code == 201
    refused = session.post(f"{origin}{TASKS}", data=b"x" * 100_000, headers=bearer, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")


def test_proxy_passes_an_export_on_in_pieces(proxy: tuple[str, requests.Session]) -> None:
    origin, session = proxy
    ada = {"email": "export@example.com", "password": "correct horse battery staple"}
    assert session.post(f"{origin}/api/v1/auth/register", json=ada, timeout=30).status_code == 201
    tokens = session.post(f"{origin}/api/v1/auth/token", json=ada, timeout=30).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    for number in range(22):  # more than the 256 KiB of a piece
        task = {"title": f"{number}", "description": "語" * 5000}
        assert session.post(f"{origin}{TASKS}", json=task, headers=bearer, timeout=30).status_code == 201
    export = session.get(f"{origin}/api/v1/me/account/export", headers=bearer, stream=True, timeout=30)
    assert (export.status_code, "Content-Length" in export.headers) == (200, False)
    assert len(export.json()["tasks"]) == 22
