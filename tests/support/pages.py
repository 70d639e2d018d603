"""The pages of documentation as the tests read them: sections, tables, blocks of code, anchors and links."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HIDDEN = "\0"


def read(name: str) -> str:
    """Return the text of a page, by its path in the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """Return what stands under a heading, up to the next heading of any level."""
    found = re.search(
        rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", _without_code_headings(text), re.MULTILINE | re.DOTALL
    )
    assert found is not None, title
    return found[1].replace(_HIDDEN, "#")


def rows(text: str) -> list[list[str]]:
    """Return the cells of all tables in a text, without their heads."""
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    lines = [line for table in tables for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def shell(text: str) -> str:
    """Return the shell commands of a text that has one block of them."""
    (commands,) = [code for language, code in BLOCK.findall(text) if language == "bash"]
    return str(commands)


def links(text: str) -> list[str]:
    """Return the targets of the links that stay in the repository."""
    prose = re.sub(r"`[^`\n]*`", "", BLOCK.sub("", text))
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in target]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", _without_code_headings(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _without_code_headings(text: str) -> str:
    """Return the text with the comments of code told apart from headings."""
    return BLOCK.sub(lambda block: block[0].replace("#", _HIDDEN), text)
