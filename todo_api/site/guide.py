"""The guide: pages of `docs/` for those who write clients, made from their Markdown."""

import posixpath
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from todo_api.contract import shipped

if TYPE_CHECKING:
    from markdown_it.token import Token

GUIDE = "/guide/"
_FOLDER = shipped("docs")
_FIRST = "guide"
_SERVED = {
    "README.md": "/",
    "openapi/task-api.yaml": "/api/v1/openapi.yaml",
    "openapi/problems.yaml": "/problems/",
}
"""Addresses of files of the repository that the service shows in another form."""


class Heading(NamedTuple):
    """A heading within a page."""

    anchor: str
    title: str


class Chapter(NamedTuple):
    """A page of the guide."""

    name: str
    title: str

    @property
    def address(self) -> str:
        """Return the path where the service shows it."""
        return GUIDE if self.name == _FIRST else GUIDE + self.name


@cache
def chapters() -> list[Chapter]:
    """Return the pages in order: the first one, and those in the tables of links on it."""
    listed = re.findall(r"^\| \[[^]]+]\(([\w-]+)\.md\) \|", _source(_FIRST), re.MULTILINE)
    return [Chapter(name, _source(name).partition("\n")[0].removeprefix("# ")) for name in [_FIRST, *listed]]


def render(chapter: Chapter) -> tuple[Markup, list[Heading]]:
    """Return a page as HTML, and its headings of the second level."""
    from markdown_it import MarkdownIt  # noqa: PLC0415  # only to make a page

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(_source(chapter.name))
    headings = [*_add_anchors(tokens)]
    _label_cells(tokens)
    for token in tokens:
        token.children = token.children and [*_rewrite_links(token.children)]
    return Markup(markdown.renderer.render(tokens, markdown.options, {})), headings  # noqa: S704  # html is off


def _source(name: str) -> str:
    return (_FOLDER / f"{name}.md").read_text(encoding="utf-8")


def _add_anchors(tokens: list["Token"]) -> Iterator[Heading]:
    """Give each heading the anchor that GitHub gives it, and yield those of the second level."""
    for token, inner in pairwise(tokens):
        if token.type == "heading_open":
            anchor = re.sub(r"[^\w\- ]", "", inner.content.lower()).replace(" ", "-")
            token.attrSet("id", anchor)
            if token.tag == "h2":
                yield Heading(anchor, inner.content.replace("`", ""))


def _label_cells(tokens: list["Token"]) -> None:
    """Give each cell the name of its column, which a narrow screen shows in place of the head."""
    names: list[str] = []
    column = 0
    for token, inner in pairwise(tokens):
        if token.type == "thead_open":
            names = []
        elif token.type == "tr_open":
            column = 0
        elif token.type == "th_open":
            names.append(inner.content.replace("`", ""))
        elif token.type == "td_open":
            token.attrSet("data-label", names[column])
            column += 1


def _rewrite_links(tokens: list["Token"]) -> Iterator["Token"]:
    """Yield the tokens with links to pages of the service.

    A link to a file that is no page becomes its text and the file's path in parentheses.
    """
    unserved = ""
    for token in tokens:
        if token.type == "link_open":
            href = str(token.attrs["href"])
            target = _target(href)
            if target is None:
                unserved = _file(href)
                continue
            token.attrSet("href", target)
        elif token.type == "link_close" and unserved:
            yield token.copy(type="text", tag="", nesting=0, content=f" ({unserved})")
            unserved = ""
            continue
        yield token


def _target(href: str) -> str | None:
    """Return the address of a link's target on the service, None if the target is no page there."""
    if "://" in href or href.startswith("#"):
        return href
    file = _file(href)
    addresses = {f"docs/{chapter.name}.md": chapter.address for chapter in chapters()}
    if file in addresses:
        return addresses[file] + "".join(href.partition("#")[1:])
    return _SERVED.get(file)


def _file(href: str) -> str:
    """Return the path in the repository that a link of a page leads to."""
    return posixpath.normpath(posixpath.join("docs", href.partition("#")[0]))
