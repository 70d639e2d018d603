"""The secrets that a service makes or derives for itself."""

import os
from pathlib import Path

import pytest

from todo_api.config import Config, ConfigurationError
from todo_api.config.secrets import cursor_secret, load_or_create_secret

ONE, OTHER = "a-secret-of-the-tests-Zk8vQ2xW7pLm4nRt", "another-secret-of-the-tests-9mVq3xTz2Lk"


def test_kept_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    secret = load_or_create_secret(tmp_path)
    assert len(secret) == 64
    assert load_or_create_secret(tmp_path) == secret
    assert [path.name for path in tmp_path.iterdir()] == ["jwt-secret"]
    assert (tmp_path / "jwt-secret").stat().st_mode & 0o777 == 0o600


def test_kept_secret_of_two_starts_at_once_is_that_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has looked before the first had made it."""
    first = load_or_create_secret(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", lambda _: False)
        assert load_or_create_secret(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["jwt-secret"]


def test_kept_secret_whose_making_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space is left")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="no space"):
        load_or_create_secret(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 48], ids=["empty", "short", "no text"])
def test_kept_secret_that_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "jwt-secret").write_bytes(content)
    with pytest.raises(ConfigurationError, match="jwt-secret is damaged"):
        load_or_create_secret(tmp_path)


def test_cursor_secret_is_its_own_setting_or_else_that_of_tokens() -> None:
    configs = [Config(jwt_secret=ONE, cursor_secret=OTHER), Config(jwt_secret=ONE)]
    assert [cursor_secret(config) for config in configs] == [OTHER.encode(), ONE.encode()]


def test_cursor_secret_without_any_is_derived_from_the_password_as_by_the_releases_before() -> None:
    """The release before serves beside this one during an upgrade, and takes the cursors of this one."""
    secret = cursor_secret(Config(database_url="postgresql://todo:s%40cret-pass@db/todo"))
    assert secret.hex() == (
        "1bf85139d2686ef789d4351eafcc4175f25eddfb0cdcccc443eb1d5de0eae7c6"
        "2985b99c25a9e7cfb7240e8289a43e33c40c77427ce629a8c75bb458985b7072"
    )
