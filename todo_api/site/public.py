"""Pages as they are behind a proxy that serves the service under a path of its public URL."""

import re
from collections.abc import Callable

from todo_api.site.pages import Page, PageFactories, page

_LINKS = {
    "text/html": re.compile(rb'(\s(?:href|src)=")(?=/(?!/))'),
    "text/markdown": re.compile(rb"(\]\()(?=/(?!/))"),
    "application/linkset+json": re.compile(rb'("(?:href|anchor)":")(?=/(?!/))'),
}
"""The text before a link to another page of the service, by media type."""

_FIELD = re.compile("^(?=/(?!/))|(<)(?=/(?!/))")
_FIELDS = {"location", "link"}


def under(path: str, factories: PageFactories) -> PageFactories:
    """Return the factories of the same pages, whose links begin with the path."""
    return {address: _under(path, make) for address, make in factories.items()} if path else factories


def linked(path: str, media_type: str, body: bytes) -> bytes:
    """Return the body with the path before its links to other pages of the service."""
    pattern = _LINKS.get(media_type.partition(";")[0])
    return body if pattern is None else pattern.sub(rb"\g<1>" + path.encode(), body)


def _under(path: str, make: Callable[[], Page]) -> Callable[[], Page]:
    def made() -> Page:
        status, headers, body, _ = make()
        fields = {name.decode(): value.decode() for name, value in headers if name not in {b"etag", b"content-length"}}
        fields |= {name: _FIELD.sub(rf"\g<1>{path}", fields[name]) for name in _FIELDS & fields.keys()}
        media_type = fields.pop("content-type")
        return page(linked(path, media_type, body), media_type, status, **fields)

    return made
