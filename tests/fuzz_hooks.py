"""What schemathesis is told by code."""

import re
from typing import Any
from uuid import uuid4

import schemathesis

from todo_api import contract

KEY = "Idempotency-Key"
_VALID = re.compile(contract.load(contract.TASK_API)["components"]["schemas"]["IdempotencyKey"]["pattern"])


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """A key that holds is made a new one: schemathesis takes the contract's example for each request, and the second one, whose body is
    another, would be refused for that alone."""
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and _VALID.match(key):
        case.headers[KEY] = f'"{uuid4()}"'
