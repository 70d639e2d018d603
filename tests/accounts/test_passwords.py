"""Passwords: hashed, checked, and the commonest known."""

import pytest

from todo_api.accounts import passwords as module
from todo_api.accounts.passwords import COMMONEST, COST, Passwords


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> Passwords:
    """Passwords at their real cost."""
    monkeypatch.setattr(module, "COST", COST)
    return Passwords()


def test_hash_is_argon2id_at_the_least_cost_of_owasp(passwords: Passwords) -> None:
    assert passwords.hash("correct horse battery").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_hash_of_same_password_twice_differs(passwords: Passwords) -> None:
    assert passwords.hash("correct horse battery") != passwords.hash("correct horse battery")


def test_verify_with_right_password_holds(passwords: Passwords) -> None:
    assert passwords.verify(passwords.hash("correct horse \U0001f40e"), "correct horse \U0001f40e") is True


@pytest.mark.parametrize("other", ["", "correct horse", "Correct horse battery", "correct horse battery "])
def test_verify_with_other_password_does_not_hold(passwords: Passwords, other: str) -> None:
    assert passwords.verify(passwords.hash("correct horse battery"), other) is False


def test_decoy_has_the_cost_of_a_real_hash(passwords: Passwords) -> None:
    assert passwords.decoy.split("$")[:4] == passwords.hash("correct horse battery").split("$")[:4]


@pytest.mark.parametrize("password", ["123456789012", "1QAZ2WSX3EDC"])
def test_is_common_with_common_password_in_any_case_says_so(password: str) -> None:
    assert Passwords.is_common(password) is True


@pytest.mark.parametrize("password", ["", "Zk8vQ2xW7pLm", "correct horse battery staple"])
def test_is_common_with_other_password_says_no(password: str) -> None:
    assert Passwords.is_common(password) is False


def test_commonest_passwords_are_such_as_the_contract_would_take() -> None:
    assert [word for word in sorted(COMMONEST) if len(word) < 12 or word != word.lower()] == []
