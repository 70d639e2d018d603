"""Every number in the contract that bounds a request: at it, and one beyond it. The list of them is the contract's."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from tests.support.cases import case
from tests.support.client import Client, Reply
from tests.support.credentials import SECRET, own_issuer
from tests.support.token_kinds import new_token
from todo_api import contract
from todo_api.config import Config
from todo_api.contract import resolve

DOCUMENT = contract.load(contract.TASK_API)
THING = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
KEYS = "/api/v1/me/keys"
BEYOND = {
    "maxLength": (1, "too_long"),
    "minLength": (-1, "too_short"),
    "maximum": (1, "too_large"),
    "minimum": (-1, "too_small"),
    "maxItems": (1, "too_many"),
    "minItems": (-1, "too_few"),
    "minProperties": (-1, "too_few"),
    "maxProperties": (1, "too_many"),
}
"""By the keyword of a bound, the step beyond it, and the code of the violation."""
EXPLAINING = {"too_short": ("pattern", "format"), "too_long": ("format", "pattern")}
"""By a violation, those that are told in its place where a value breaks both: one mistake is one violation."""


class Bound(NamedTuple):
    """A number of the contract, and where in a request it holds."""

    operation: str
    method: str
    path: str
    location: str
    pointer: str
    keyword: str
    schema: dict[str, Any]
    body: Any
    items: dict[str, Any]
    """By the name of an object or an array of them, the schema of the object."""

    def call(self, client: Client, value: Any) -> Reply:
        path, body, headers = self.path, self.body, {}
        name = self.pointer.removeprefix("/")
        if self.location == "path":
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        elif self.location == "query":
            path += f"?{name}={quote(str(value), safe=',')}"
        elif self.location == "header":
            headers = {name: value}
        elif "/" in name:  # a member of an object, or of the only item of an array
            outer, *index, member = name.split("/")
            item = self.items[outer]
            thing = {**{each: example(item, each) for each in item.get("required", ())}, member: value}
            body = {**body, outer: [thing] if index else thing}
        else:
            body = {**body, name: value} if name else value
        things = dict.fromkeys(("task_id", "key_id", "project_id", "item_id", "label"), THING)
        path = path.format(user_id="me", seq=90, **things)
        return client.request(self.method, path, json_body=body, headers=headers)

    def value(self, number: int) -> Any:
        """A value of that size, which keeps to the other rules of the schema if there is one; None where there is none."""
        schema = self.schema
        if schema["type"] == "integer":
            return number
        if schema["type"] == "array" and resolve(DOCUMENT, schema["items"])["type"] == "object":
            item = resolve(DOCUMENT, schema["items"])
            made = {each: example(item, each) for each in item.get("required", ())}
            return [made or self.body[self.pointer.removeprefix("/")][0]] * number
        if schema["type"] == "array":
            item = resolve(DOCUMENT, schema["items"])
            chosen = item["enum"][:number] if "enum" in item else [f"{item['example']}{n}" for n in range(number)]
            chosen += chosen[:1] * (number - len(chosen))
            return ",".join(chosen) if self.location == "query" else chosen
        if schema["type"] == "object" and self.pointer:
            names = sorted(schema["properties"], key=lambda name: name not in schema["required"])
            return {name: example(schema, name) for name in names[:number]}
        if schema["type"] == "object":
            others = {each: resolve(DOCUMENT, part).get("example") for each, part in schema["properties"].items()}
            members = self.body | {each: other for each, other in others.items() if each not in self.body}
            return {name: members[name] for name in list(members)[:number]}
        fitting = (text for text in texts(number) if len(text) == number and fits(schema, text))
        return next(fitting, None)


def example(schema: dict[str, Any], member: str) -> Any:
    """The contract's example of a member."""
    return resolve(DOCUMENT, schema["properties"][member])["example"]


def texts(number: int) -> Iterator[str]:
    """Texts in the forms that the contract knows, cut to that length where they have one of their own."""
    domain = ".".join(["a" * 63, "b" * 63, "c" * 63])
    yield from ("x" * number, "1" * number, THING, f'"{"x" * (number - 2)}"')
    yield from (f"{kind}_{'x' * (number - 4)}" for kind in ("tdr", "tdo"))
    yield from ("a@e.de"[-number:], "a@e.d", f"{'a' * 64}@{domain}"[:number])
    yield from ("2026-11-20", "17:30", "Europe/Berlin", "none")
    yield f"http://{'x' * (number - 7)}"
    yield from ("2999-01-01T00:00:00Z", f"2999-01-01T00:00:00.{'1' * (number - 21)}Z", "*")


