"""The configuration: where each value comes from, and which are refused."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.credentials import SECRET
from todo_api.config import Config, ConfigurationError, load_config

NO_FILE = Path("there-is-no-such-file")


def test_load_config_of_nothing_gives_defaults() -> None:
    assert load_config({}, NO_FILE) == Config()


@pytest.mark.parametrize(("workers", "threads"), [(1, 12), (2, 12), (7, 12), (8, 11), (16, 5), (32, 2), (64, 1)])
def test_config_threads_keep_all_workers_within_the_usual_connections(workers: int, threads: int) -> None:
    config = Config(web_concurrency=workers)
    assert config.max_concurrency == threads
    assert workers * (threads + 1) <= 128


def test_config_workers_are_one_a_core() -> None:
    assert Config().workers == len(os.sched_getaffinity(0))


def test_load_config_of_environment_converts_each_kind() -> None:
    environment = {
        "DATABASE_URL": "postgres://u:p@db/x",
        "DATA_DIR": "there",
        "PORT": "9000",
        "JWT_SECRET": SECRET,
        "CORS_ORIGINS": "https://a.example, https://b.example,",
        "LOG_LEVEL": "debug",
    }
    assert load_config(environment, NO_FILE) == Config(
        database_url="postgres://u:p@db/x",
        data_dir=Path("there"),
        port=9000,
        jwt_secret=SECRET,
        cors_origins=("https://a.example", "https://b.example"),
        log_level="DEBUG",
    )


def test_load_config_of_several_sources_prefers_flag_then_environment_then_file(tmp_path: Path) -> None:
    dotenv = tmp_path / "settings"
    dotenv.write_text("HOST=file\nPORT=1\nTHREADS=3\n", encoding="utf-8")
    config = load_config({"HOST": "environment", "PORT": "2"}, dotenv, host="flag", port=None)
    assert (config.host, config.port, config.threads) == ("flag", 2, 3)


@pytest.mark.parametrize("name", ["DATABASE_URL", "PORT", "JWT_SECRET", "JWT_ISSUER", "CORS_ORIGINS", "LOG_LEVEL"])
def test_load_config_of_empty_value_takes_it_for_not_set(name: str) -> None:
    assert load_config({name: ""}, NO_FILE) == Config()


BAD = {
    "PORT": ["9" * 5000, "65536", "-1", "+80", "8e3", "http", "\u0668\u0660", "80.0"],
    "WEB_CONCURRENCY": ["0", "1025", "two"],
    "THREADS": ["0", "257"],
    "JWT_LIFETIME": ["0", "86401", "1h"],
    "HISTORY_DAYS": ["0", "3651", "1.5"],
    "TRASH_DAYS": ["-1", "366", "1.5"],
    "SESSION_LIFETIME": ["59", "31536001", "30d"],
    "LOG_LEVEL": ["loud", "TRACE"],
    "LOG_FORMAT": ["logfmt", "JSON"],
    "DATABASE_ROLE_PREFIX": ["pg_todo", "1todo", "todo-api", "Todo", "t" * 51],
    "DATABASE_URL": ["mysql://db/x", "db", "sqlite:///x.db"],
    "CORS_ORIGINS": ["*", "https://a.example,*", "https://*.example.com", "null", "NULL", "https://", "file://"],
    "HOST": [
        *("x86_64-conda-linux-gnu", "x86_64-conda_cos6-linux-gnu", "arm64-apple-darwin20.0.0", "*", "[::1]"),
        *("127.0.0.1:8000", "http://localhost", "localhost:8000", "a b", "127.0.0", "256.0.0.1", "a,b", "-a", "a..b"),
    ],
    "MCP_URL": ["localhost:8000", "ftp://a", "http://", "http://a b", "http://a:99999", "http://a:x", "http://a/#b"],
    "OTEL_EXPORTER_OTLP_ENDPOINT": ["localhost:4318", "http://", "http://a:99999", "grpc://a:4317", "http://a b"],
    "JWT_KEYS_TTL": ["301"],
    "JWT_KEYS_COOLDOWN": ["6"],
    "RATE_LIMIT": [
        "0/minute",
        "600",
        "600/week",
        "600 per minute",
        "-1/minute",
        "on",
        "600/minute;1/day",
        "12345678/day",
    ],
    "RATE_LIMIT_STORAGE_URL": [
        "localhost:6379",
        "memcached://x",
        "http://redis",
        "redis://",
        "redis://a:x",
        "redis://a:99999",
        "redis://a/first",
        "redis://a/-1",
        "redis://a/0/1",
    ],
    "PUBLIC_URL": ["https://a.example#", "https://a.example?", "https://a.example\\x"],
    "TRUSTED_PROXIES": [
        *("proxy.example", "10.0.0.0/33", "10.0.0.1/8", "*", "0.0.0.0/0", "10.0.0.1,::/0"),
        *("0.0.0.0/1,128.0.0.0/1", "::/2,10.0.0.1,8000::/1,4000::/2", "::ffff:10.0.0.1", "::1,::ffff:0:0/96"),
    ],
    "JWT_SECRET": [
        "x",
        "a" * 40,
        "abababababababababababababababababab",
        "secret-0123456789-abcdefghijklmnopq",
        "changeme-0123456789-abcdefghijklmno",
        "better-auth-secret-12345678901234567890",
        "äb" * 10,
        "CHANGEME-0123456789-abcdefghijklmno",
        "abcdefg" * 5,
    ],
    "CURSOR_SECRET": ["x", "abcdefg" * 5],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_load_config_of_bad_value_is_refused_in_one_line_that_names_it(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_config({name: value}, NO_FILE)
    assert str(refusal.value).startswith(name)
    assert "\n" not in str(refusal.value)


def test_load_config_of_secret_with_eight_different_characters_takes_it() -> None:
    assert load_config({"JWT_SECRET": "abcdefgh" * 4}, NO_FILE).jwt_secret == "abcdefgh" * 4


def test_load_config_of_a_weak_secret_of_cursors_beside_a_good_one_of_tokens_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^CURSOR_SECRET must have"):
        load_config({"JWT_SECRET": SECRET, "CURSOR_SECRET": "short"}, NO_FILE)


def test_load_config_of_redis_with_a_user_takes_it() -> None:
    url = "rediss://user:Zk8vQ2@redis.example.com:6380/1"
    assert load_config({"RATE_LIMIT_STORAGE_URL": url}, NO_FILE).rate_limit_storage_url == url


@pytest.mark.parametrize(
    ("text", "rate"),
    [("off", None), ("1/second", (1, 1)), ("600/minute", (600, 60)), ("9999999/day", (9999999, 86400))],
)
def test_config_rate_is_requests_and_seconds(text: str, rate: tuple[int, int] | None) -> None:
    assert load_config({"RATE_LIMIT": text}, NO_FILE).rate == rate


def test_load_config_of_weak_secret_does_not_tell_it_back() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_config({"JWT_SECRET": "a-short-secret-Zk8"}, NO_FILE)
    assert "Zk8" not in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "own", "issuer"),
    [
        ({}, True, "task-api"),
        (
            {"jwt_issuer": "https://a.example/", "jwt_audience": ("x",), "jwt_secret": SECRET},
            False,
            "https://a.example/",
        ),
    ],
)
def test_config_has_one_issuer_its_own_or_an_external_one(settings: dict[str, Any], own: bool, issuer: str) -> None:
    config = Config(**settings)
    assert (config.builtin_issuer, config.issuer) == (own, issuer)
