"""Pages to read: the front page, a reference of the contract, and a page for each kind of problem."""

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from todo_api.contract import load, problem_text, problem_texts, resolve
from todo_api.http import INTERNAL_ERROR, METHODS, PROBLEM_TYPES, ProblemType
from todo_api.site.pages import Makers, Page, html, page

REFERENCE = "/api/v1/reference/"
PROBLEMS = "/problems/"
_FOLDER = Path(__file__).parent
_POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def pages(path: Path) -> Makers:
    """The pages of the contract in that file."""
    found: Makers = {
        "/": partial(_render, path, "front.html"),
        REFERENCE: lambda: _render(path, "reference.html", operations=_operations(load(path))),
        PROBLEMS: lambda: _render(path, "problems.html", kinds=_kinds(), advice=problem_texts()),
        "/static/pages.css": lambda: page((_FOLDER / "static" / "pages.css").read_bytes(), "text/css; charset=utf-8"),
    }
    return found | {PROBLEMS + kind.code: partial(_problem, path, kind) for kind in _kinds()}


def _kinds() -> list[ProblemType]:
    """One of each code, in their order."""
    return sorted(
        {kind.code: kind for kind in [*PROBLEM_TYPES.values(), INTERNAL_ERROR]}.values(), key=lambda kind: kind.code
    )


def _problem(path: Path, kind: ProblemType) -> Page:
    examples = _examples(load(path), kind)
    return _render(path, "problem.html", kind=kind, advice=problem_text(kind.code), examples=examples)


def _render(path: Path, template: str, **values: Any) -> Page:
    return html(_templates(path)(template).render(**values).encode(), _POLICY)


@cache
def _templates(path: Path) -> Callable[[str], Any]:
    """Finds a template, which then tells of the contract in that file."""
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
    environment.globals.update(document=load(path), reference=REFERENCE, rules=_rules)
    return environment.get_template


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The operations as the reference tells them, every `$ref` but those of schemas resolved."""
    found = []
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
                responses = {status: resolve(document, part) for status, part in operation["responses"].items()}
                found.append(
                    {
                        **operation,
                        "method": method.upper(),
                        "path": document["servers"][0]["url"] + path,
                        "parameters": [resolve(document, parameter) for parameter in parameters],
                        "body": _content(document, operation.get("requestBody")),
                        "responses": {status: (part, _content(document, part)) for status, part in responses.items()},
                    }
                )
    return found


def _content(document: dict[str, Any], part: dict[str, Any] | None) -> dict[str, Any] | None:
    """Media type, name of the schema, and first example of a body."""
    if part is None or "content" not in part:
        return None
    ((media_type, content),) = part["content"].items()
    example = resolve(document, next(iter(content["examples"].values())))["value"]
    return {"media_type": media_type, "schema": content["schema"]["$ref"].rpartition("/")[2], "example": example}


def _rules(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """A schema in words."""
    if "$ref" in schema:
        return _rules(document, resolve(document, schema))
    words = [schema.get("type", "value")]
    if "format" in schema:
        words[0] += f" ({schema['format']})"
    if schema.get("nullable"):
        words.append("or null")
    if "items" in schema:
        words.append(f"of {_rules(document, schema['items'])}")
    if "enum" in schema:
        words.append("one of " + ", ".join(f"`{value}`" for value in schema["enum"]))
    for low, high, unit in (
        ("minLength", "maxLength", " characters"),
        ("minimum", "maximum", ""),
        ("minItems", "maxItems", " items"),
    ):
        if high in schema:
            words.append(f"{schema.get(low, 0)} to {schema[high]}{unit}")
    if "default" in schema:
        words.append(f"default `{schema['default']}`")
    return ", ".join(words)


def _examples(document: dict[str, Any], kind: ProblemType) -> list[dict[str, Any]]:
    """The contract's examples of a problem, or one made up where no operation can answer with it."""
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
