"""Pages to read: the front page, a reference of the contract, and a page for each kind of problem."""

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from todo_api.contract import load, resolve
from todo_api.http.problems import INTERNAL_ERROR, KINDS, Kind
from todo_api.http.routing import METHODS
from todo_api.site.pages import Makers, Page, html, page

REFERENCE = "/api/v1/reference/"
PROBLEMS = "/problems/"
_FOLDER = Path(__file__).parent
_POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Advice(NamedTuple):
    """What a problem means, and what to do about it, for people."""

    happened: str
    do: str


ADVICE: dict[str, Advice] = {
    "accounts_disabled": Advice(
        "This deployment takes the tokens of an external issuer, and keeps no accounts of its own.",
        "Register and sign in with that issuer, and send its token.",
    ),
    "bad_request": Advice(
        "What arrived is not HTTP as the RFCs have it, so that the service did not even look for an operation.",
        "Look at what your client really sends. Most HTTP libraries cannot send this by accident.",
    ),
    "email_taken": Advice(
        "There is an account with this e-mail address already. Upper and lower case make no difference.",
        "Ask for a token with `issueToken` instead, or register with another address.",
    ),
    "expectation_failed": Advice(
        "The request has an `Expect` field with something else than `100-continue`, which is all that the service meets.",
        "Leave out the other expectation.",
    ),
    "forbidden": Advice(
        "The address names a user other than the one the token speaks for. Whether that user exists is not told.",
        "Use `me` in the path, or the `sub` of your token.",
    ),
    "fresh_token_required": Advice(
        "What you asked for cannot be undone, and your token is not from the last five minutes: it may have been left lying about.",
        "Sign in with your issuer again, and send the request with the new token at once.",
    ),
    "header_fields_too_large": Advice(
        "The header section of the request is larger than the service reads.",
        "Send fewer or shorter header fields; look for cookies and tokens that have grown.",
    ),
    "idempotency_in_progress": Advice(
        "A request with this `Idempotency-Key` has not been answered yet. Whether it will succeed is not known.",
        "Wait for as long as `Retry-After` says, and send the same request with the same key again.",
    ),
    "idempotency_key_reused": Advice(
        "This `Idempotency-Key` came with a request to another address, or with other parameters or another body, in the last 24 hours.",
        "Make a new key, such as a UUID, for each new request; send the same key only with the very same request.",
    ),
    "insufficient_scope": Advice(
        "The API key is good, and was made without a scope that this operation needs. `WWW-Authenticate` names all that it needs.",
        "Use a key that has every one of them. What needs `credentials` takes a token of the issuer: no key has that.",
    ),
    "internal_error": Advice(
        "Something went wrong on our side. Nothing is wrong with your request.",
        "Try again later. If it stays, report the `request_id`: the log has the cause under it.",
    ),
    "invalid_credentials": Advice(
        "The e-mail address or the password is wrong. Which of the two is not told.",
        "Check both. There is no account until it was registered.",
    ),
    "invalid_cursor": Advice(
        "The cursor was not made for this list: it belongs to another user, other filters or another sort, or was altered.",
        "Start again without a cursor. Keep filters and sort the same from page to page; the limit may change.",
    ),
    "invalid_refresh_token": Advice(
        "The session of this refresh token has ended: by signing out, by a change of the password, by time, or because one of its "
        "refresh tokens was sent a second time.",
        "Sign in again. Keep the refresh token of every reply in place of the one before, and refresh from one place at a time.",
    ),
    "invalid_transition": Advice(
        "The status of a task cannot change this way. `from` is what it is, `to` what was asked for.",
        "Choose one of `allowed`. A cancelled task becomes pending before it can be completed.",
    ),
    "malformed_json": Advice(
        "The body is not a JSON text in UTF-8, or has a name twice in one object, or a number or a depth beyond all use.",
        "Let a JSON library write the body.",
    ),
    "method_not_allowed": Advice(
        "There is a resource at this address, and it does not have this method.",
        "`Allow` lists the methods it has.",
    ),
    "not_found": Advice(
        "There is nothing at this address, or no such task in your space. What belongs to another user is not told apart.",
        "Check the id. A deleted task stays deleted.",
    ),
    "not_implemented": Advice(
        "The request uses a transfer coding that the service does not have.",
        "Send the body with `Content-Length`, or as `chunked` alone.",
    ),
    "overloaded": Advice(
        "More is asked of the service than it can answer in time: this request waited, and was refused before it began.",
        "Wait for `Retry-After` seconds, and longer after each further refusal, then try again. Nothing was done.",
    ),
    "payload_too_large": Advice(
        "The body is larger than any body may be.",
        "Send less. The longest task fits many times over.",
    ),
    "precondition_failed": Advice(
        "The task or account has changed since you read it, and your change would have overwritten that. Nothing was stored.",
        "`current` is how it stands. Make your change to it, and send it again with its `ETag` in `If-Match`.",
    ),
    "rate_limited": Advice(
        "You have sent more requests than the limit has room for, or others at your address have, or sign-ins have failed too often.",
        "Wait for `Retry-After` seconds, then send it again: it was not done. Spread your requests by what `RateLimit` says is left.",
    ),
    "request_timeout": Advice(
        "The request began to arrive, and its end did not come in time.",
        "Send the request without pauses. Nothing was done, so that it may be sent again.",
    ),
    "too_many_keys": Advice(
        "There are as many API keys as a user can have. Expired ones count until they are revoked.",
        "List the keys, and revoke those that are used no more: `last_used_at` tells.",
    ),
    "unauthorized": Advice(
        "There was no bearer token, or it does not hold: it has expired, or was made by or for somebody else.",
        "Get a new token. `WWW-Authenticate` has `error` where a token was sent.",
    ),
    "unavailable": Advice(
        "Something that the service needs, such as its database, is out of reach. Nothing is wrong with your request.",
        "Wait for `Retry-After` seconds, then try again. A write may have been done: read before you repeat it.",
    ),
    "unsupported_media_type": Advice(
        "The body is not declared as what the operation takes, or it has a `Content-Encoding`, such as gzip, that is not decoded here.",
        "Send exactly one `Content-Type`, as `Accept` or `Accept-Patch` in the reply says, and no `Content-Encoding`.",
    ),
    "uri_too_long": Advice("The request line is longer than the service reads.", "Shorten the address."),
    "validation_failed": Advice(
        "The request breaks the contract. `errors` lists every place, with the rule that it breaks.",
        "Mend each of them. `location` and `pointer` say where, `code` which rule, `detail` how.",
    ),
    "wrong_password": Advice(
        "The token holds, but the password that was sent to confirm the request is not the account's.",
        "Send the present password of the account. A new token makes no difference.",
    ),
}


