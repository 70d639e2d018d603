"""How a program that knows only the host finds its way: well-known addresses (RFC 8615) and the links of the API's root."""

from functools import partial

import orjson

from todo_api.config import Config
from todo_api.site.pages import Makers, page

ROOT = "/api/v1"
CATALOG = "/.well-known/api-catalog"
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
"""What belongs to the API, by relation (RFC 8631). Relative, since the service does not know under which name it is reached."""


def pages(config: Config) -> Makers:
    """The pages of discovery by their paths. The root and the catalog (RFC 9727) say the same, one in headers as well."""
    linkset = orjson.dumps({"linkset": [{"anchor": ROOT, **_LINKS}]})
    media_type = 'application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"'
    root = partial(page, linkset, "application/linkset+json", link=link_header())
    found: Makers = {
        CATALOG: partial(page, linkset, media_type, link=f'<{CATALOG}>; rel="api-catalog"'),
        ROOT: root,
        f"{ROOT}/": root,
    }
    if config.security_contact:
        found[SECURITY] = partial(page, _security_txt(config), "text/plain; charset=utf-8")
    return found


def link_header() -> str:
    """The links as a `Link` field (RFC 8288)."""
    links = [
        f'<{target["href"]}>; rel="{relation}"; type="{target["type"]}"'
        for relation, targets in _LINKS.items()
        for target in targets
    ]
    return ", ".join([*links, f'<{CATALOG}>; rel="api-catalog"'])


def _security_txt(config: Config) -> bytes:
    """Whom to tell of a weakness (RFC 9116)."""
    lines = [f"Contact: {config.security_contact}", f"Expires: {config.security_expires}", "Preferred-Languages: en"]
    return "".join(f"{line}\n" for line in lines).encode()
