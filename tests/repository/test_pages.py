"""The pages of documentation lead where they say, and are short enough to read."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.pages import PAGES, ROOT, anchors, links, read, section

README_LINES = 200
MOST_WORDS = 1500
EXAMPLE_LINES = 10
REPORTS = {"docs/benchmarks.md", "docs/reliability.md", "CHANGELOG.md"}
"""Records of measurements and releases: nobody reads them from end to end."""

WITHOUT_EXAMPLE = REPORTS | {"SECURITY.md", "docs/contract.md", "docs/contract-points.md"}
"""Promises, which have no example to begin with. Decisions and templates have none either."""

MADE = re.compile(r"^<!-- figures -->.*?^<!-- end of figures -->$", re.MULTILINE | re.DOTALL)
"""Figures that a program writes into a page."""

WITHIN = re.compile(r"[.?!][)\"*_]* +(?=[A-Z`\[(*])")
"""The end of a sentence, with another one after it."""

MANUAL = [page for page in PAGES if page.parent in (ROOT, ROOT / "docs")]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_of_the_page_lead_to_files_and_headings_that_exist(page: Path) -> None:
    broken = []
    for target in links(page.read_text(encoding="utf-8")):
        path, _, heading = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (heading and heading not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize("page", [page for page in MANUAL if name(page) not in REPORTS], ids=name)
def test_page_is_short_enough_to_read_at_once(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").split()) < MOST_WORDS


@pytest.mark.parametrize("page", [page for page in MANUAL if name(page) not in WITHOUT_EXAMPLE], ids=name)
def test_page_has_its_first_example_within_ten_lines(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()[: EXAMPLE_LINES + 1]
    assert [line for line in lines if re.match(r"```|    \S", line)]


def prose(page: Path) -> list[str]:
    """Return the lines of a page; tables, headings and code are empty lines."""
    text = MADE.sub(
        "", re.sub(r"\A---\n.*?^---$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    )
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]*`|\([^()\n]*\)", lambda found: "X" if found[0][0] == "`" else "x", text)
    text = re.sub(r"\*\*|^( *)\d+\. ", r"\1", text, flags=re.MULTILINE)
    return ["" if re.match(r"\||#|<!--|    ", line) else line for line in text.splitlines()]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "benchmarks.md"], ids=name)
def test_page_has_one_sentence_a_line(page: Path) -> None:
    """So that a change of a sentence is a change of a line."""
    lines = prose(page)
    two = [line for line in lines if WITHIN.search(line)]
    broken = [
        line
        for line, following in pairwise(lines)
        if re.search(r"[^.?!:\"*)_|]$", line) and re.match(r" *[^-*\d\s]", following)
    ]
    assert (two, broken) == ([], [])


def test_every_page_is_linked_from_the_readme_or_a_page_that_it_links_to() -> None:
    seen, coming = set(), [ROOT / "README.md"]
    while coming:
        page = coming.pop()
        if page in seen:
            continue
        seen.add(page)
        found = [(page.parent / target.partition("#")[0]).resolve() for target in links(page.read_text("utf-8"))]
        coming += [path for path in found if path.suffix == ".md" and path.exists()]
    manual = {page for page in PAGES if page.parent != ROOT / ".github" and ".github" not in page.parts}
    decisions = {page for page in manual if page.parent.name == "decisions"}
    assert {name(page) for page in manual - decisions - seen} == set()


def test_guide_lists_the_pages_that_the_readme_has_for_those_who_use_the_api() -> None:
    listed = {f"docs/{target}" for target in links(read("docs/guide.md")) if re.fullmatch(r"[\w-]+\.md", target)}
    using = section(read("README.md"), "Where to read on").partition("To run the service")[0]
    assert {target for target in links(using) if target.startswith("docs/")} <= listed | {"docs/guide.md"}
