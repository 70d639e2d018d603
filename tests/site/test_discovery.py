"""What a program can find out from the host's name alone, and the contract as OpenAPI 3.1."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from tests.support.client import Client
from tests.support.credentials import SECRET
from todo_api import contract
from todo_api.config import Config, ConfigurationError, load_config
from todo_api.contract import openapi31

CATALOG = "/.well-known/api-catalog"
SECURITY = "/.well-known/security.txt"
CONTRACT_31 = "/api/v1/openapi-3.1.json"
LINKS = {
    "service-desc": [
        {"href": "/api/v1/openapi.yaml", "type": "application/yaml"},
        {"href": "/api/v1/openapi.json", "type": "application/json"},
        {"href": "/api/v1/openapi-3.1.json", "type": "application/json"},
    ],
    "service-doc": [{"href": "/api/v1/ui/", "type": "text/html"}],
    "status": [{"href": "/health/ready", "type": "application/json"}],
}


@pytest.fixture(scope="module")
def secured(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A service that names whom to tell of a weakness."""
    settings = {"SECURITY_CONTACT": "mailto:security@example.com", "SECURITY_EXPIRES": "2027-11-01T00:00:00Z"}
    return new_client(load_config({"DATABASE_URL": url, "JWT_SECRET": SECRET, **settings}))


def test_catalog_answers_the_links_of_the_api(anonymous: Client) -> None:
    reply = anonymous.get(CATALOG)
    assert reply.status == 200
    assert reply.headers["content-type"] == (
        'application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"'
    )
    assert reply.json() == {"linkset": [{"anchor": "/api/v1", **LINKS}]}


def test_catalog_head_links_to_itself(anonymous: Client) -> None:
    assert anonymous.request("HEAD", CATALOG).headers["link"] == f'<{CATALOG}>; rel="api-catalog"'


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/"])
def test_root_links_to_the_contract_and_the_catalog(anonymous: Client, path: str) -> None:
    reply = anonymous.get(path)
    assert reply.status == 200
    assert reply.json() == {"linkset": [{"anchor": "/api/v1", **LINKS}]}
    assert reply.headers["link"].split(", ") == [
        '</api/v1/openapi.yaml>; rel="service-desc"; type="application/yaml"',
        '</api/v1/openapi.json>; rel="service-desc"; type="application/json"',
        '</api/v1/openapi-3.1.json>; rel="service-desc"; type="application/json"',
        '</api/v1/ui/>; rel="service-doc"; type="text/html"',
        '</health/ready>; rel="status"; type="application/json"',
        '</.well-known/api-catalog>; rel="api-catalog"',
    ]


@pytest.mark.parametrize(
    "target", [target for targets in LINKS.values() for target in targets], ids=lambda t: t["href"]
)
def test_link_leads_to_what_it_says(anonymous: Client, target: dict[str, str]) -> None:
    reply = anonymous.get(target["href"])
    assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (200, target["type"])


def test_security_txt_names_contact_and_expiry(secured: Client) -> None:
    reply = secured.get(SECURITY)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.body.decode() == (
        "Contact: mailto:security@example.com\nExpires: 2027-11-01T00:00:00Z\nPreferred-Languages: en\n"
    )


