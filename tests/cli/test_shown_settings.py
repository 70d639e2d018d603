"""What `todo-api settings` shows of a setting: nothing that is secret, wherever in a value that is."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from todo_api.config import Config, shown_settings
from todo_api.config.shown import URLS, without_secrets

CANARY = "Canary7Bird9Sings2Alone4In6The8Mine1Shaft"
EVERY = [field.name.upper() for field in fields(Config)]

AS_THEY_ARE = {
    *("BODY_TIMEOUT", "CLIENT_CONNECTIONS", "CORS_ORIGINS", "DATABASE_ROLE_PREFIX", "DATA_DIR"),
    *(
        "EMAIL_VERIFICATION",
        "EMAIL_VERIFICATION_URL",
        "HEAD_TIMEOUT",
        "HOST",
        "IDLE_TIMEOUT",
        "JWT_ALGORITHMS",
        "JWT_AUDIENCE",
        "JWT_AUTHORIZED_PARTIES",
        "JWT_CA_FILE",
    ),
    *("JWT_DISCOVERY", "JWT_ISSUER", "JWT_KEYS_COOLDOWN", "JWT_KEYS_MAX_STALE", "JWT_KEYS_TIMEOUT", "JWT_KEYS_TTL"),
    *("JWT_KEY_FILE", "JWT_LEEWAY", "JWT_LIFETIME", "JWT_MAX_LIFETIME", "JWT_REQUIRED_CLAIMS", "LOG_FORMAT"),
    *("LOG_LEVEL", "MAIL_FROM", "MAIL_TEMPLATES", "PASSWORD_RESET_URL", "PORT", "QUEUE_LIMIT", "RATE_LIMIT"),
    *("SECURITY_CONTACT", "SECURITY_EXPIRES", "SESSION_LIFETIME", "SMTP_CA_FILE", "THREADS", "TRUSTED_PROXIES"),
    *("HISTORY_DAYS", "TRASH_DAYS", "WEB_CONCURRENCY"),
}
"""Settings without a secret. One that is new is hidden until it is named here as well."""


@pytest.mark.parametrize("name", [*EVERY, "A_SETTING_OF_TOMORROW"])
def test_settings_hides_all_but_what_is_known_to_be_open(name: str) -> None:
    assert (CANARY in without_secrets(name, CANARY)) is (name in AS_THEY_ARE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"postgresql://user:{CANARY}@host:5432/tasks", "postgresql://user:(hidden)@host:5432/tasks"),
        (f"postgresql://user:{CANARY}@one:1,two:2/tasks", "postgresql://user:(hidden)@one:1,two:2/tasks"),
        (f"postgresql://user:slash/{CANARY}#x@host/tasks", "postgresql://user:(hidden)@host/tasks"),
        (f"postgresql://user:a?{CANARY}@host/tasks", "postgresql://user:(hidden)@host/tasks"),
        (f"postgresql://user:a@b:{CANARY}@host/tasks", "postgresql://user:(hidden)@host/tasks"),
        (f"postgresql://host/tasks?user=a&password={CANARY}", "postgresql://host/tasks?(hidden)&(hidden)"),
        (f"postgresql://host/tasks?pass%77ord={CANARY}", "postgresql://host/tasks?(hidden)"),
        (
            f"postgresql://host/tasks?sslpassword={CANARY}&connect_timeout=3&sslmode=require",
            "postgresql://host/tasks?(hidden)&connect_timeout=3&sslmode=require",
        ),
        (f"postgresql://user:{CANARY}", "(hidden)"),
        (f"postgresql://user:pass\n{CANARY}@host/tasks", "postgresql://user:(hidden)@host/tasks"),
        (f"host=localhost password={CANARY}", "(hidden)"),
        (f"user:{CANARY}@host/tasks", "(hidden)"),
        (f"redis://:{CANARY}@host:6379/0", "redis://:(hidden)@host:6379/0"),
        (f"redis://{CANARY}@host:6379/0", "redis://(hidden)@host:6379/0"),
        (f"redis://host:6379/0?password={CANARY}", "redis://host:6379/0?(hidden)"),
        (f"smtp://user:{CANARY}@host:587?tls=off", "smtp://user:(hidden)@host:587?tls=off"),
        (f"smtp:user:{CANARY}@host", "(hidden)"),
        (f"https://host/keys?api_key={CANARY}", "https://host/keys?(hidden)"),
        (f"https://host/keys#{CANARY}", "(hidden)"),
        ("postgresql:///tasks", "postgresql:///tasks"),
        ("http://[::1]:8000/jwks.json", "http://[::1]:8000/jwks.json"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("name", sorted(URLS))
def test_settings_shows_of_a_url_where_it_leads_and_no_password(name: str, text: str, shown: str) -> None:
    assert without_secrets(name, text) == shown


def test_settings_with_what_a_terminal_would_act_on_shows_question_marks() -> None:
    assert without_secrets("HOST", "\x1b[31m127.0.0.1\u202e\n") == "?[31m127.0.0.1??"


def test_settings_takes_each_from_its_first_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in EVERY:
        monkeypatch.delenv(name, raising=False)
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=1\nHOST=::1\nWEB_CONCURRENCY=1\nLOG_LEVEL=\nJWT_SECRET=short\n")
    monkeypatch.setenv("PORT", "2")
    monkeypatch.setenv("HOST", "")
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    shown = {name: (text, source) for name, text, source in shown_settings(dotenv, web_concurrency="3", port=None)}
    assert list(shown) == sorted(EVERY)
    assert shown["WEB_CONCURRENCY"] == ("3", "flag")
    assert shown["PORT"] == ("2", "environment")
    assert shown["HOST"] == ("::1", str(dotenv))
    assert shown["LOG_LEVEL"] == ("INFO", "default")
    assert shown["JWT_SECRET"] == ("(hidden)", str(dotenv))
    assert shown["SMTP_URL"] == ("", "default")
    assert shown["MCP_URL"] == ("http://localhost:8000", "default")
    assert not [text for text, _ in shown.values() if re.search("None|True|False|[()]", text) and text != "(hidden)"]
