"""The cases of `wall_cases` that stand by tag, and what users have for them."""

from typing import Any

from tests.support import (
    batch_cases,
    change_cases,
    history_cases,
    label_cases,
    list_cases,
    moving_cases,
    project_cases,
    subtask_cases,
    trash_cases,
    undo_cases,
)
from tests.support.client import Client

CASES = {
    **batch_cases.CASES,
    **project_cases.CASES,
    **change_cases.CASES,
    **history_cases.CASES,
    **label_cases.CASES,
    **moving_cases.CASES,
    **list_cases.CASES,
    **subtask_cases.CASES,
    **trash_cases.CASES,
    **undo_cases.CASES,
}

PREPARED = {**moving_cases.PREPARED, **list_cases.PREPARED, **label_cases.PREPARED, **subtask_cases.PREPARED}
"""SQL to run before a case, by its name."""


def seed(user: Client, mine: Any, who: str) -> None:
    """Give a user what the cases are about."""
    project_cases.seed(user, mine, who)
    label_cases.seed(user)
    change_cases.seed(user)
    trash_cases.seed(user)
    subtask_cases.seed(user, mine, who)
