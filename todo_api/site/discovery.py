"""Discovery from the host alone: well-known addresses (RFC 8615) and links of the API's root."""

from functools import partial

import orjson

from todo_api.config import Config
from todo_api.contract import TASK_API, load
from todo_api.site.pages import PageFactories, page

ROOT = "/api/v1"
CATALOG = "/.well-known/api-catalog"
LLMS = "/llms.txt"
SECURITY = "/.well-known/security.txt"

_LINKS = {
    "service-desc": [
        {"href": f"{ROOT}/openapi.yaml", "type": "application/yaml"},
        {"href": f"{ROOT}/openapi.json", "type": "application/json"},
        {"href": f"{ROOT}/openapi-3.1.json", "type": "application/json"},
    ],
    "service-doc": [{"href": f"{ROOT}/ui/", "type": "text/html"}],
    "status": [{"href": "/health/ready", "type": "application/json"}],
}
"""Links of the API by relation (RFC 8631), relative since the service's public name is unknown."""


def pages(config: Config) -> PageFactories:
    """Return the page factories by path.

    The root and the catalog (RFC 9727) have the same links.
    """
    linkset = orjson.dumps({"linkset": [{"anchor": ROOT, **_LINKS}]})
    media_type = 'application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"'
    root = partial(page, linkset, "application/linkset+json", link=link_header())
    found: PageFactories = {
        CATALOG: partial(page, linkset, media_type, link=f'<{CATALOG}>; rel="api-catalog"'),
        LLMS: partial(page, _llms_txt().encode(), "text/markdown; charset=utf-8"),
        ROOT: root,
        f"{ROOT}/": root,
    }
    if config.security_contact:
        found[SECURITY] = partial(page, _security_txt(config), "text/plain; charset=utf-8")
    return found


def link_header() -> str:
    """Return the links as a `Link` field (RFC 8288)."""
    links = [
        f'<{target["href"]}>; rel="{relation}"; type="{target["type"]}"'
        for relation, targets in _LINKS.items()
        for target in targets
    ]
    return ", ".join([*links, f'<{CATALOG}>; rel="api-catalog"'])


def _security_txt(config: Config) -> bytes:
    """Return the contact for vulnerabilities (RFC 9116)."""
    lines = [f"Contact: {config.security_contact}", f"Expires: {config.security_expires}", "Preferred-Languages: en"]
    return "".join(f"{line}\n" for line in lines).encode()


def _llms_txt() -> str:
    """Return what a language model needs to use the API, as llmstxt.org describes it."""
    info = load(TASK_API)["info"]
    return f"""# {info["title"]}

> {info["description"].partition(chr(10))[0]}

Every request but registering and signing in sends `Authorization: Bearer <token>`. Write `me` for `user_id`.
Errors are problem documents (RFC 9457): act on `code`, and read `errors`.

## The contract

- [OpenAPI 3.0, JSON]({ROOT}/openapi.json): every operation, with its rules and examples
- [OpenAPI 3.0, YAML]({ROOT}/openapi.yaml): the same
- [OpenAPI 3.1, JSON]({ROOT}/openapi-3.1.json): the same, converted

## Pages

- [Guide](/guide/): lists, conditional writes, retries and errors, each with an example
- [Problems](/problems/): what each error means, and what to do
- [Reference]({ROOT}/reference/): the contract for people; it needs JavaScript
"""
