"""The guide as the service shows it: every page of it, and where its links and anchors lead."""

import re
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

import pytest

from tests.support.client import Client
from tests.support.pages import ROOT, anchors, links, read
from todo_api.site import guide

LISTED = re.findall(r"^\| \[[^]]+]\(([\w-]+)\.md\)", read("docs/guide.md"), re.MULTILINE)
PAGES = {"guide": "/guide/"} | {name: f"/guide/{name}" for name in LISTED}
SITE = ["/", "/problems/", "/problems/not_found", *PAGES.values()]


class Read(HTMLParser):
    """The ids, links and words of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[dict[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag says."""
        named = dict(attrs)
        if named.get("id"):
            self.ids.append(str(named["id"]))
        if tag == "a":
            self.links.append(named)


def shown(client: Client, path: str) -> Read:
    reply = client.get(path)
    assert reply.status == 200, path
    return Read(reply.body.decode())


def test_guide_has_a_page_for_each_page_that_it_lists() -> None:
    assert len(PAGES) > 8
    assert {chapter.name: chapter.address for chapter in guide.chapters()} == PAGES


@pytest.mark.parametrize("path", SITE)
def test_links_and_anchors_of_a_page_lead_somewhere(anonymous: Client, path: str) -> None:
    page = shown(anonymous, path)
    targets = {urldefrag(urljoin(path, str(link["href"]))) for link in page.links}
    inside = [target for target in targets if "://" not in target.url and not target.url.startswith("/api/v1/re")]
    assert inside
    for target in inside:
        reply = anonymous.get(target.url)
        assert reply.status == 200, target
        if target.fragment:
            assert target.fragment in Read(reply.body.decode()).ids, target


@pytest.mark.parametrize("name", PAGES)
def test_page_has_the_headings_of_its_markdown_with_their_anchors(anonymous: Client, name: str) -> None:
    page = shown(anonymous, PAGES[name])
    assert {*page.ids} - {"main"} == anchors(read(f"docs/{name}.md"))
    assert len({*page.ids}) == len(page.ids)
    listed = [str(link["href"])[1:] for link in page.links if str(link["href"]).startswith("#")]
    second = anchors("\n".join(re.findall(r"^## .*", read(f"docs/{name}.md"), re.MULTILINE)))
    assert {*listed} >= second


@pytest.mark.parametrize("name", PAGES)
def test_page_has_the_code_of_its_markdown(anonymous: Client, name: str) -> None:
    html = anonymous.get(PAGES[name]).body.decode()
    text = read(f"docs/{name}.md")
    assert html.count("<pre>") == len(re.findall(r"^```\w*\n", text, re.MULTILINE)) // 2 + len(
        re.findall(r"\n\n(?=    \S)", text)
    )


@pytest.mark.parametrize("name", PAGES)
def test_cells_of_a_table_are_named_for_narrow_screens(anonymous: Client, name: str) -> None:
    html = anonymous.get(PAGES[name]).body.decode()
    tables = re.findall(r"<table>.*?</table>", html, re.DOTALL)
    assert len(tables) == html.count("<table")
    for table in tables:
        names = [re.sub(r"<[^>]+>", "", head) for head in re.findall(r"<th>(.*?)</th>", table)]
        rows = re.findall(r"<tr>(.*?)</tr>", table.partition("</thead>")[2], re.DOTALL)
        assert rows
        for row in rows:
            assert re.findall(r'<td data-label="([^"]*)">', row) == names


@pytest.mark.parametrize("name", PAGES)
def test_columns_of_a_table_have_a_name(anonymous: Client, name: str) -> None:
    assert b"<th></th>" not in anonymous.get(PAGES[name]).body


def test_pages_lead_to_the_one_before_and_the_next(anonymous: Client) -> None:
    turns = [
        {link["rel"]: link["href"] for link in shown(anonymous, path).links if "rel" in link} for path in PAGES.values()
    ]
    paths = [*PAGES.values()]
    assert [turn.get("next") for turn in turns] == [*paths[1:], None]
    assert [turn.get("prev") for turn in turns] == [None, *paths[:-1]]


@pytest.mark.parametrize("path", PAGES.values())
def test_page_leads_to_every_other_page_and_marks_itself(anonymous: Client, path: str) -> None:
    links = shown(anonymous, path).links
    assert {link["href"] for link in links} >= {*PAGES.values(), "/", "/api/v1/reference/", "/api/v1/ui/", "/problems/"}
    assert [link["href"] for link in links if link.get("aria-current") == "page"] == [path]


@pytest.mark.parametrize("name", PAGES)
def test_links_between_pages_are_those_of_the_markdown(anonymous: Client, name: str) -> None:
    written = [target.partition(".md") for target in links(read(f"docs/{name}.md"))]
    expected = {PAGES[page] + anchor for page, _, anchor in written if page in PAGES}
    assert {link["href"] for link in shown(anonymous, PAGES[name]).links} >= expected


@pytest.mark.parametrize("path", PAGES.values())
def test_link_to_a_file_that_is_not_served_is_the_name_of_the_file(anonymous: Client, path: str) -> None:
    html = re.sub(r"<(?:code|pre).*?</(?:code|pre)>", "", anonymous.get(path).body.decode(), flags=re.DOTALL)
    named = re.findall(r"\(((?:docs|tests|openapi|deploy)/[^)]+)\)", html)
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert "](" not in html


def test_front_page_leads_to_the_guide(anonymous: Client) -> None:
    assert "/guide/" in [link["href"] for link in shown(anonymous, "/").links]