def fits(schema: dict[str, Any], text: str) -> bool:
    """Whether a text keeps to the pattern and the format."""
    if schema.get("format") == "uuid" and not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        return False
    if schema.get("format") == "date-time" and not re.fullmatch(r"2999-01-01T00:00:00(\.1+)?Z", text):
        return False
    return re.search(schema.get("pattern", ""), text) is not None


def item_of(part: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of an object, or of the items of an array of objects."""
    schema = resolve(DOCUMENT, part)
    item: dict[str, Any] = resolve(DOCUMENT, schema["items"]) if schema["type"] == "array" else schema
    return item if item["type"] == "object" else None


def bounds() -> Iterator[Bound]:
    for template, item in DOCUMENT["paths"].items():
        for method in item.keys() - {"parameters"}:
            operation = item[method]
            body, places, items = None, [], {}
            if "requestBody" in operation:
                (media,) = operation["requestBody"]["content"].values()
                body = resolve(DOCUMENT, next(iter(media["examples"].values())))["value"]
                whole = resolve(DOCUMENT, media["schema"])
                members = whole["properties"].items()
                places = [("body", "", whole), *(("body", f"/{name}", part) for name, part in members)]
                items = {name: each for name, part in members if (each := item_of(part)) is not None}
                places += [
                    (
                        "body",
                        f"/{name}{'/0' if each is not resolve(DOCUMENT, whole['properties'][name]) else ''}/{member}",
                        part,
                    )
                    for name, each in items.items()
                    for member, part in each["properties"].items()
                ]
            for parameter in [*item.get("parameters", []), *operation.get("parameters", [])]:
                found = resolve(DOCUMENT, parameter)
                places.append((found["in"], f"/{found['name']}", found["schema"]))
            for location, pointer, part in places:
                schema = resolve(DOCUMENT, part)
                for keyword in BEYOND.keys() & schema.keys():
                    yield Bound(
                        operation["operationId"],
                        method.upper(),
                        f"/api/v1{template}",
                        location,
                        pointer,
                        keyword,
                        schema,
                        body,
                        items,
                    )


BOUNDS = sorted(bounds(), key=lambda bound: bound[:6])


@pytest.fixture(scope="module")
def open_client(url: str, new_client: Callable[[Config], Client], password_hash: str) -> Client:
    """A user with an account, whom no limit of requests or attempts keeps waiting."""
    service = new_client(Config(database_url=url, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000))
    return service.signed_in(new_token(url, own_issuer(), "account", password_hash))


def violations(reply: Reply, bound: Bound) -> set[str]:
    """The codes of what is wrong at the bound's place."""
    if reply.status != 400 or reply.code != "validation_failed":
        return set()
    return {
        error["code"]
        for error in reply.json()["errors"]
        if (error["location"], error["pointer"].lower()) == (bound.location, bound.pointer.lower())
    }


def never_reached(bound: Bound) -> bool:
    """Whether another rule of the same value forestalls the bound: how many scopes there are."""
    return (bound.operation, bound.pointer, bound.keyword) == ("createApiKey", "/scopes", "maxItems")


@pytest.mark.parametrize("operation", sorted({bound.operation for bound in BOUNDS}))
def test_every_bound_of_the_contract_at_it_is_taken_and_one_beyond_is_refused(
    open_client: Client, operation: str
) -> None:
    for bound in BOUNDS:
        if bound.operation == operation:
            with case(bound.location, bound.pointer, bound.keyword):
                assert_holds(open_client, bound)


def assert_holds(open_client: Client, bound: Bound) -> None:
    number = bound.schema[bound.keyword]
    step, code = BEYOND[bound.keyword]
    if not never_reached(bound):
        found = violations(bound.call(open_client, bound.value(number)), bound)
        assert found - {"unknown_time_zone"} == set()  # no zone has a name of this length
    least = 1 if bound.location == "path" else 0  # an empty part of a path is another path
    if step < 0 and bound.keyword != "minimum" and number + step < least:
        return
    value = bound.value(number + step)
    reply = bound.call(open_client, "x" * (number + step) if value is None else value)
    if (bound.location, bound.keyword) == ("query", "minItems"):  # empty, it is a list of an empty text
        item = resolve(DOCUMENT, bound.schema["items"])
        code, bound = "not_allowed" if "enum" in item else "pattern", bound._replace(pointer=f"{bound.pointer}/0")
    assert violations(reply, bound) & {code, *EXPLAINING.get(code, ())}


def test_bounds_of_the_contract_are_found() -> None:
    assert len(BOUNDS) > 100
    assert {bound.keyword for bound in BOUNDS} == {*BEYOND}
