"""Paths with percent-encoded characters: an escaped letter is the letter, and nothing is decoded twice (RFC 3986)."""

import pytest

from tests.support.client import Client

TASKS = "/api/v1/me/tasks"


LETTERS = {
    "/api/v1/me/%74asks": TASKS,
    "/api/v1/m%65/t%61sk%73": TASKS,
    "/%61pi/v%31/%6D%65/%74%61%73%6b%73": TASKS,
    "/api/v1/me/%61ccount": "/api/v1/me/account",
    "/health/%6cive": "/health/live",
    "/api/v1/%6fpenapi%2Ejson": "/api/v1/openapi.json",
    "/api/v1/openapi%2d3.1.json": "/api/v1/openapi-3.1.json",
    "/api/v1/u%69/": "/api/v1/ui/",
    "/%2ewell%2Dknown/api-catalog": "/.well-known/api-catalog",
}


@pytest.mark.parametrize(("escaped", "plain"), LETTERS.items())
def test_get_of_path_with_escaped_letters_is_that_of_the_letters(ada: Client, escaped: str, plain: str) -> None:
    wanted = {"X-Request-ID": "same"}
    got, expected = ada.get(escaped, headers=wanted), ada.get(plain, headers=wanted)
    assert (got.status, got.body, got.header_list) == (200, expected.body, expected.header_list)


def test_create_task_at_path_with_escaped_letters_is_made(ada: Client) -> None:
    assert ada.post("/api/v1/m%65/t%61sks", {"title": "x"}).headers["location"].startswith("/api/v1/me/tasks/")


def test_issue_token_at_path_with_escaped_letters_is_no_users_space(anonymous: Client) -> None:
    """`auth` in escapes is the fixed segment, as `auth` is."""
    credentials = {"email": "nobody@example.com", "password": "Zk8vQ2xW7pLm"}
    reply = anonymous.post("/api/v1/%61uth/%74oken", credentials)
    assert (reply.status, reply.code) == (401, "invalid_credentials")


@pytest.mark.parametrize("segment", ["%%36%64e", "%256de", "m%2565"])
def test_list_tasks_of_user_in_escapes_of_escapes_is_decoded_once(ada: Client, segment: str) -> None:
    assert ada.get(f"/api/v1/{segment}/tasks").code == "forbidden"