def test_security_txt_without_a_contact_is_not_found(anonymous: Client) -> None:
    assert anonymous.get(SECURITY).status == 404


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"SECURITY_CONTACT": "mailto:a@example.com"}, "go together"),
        ({"SECURITY_EXPIRES": "2027-11-01T00:00:00Z"}, "go together"),
        ({"SECURITY_CONTACT": "a@example.com", "SECURITY_EXPIRES": "2027-11-01T00:00:00Z"}, "must be a URI"),
        ({"SECURITY_CONTACT": "http://example.com", "SECURITY_EXPIRES": "2027-11-01T00:00:00Z"}, "must be a URI"),
        ({"SECURITY_CONTACT": "mailto:a@b\nX: y", "SECURITY_EXPIRES": "2027-11-01T00:00:00Z"}, "must be a URI"),
        ({"SECURITY_CONTACT": "mailto:a@example.com", "SECURITY_EXPIRES": "2027-11-01"}, "must be a time"),
        ({"SECURITY_CONTACT": "mailto:a@example.com", "SECURITY_EXPIRES": "2027-02-30T00:00:00Z"}, "must be a time"),
    ],
)
def test_security_settings_that_are_wrong_stop_the_start(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_config(settings)


@pytest.mark.parametrize("path", [CATALOG, "/api/v1", SECURITY, CONTRACT_31])
class TestEachPage:
    """What holds for every page of discovery."""

    def test_head_answers_like_get_without_the_body(self, secured: Client, path: str) -> None:
        get, head = secured.get(path), secured.request("HEAD", path)
        named = {name: value for name, value in get.headers.items() if name != "x-request-id"}
        assert head.status == 200
        assert head.body == b""
        assert {name: value for name, value in head.headers.items() if name != "x-request-id"} == named

    def test_get_with_its_etag_answers_not_modified(self, secured: Client, path: str) -> None:
        tag = secured.get(path).headers["etag"]
        reply = secured.get(path, headers={"If-None-Match": tag})
        assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", tag)

    def test_options_says_what_is_allowed(self, secured: Client, path: str) -> None:
        reply = secured.request("OPTIONS", path)
        assert (reply.status, reply.headers["allow"], reply.body) == (204, "GET, HEAD, OPTIONS", b"")

    def test_post_is_refused_with_what_is_allowed(self, secured: Client, path: str) -> None:
        reply = secured.post(path, {})
        assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_contract_is_published_as_one_document(anonymous: Client) -> None:
    reply = anonymous.get("/api/v1/openapi.yaml")
    assert reply.body == contract.as_yaml(contract.TASK_API)
    assert yaml.safe_load(reply.body) == contract.load(contract.TASK_API)
    assert anonymous.get("/api/v1/openapi.json").json() == contract.load(contract.TASK_API)


def test_contract_with_its_etag_is_not_modified(anonymous: Client) -> None:
    tag = anonymous.get("/api/v1/openapi.yaml").headers["etag"]
    assert anonymous.get("/api/v1/openapi.yaml", headers={"If-None-Match": tag}).status == 304


def test_contract_31_is_valid(anonymous: Client) -> None:
    document = anonymous.get(CONTRACT_31).json()
    assert document["openapi"] == "3.1.0"
    validate(document, cls=OpenAPIV31SpecValidator)


def test_contract_31_says_what_contract_30_says(anonymous: Client) -> None:
    """Put back by hand what 3.1 writes differently, and nothing else differs."""
    restored = _restored(anonymous.get(CONTRACT_31).json())
    assert restored | {"openapi": "3.0.3"} == contract.load(contract.TASK_API)


def test_contract_31_schemas_are_in_the_words_of_json_schema() -> None:
    schemas = {
        "Amount": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 9, "exclusiveMaximum": False},
        "Colour": {"type": "string", "nullable": True, "enum": ["red"], "example": "red"},
        "Thing": {
            "type": "object",
            "properties": {"example": {"type": "string", "nullable": True}, "nullable": {"type": "boolean"}},
            "additionalProperties": {"type": "integer", "nullable": True},
            "example": {"nullable": True, "schema": {"nullable": True}},
        },
        "Things": {"type": "array", "items": {"anyOf": [{"type": "string", "nullable": False}]}},
    }
    document = {"openapi": "3.0.3", "components": {"schemas": schemas}}
    assert openapi31.convert(document) == {
        "openapi": "3.1.0",
        "components": {
            "schemas": {
                "Amount": {"type": "number", "exclusiveMinimum": 0, "maximum": 9},
                "Colour": {"type": ["string", "null"], "enum": ["red", None], "examples": ["red"]},
                "Thing": {
                    "type": "object",
                    "properties": {"example": {"type": ["string", "null"]}, "nullable": {"type": "boolean"}},
                    "additionalProperties": {"type": ["integer", "null"]},
                    "examples": [{"nullable": True, "schema": {"nullable": True}}],
                },
                "Things": {"type": "array", "items": {"anyOf": [{"type": "string"}]}},
            }
        },
    }


def _restored(part: Any) -> Any:
    if isinstance(part, list):
        return [_restored(member) for member in part]
    if not isinstance(part, dict):
        return part
    restored = {name: _restored(value) for name, value in part.items()}
    if isinstance(part.get("type"), list):
        restored |= {"type": part["type"][0], "nullable": True}
    if isinstance(part.get("examples"), list):
        (restored["example"],) = restored.pop("examples")
    return restored


def test_llms_txt_names_the_api_and_leads_to_what_is_there(anonymous: Client) -> None:
    reply = anonymous.get("/llms.txt")
    text = reply.body.decode()
    assert reply.headers["content-type"] == "text/markdown; charset=utf-8"
    assert text.startswith("# Task API\n\n> Keep tasks over HTTP.")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == 6
    assert {link: anonymous.get(link).status for link in links} == dict.fromkeys(links, 200)
