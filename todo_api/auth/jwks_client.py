"""HTTP client for the keys of an issuer. Every fetch is bounded in time and size."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import orjson

from todo_api.config import ConfigurationError, check_url

MAX_BYTES = 256 * 1024
DISCOVERY_SECONDS = 3600
"""Seconds for which the address in a discovery document is used before it is read again."""

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Cache-Control": "no-cache",  # a cache on the way may lack the newest key
    "User-Agent": "task-api",
}


class FetchFailed(Exception):
    """The fetch returned nothing usable. The message says why, for the log."""


class JwksClient:
    """Fetches the JWK set at `jwks_url`, or at the issuer's `jwks_uri` (OIDC Discovery 1.0)."""

    def __init__(self, issuer: str, jwks_url: str | None, ca_file: Path | None, deadline: float = 3) -> None:
        """`deadline` is for a whole fetch, in seconds.

        Raise ConfigurationError for an invalid `ca_file`.
        """
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._discovered_url: str | None = None
        self._discovered_at = 0.0
        self._deadline = deadline
        self._ssl = _ssl_context(ca_file)

    async def fetch(self) -> Any:
        """Return the JWK set as JSON. Raise FetchFailed by the deadline at the latest."""
        try:
            async with (
                asyncio.timeout(self._deadline),
                httpx2.AsyncClient(
                    verify=self._ssl, trust_env=False, timeout=None, follow_redirects=False, headers=_HEADERS
                ) as client,
            ):
                return await self._fetch(client)
        except TimeoutError as error:
            raise FetchFailed(f"no whole answer within {self._deadline:g} s") from error

    async def _fetch(self, client: httpx2.AsyncClient) -> Any:
        if self._jwks_url is not None:
            return await _get(client, self._jwks_url)
        url = await self._discover(client)
        try:
            return await _get(client, url)
        except FetchFailed:
            self._discovered_url = None  # the keys may have moved
            raise

    async def _discover(self, client: httpx2.AsyncClient) -> str:
        now, known_url = time.monotonic(), self._discovered_url
        if known_url is not None and now < self._discovered_at + DISCOVERY_SECONDS:
            return known_url
        try:
            # If an address is known, half of the time is kept to fetch from it.
            async with asyncio.timeout(self._deadline / 2 if known_url else None):
                document = await _get(client, f"{self._issuer.removesuffix('/')}/.well-known/openid-configuration")
            url = self._jwks_uri(document)
        except (FetchFailed, TimeoutError):
            if known_url is None:
                raise
            url = known_url  # it serves for another DISCOVERY_SECONDS, unless the keys cannot be fetched from it
        self._discovered_url, self._discovered_at = url, now
        return url

    def _jwks_uri(self, document: Any) -> str:
        """Return the document's `jwks_uri`.

        Raise FetchFailed if issuer or host is not the expected one.
        """
        if not isinstance(document, dict) or document.get("issuer") != self._issuer:
            raise FetchFailed("the discovery document is another issuer's")
        url = str(document.get("jwks_uri"))
        try:
            check_url("jwks_uri", url)
        except ConfigurationError as error:
            raise FetchFailed(str(error)) from error
        if urlsplit(url).hostname != urlsplit(self._issuer).hostname:
            raise FetchFailed("jwks_uri is on another host; if that is right, set JWT_JWKS_URL to it")
        return url


async def _get(client: httpx2.AsyncClient, url: str) -> Any:
    body = bytearray()
    try:
        async with client.stream("GET", url) as reply:
            if reply.status_code != httpx2.codes.OK:
                raise FetchFailed(f"status {reply.status_code}")
            if reply.headers.get("content-encoding", "identity") != "identity":
                raise FetchFailed("compressed, which was not asked for")
            async for chunk in reply.aiter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise FetchFailed(f"more than {MAX_BYTES} bytes")
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise FetchFailed("not JSON") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise FetchFailed(type(error).__name__) from error


def _ssl_context(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is None:
        return httpx2.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"JWT_CA_FILE {ca_file} cannot be used: {error.strerror or error}.") from error
