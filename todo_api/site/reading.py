"""Pages for people: front page, guide, reference, try-it page, and a page per problem."""

import json
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from todo_api.contract import TASK_API, load, operations, problem_text, problem_texts, resolve
from todo_api.http import INTERNAL_ERROR, PROBLEM_TYPES, ProblemType
from todo_api.site import assets, guide, public
from todo_api.site.pages import LOCAL, Page, PageFactories, html, redirect

REFERENCE = "/api/v1/reference/"
TRY_IT = "/api/v1/ui/"
PROBLEMS = "/problems/"
_FOLDER = Path(__file__).parent
_CLOSED = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_SCRIPTED = f"{_CLOSED}; script-src 'self'; connect-src 'self'; font-src 'self'"
_STYLED = _SCRIPTED.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
"""Scalar writes its styles into the page."""

_EXPECTED = {
    guide.GUIDE.rstrip("/"): guide.GUIDE,
    "/docs": REFERENCE,
    "/redoc": REFERENCE,
    "/api/v1/docs": REFERENCE,
    REFERENCE.rstrip("/"): REFERENCE,
    TRY_IT.rstrip("/"): TRY_IT,
    PROBLEMS.rstrip("/"): PROBLEMS,
    "/openapi.json": "/api/v1/openapi.json",
    "/openapi.yaml": "/api/v1/openapi.yaml",
    "/favicon.ico": assets.addresses()["favicon-32x32.png"],
}
"""Addresses where people look for a page, and where it is."""


def pages(origin: str = LOCAL) -> PageFactories:
    """Return the page factories of the service at the origin."""
    found: PageFactories = {
        "/": lambda: _render("front.html", _CLOSED, origin=origin),
        REFERENCE: lambda: _render("reference.html", _STYLED),
        TRY_IT: lambda: _render("ui.html", _SCRIPTED),
        PROBLEMS: lambda: _render("problems.html", _CLOSED, kinds=_kinds(), advice=problem_texts()),
    }
    found |= {chapter.address: partial(_guide, chapter) for chapter in guide.chapters()}
    found |= {address: partial(redirect, target) for address, target in _EXPECTED.items()}
    return found | {PROBLEMS + kind.code: partial(_problem, kind) for kind in _kinds()} | assets.pages()


def error_page(public_path: str, problem: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and body of a page that shows a problem document."""
    document = json.loads(problem)
    document["type"] = document["type"].removeprefix(public_path)
    text = _html("error.html", problem=document)
    made = html(public.linked(public_path, "text/html", text), _CLOSED)
    return [header for header in made.headers if header[0] not in {b"etag", b"cache-control"}], made.body


def _kinds() -> list[ProblemType]:
    """Return one problem type per code, in their order."""
    return sorted(
        {kind.code: kind for kind in [*PROBLEM_TYPES.values(), INTERNAL_ERROR]}.values(), key=lambda kind: kind.code
    )


def _guide(chapter: guide.Chapter) -> Page:
    chapters = guide.chapters()
    place = chapters.index(chapter)
    text, headings = guide.render(chapter)
    values: dict[str, Any] = {
        "chapter": chapter,
        "chapters": chapters,
        "text": text,
        "headings": headings,
        "previous": chapters[place - 1] if place else None,
        "following": chapters[place + 1] if place + 1 < len(chapters) else None,
    }
    return _render("guide.html", _CLOSED, **values)


def _problem(kind: ProblemType) -> Page:
    document = load(TASK_API)
    values: dict[str, Any] = {
        "kind": kind,
        "advice": problem_text(kind.code),
        "examples": _examples(document, kind),
        "operations": [*_operations_with(document, kind.code)],
    }
    return _render("problem.html", _CLOSED, **values)


def _render(template: str, policy: str, **values: Any) -> Page:
    return html(_html(template, **values), policy)


def _html(template: str, **values: Any) -> bytes:
    text: str = _templates().get_template(template).render(**values)
    return text.encode()


@cache
def _templates() -> Any:
    """Return the environment of the templates, with what all of them show."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  # only to make a page
    from markdown_it import MarkdownIt  # noqa: PLC0415  # only to make a page

    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    markdown = MarkdownIt("commonmark", {"html": False})
    environment.filters["markdown"] = lambda text: Markup(markdown.render(text or ""))  # noqa: S704  # html is off
    environment.filters["inline"] = lambda text: Markup(markdown.renderInline(text or ""))  # noqa: S704  # html is off
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    environment.globals.update(
        document=load(TASK_API), guide=guide.GUIDE, reference=REFERENCE, try_it=TRY_IT, asset=assets.addresses()
    )
    return environment


def _operations_with(document: dict[str, Any], code: str) -> Iterator[dict[str, str]]:
    """Yield operations whose replies have an example with the code."""
    for path, method, operation in operations(document):
        if code in _codes(document, operation):
            yield {
                "name": operation["operationId"],
                "summary": operation["summary"],
                "anchor": f"#tag/{operation['tags'][0]}/{method.upper()}{path}",
            }


def _codes(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    """Return the codes in the examples of an operation's replies."""
    contents = [
        content
        for reply in operation["responses"].values()
        for content in resolve(document, reply).get("content", {}).values()
    ]
    values = [
        resolve(document, example)["value"] for content in contents for example in content.get("examples", {}).values()
    ]
    return {value["code"] for value in values if isinstance(value, dict) and "code" in value}


def _examples(document: dict[str, Any], kind: ProblemType) -> list[dict[str, Any]]:
    """Return the contract's examples of a problem, or a made-up one if it has none."""
    values = [example["value"] for example in document["components"]["examples"].values()]
    made_up = {
        "type": f"{PROBLEMS}{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem_text(kind.code).happened,
        "code": kind.code,
        "request_id": "01932c079f7a7c1db6a15a2f0f5d1c3e",
    }
    return [value for value in values if isinstance(value, dict) and value.get("code") == kind.code] or [made_up]
