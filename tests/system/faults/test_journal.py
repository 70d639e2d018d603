"""The journal of `make faults` notices what it is there to notice."""

import io
from collections.abc import Callable
from typing import Any

import pytest

from tests.system.faults import journal
from tests.system.faults.journal import Journal, State
from tests.system.faults.load import Sent
from tests.system.faults.observation import is_good


def task(number: int, version: int = 1, title: str = "Made", status: str = "pending") -> dict[str, Any]:
    return {"id": f"task-{number}", "version": version, "title": f"{title} {number}", "status": status}


@pytest.fixture
def kept() -> Journal:
    """A journal with two tasks that were acknowledged, and one that was deleted."""
    made = Journal("ada", io.StringIO())
    for number in (1, 2, 3):
        made.wrote(task(number))
    made.ended("task-3")
    return made


def test_journal_of_what_is_as_it_was_told_has_no_complaint(kept: Journal) -> None:
    kept.wrote(task(1, 5, "Changed"))
    kept.check([task(1, 5, "Changed"), task(2)])
    assert kept.complaints == []


@pytest.mark.parametrize(
    ("listed", "complaint"),
    [
        ([task(1)], "task-2 is lost"),
        ([task(1), task(2, 7)], "and was told to be"),
        ([task(1), task(2, 1, "Another")], "and was told to be"),
        ([task(1), task(2), task(3)], "was deleted and is there"),
        ([task(1), task(2), task(4)], "which nobody created"),
        ([task(1), task(2), {**task(2), "id": "task-5"}], "is there twice"),
    ],
)
def test_journal_of_what_differs_complains(kept: Journal, listed: list[dict[str, Any]], complaint: str) -> None:
    kept.check(listed)
    assert any(complaint in told for told in kept.complaints), kept.complaints


def test_journal_of_a_version_that_falls_complains(kept: Journal) -> None:
    kept.wrote(task(1, 5))
    kept.wrote(task(1, 4))
    assert "from 5 to 4" in kept.complaints[0]


@pytest.mark.parametrize(
    ("found", "well"),
    [
        (task(1), True),
        (task(1, 9, "Changed"), True),
        (task(1, 9, "Neither"), False),
        (task(1, 1, "Changed"), False),
        (None, False),
    ],
)
def test_journal_of_a_change_without_an_answer_takes_either_outcome_and_no_other(
    kept: Journal, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any] | None, well: bool
) -> None:
    kept.unsure("task-1", State(1, "Changed 1", "pending"))
    kept.saw("task-1", task(1, 9, "Neither"))
    assert kept.complaints == []  # it may still be under way
    monkeypatch.setattr(journal, "DOUBT_SECONDS", -1)
    kept.saw("task-1", found)
    assert (kept.complaints == []) is well, kept.complaints


@pytest.mark.parametrize("listed", [lambda: [task(1), task(2)], lambda: [task(1), task(2), task(4)]])
def test_journal_of_a_creation_without_an_answer_takes_none_or_one(
    kept: Journal, listed: Callable[[], list[dict[str, Any]]]
) -> None:
    kept.unsure_of_create("Made 4")
    kept.check(listed())
    assert kept.complaints == []


def test_journal_of_a_creation_without_an_answer_that_was_done_twice_complains(kept: Journal) -> None:
    kept.unsure_of_create("Made 4")
    kept.check([task(1), task(2), task(4), {**task(4), "id": "task-5"}])
    assert any("is there twice" in told for told in kept.complaints)


def test_journal_of_a_restoration_takes_the_task_as_it_was_and_no_other(kept: Journal) -> None:
    assert kept.trashed() == ["task-3"]
    kept.restored(task(3, 8))
    kept.check([task(1), task(2), task(3, 8)])
    assert (kept.complaints, kept.trashed(), kept.gone) == ([], [], {})
    for version, title in ((9, "Another"), (9, "Another"), (10, "Another")):
        kept.ended("task-3")
        kept.restored(task(3, version, title))
    assert len(kept.complaints) == 2
    assert all("came back as" in told for told in kept.complaints)


@pytest.mark.parametrize(
    ("found", "well"),
    [
        (None, True),
        (task(3, 9), True),
        (task(3, 9, "Another"), False),
        (task(3), False),
    ],
)
def test_journal_of_a_restoration_without_an_answer_takes_either_outcome_and_no_other(
    kept: Journal, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any] | None, well: bool
) -> None:
    kept.unsure("task-3", kept.gone["task-3"])
    assert kept.trashed() == []
    kept.saw("task-3", task(3))
    assert kept.complaints == []  # it may still be under way
    monkeypatch.setattr(journal, "DOUBT_SECONDS", -1)
    kept.saw("task-3", found)
    assert (kept.complaints == []) is well, kept.complaints
    assert kept.trashed() == ([] if found else ["task-3"])


def test_reply_to_a_look_after_a_doubtful_deletion_may_be_not_found_and_no_other() -> None:
    looked = Sent(0.0, 0.1, "getTask", "ada-1", 404, looked_for=True)
    assert is_good(looked)
    assert not is_good(looked._replace(looked_for=False))
    assert not is_good(looked._replace(outcome=503))
