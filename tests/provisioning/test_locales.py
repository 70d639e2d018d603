# ruff: noqa: RUF001  # what looks alike is what is tested
"""A search knows no case in any database, whatever its locale."""

import secrets
from urllib.parse import quote

import pytest
from psycopg2.errors import CheckViolation

from tests.support.client import Client
from tests.support.databases import database_url, execute
from todo_api.embedded import EmbeddedServer
from todo_api.provisioning import migrations

TASKS = "/api/v1/me/tasks"
LOCALES = {
    "C": "LOCALE 'C'",
    "C.UTF-8": "LOCALE 'C.UTF-8'",
}


@pytest.fixture(scope="module", params=LOCALES.values(), ids=LOCALES)
def url(request: pytest.FixtureRequest, server: EmbeddedServer) -> str:
    """Of a database with a locale of its own."""
    name = f"locale_{secrets.token_hex(4)}"
    execute(server.url, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {request.param}")
    migrations.migrate(database_url(server.url, name))
    return database_url(server.url, name)


def test_list_tasks_search_folds_alike_in_a_database_of_any_locale(ada: Client) -> None:
    for title in ("TITLE", "ÄPFEL", "МОЛОКО", "Straße", "Cafe\u0301", "ΟΔΌΣ", "𐐔"):
        assert ada.post(TASKS, {"title": title}).status == 201
    for word in ("title", "äpfel", "молоко", "STRASSE", "CAFÉ", "οδός", "𐐼"):
        assert ada.get(f"{TASKS}?q={quote(word)}").json()["total"] == 1, word
    assert ada.get(f"{TASKS}?q={quote('tıtle')}").json()["total"] == 0


@pytest.mark.parametrize("domain", ["task_title", "user_name", "key_name"])
def test_text_of_one_line_has_the_same_rule_in_a_database_of_any_locale(url: str, domain: str) -> None:
    for text in ("\u2800", "😀", "\u0301", "Ä"):
        assert execute(url, f"SELECT CAST('{text}' AS {domain})") == [(text,)]
    for text in ("\u3164", "\U000e0041", "a\u2028b", "\u2003", "a\u0085b"):
        with pytest.raises(CheckViolation):
            execute(url, f"SELECT CAST('{text}' AS {domain})")