def pages(path: Path) -> Makers:
    """The pages of the contract in that file."""
    found: Makers = {
        "/": partial(_render, path, "front.html"),
        REFERENCE: lambda: _render(path, "reference.html", operations=_operations(load(path))),
        PROBLEMS: lambda: _render(path, "problems.html", kinds=_kinds(), advice=ADVICE),
        "/static/pages.css": lambda: page((_FOLDER / "static" / "pages.css").read_bytes(), "text/css; charset=utf-8"),
    }
    return found | {PROBLEMS + kind.code: partial(_problem, path, kind) for kind in _kinds()}


def _kinds() -> list[Kind]:
    """One of each code, in their order."""
    return sorted({kind.code: kind for kind in [*KINDS.values(), INTERNAL_ERROR]}.values(), key=lambda kind: kind.code)


def _problem(path: Path, kind: Kind) -> Page:
    examples = _examples(load(path), kind)
    return _render(path, "problem.html", kind=kind, advice=ADVICE[kind.code], examples=examples)


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


def _examples(document: dict[str, Any], kind: Kind) -> list[dict[str, Any]]:
    """The contract's examples of a problem, or one made up where no operation can answer with it."""
    values = [example["value"] for example in document["components"]["examples"].values()]
    made_up = {
        "type": f"{PROBLEMS}{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": ADVICE[kind.code].happened,
        "code": kind.code,
        "request_id": "01932c079f7a7c1db6a15a2f0f5d1c3e",
    }
    return [value for value in values if isinstance(value, dict) and value.get("code") == kind.code] or [made_up]
