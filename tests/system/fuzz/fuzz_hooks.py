"""What schemathesis is told by code."""

import re
from typing import Any
from uuid import uuid4

import schemathesis

from todo_api import contract
from todo_api.contract.rules import is_uuid
from todo_api.contract.times import is_date
from todo_api.models import STATUSES

KEY = "Idempotency-Key"
_VALID = re.compile(contract.load(contract.TASK_API)["components"]["schemas"]["IdempotencyKey"]["pattern"])

_ZONE = re.compile("[A-Za-z0-9_+/-]{1,64}")

_ONE_LINE = re.compile(r"\^\(\?!\(\?:\[(?P<invisible>.*)\]\|.*\)\*\$\)\[\^(?P<ends>.*)\]\+\$")
"""The contract's pattern of one visible line, whose look-ahead Hypothesis cannot make strings for."""

_NO_STEP = r"(?!\.{1,2}$)"
"""What the pattern of labels has besides: nearly no string that is made up is a step of a path."""

_SECONDS = re.compile("[0-9]|[12][0-9]|30")
"""What `wait` of `listChanges` may be."""


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Puts a pattern with one class for each place in the place of the look-ahead.

    It matches the same, but for ignorable code points beyond the first plane.
    """
    for schema in raw_schema["components"]["schemas"].values():
        found = _ONE_LINE.fullmatch(schema.get("pattern", "").replace(_NO_STEP, "", 1))
        if found:
            ends, invisible = found["ends"], re.sub("[\U00010000-\U0010ffff]", "", found["invisible"])
            schema["pattern"] = f"^[^{ends}]*[^{invisible}][^{ends}]*$"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Replace a valid key by a new one, and a contradiction by what the contract's text asks for.

    schemathesis sends the contract's example with each request, and a second request with another
    body would be refused for its key alone. It waits ten seconds for a reply, and a `wait` may take
    thirty.
    """
    if _SECONDS.fullmatch(str((case.query or {}).get("wait", ""))):
        case.query["wait"] = 0
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and _VALID.match(key):
        case.headers[KEY] = f'"{uuid4()}"'
    _agree(case.body)
    if isinstance(case.body, dict):
        _mend_dates(case.body, is_patch=case.method.upper() == "PATCH")
        if case.method.upper() == "PATCH" and case.path.endswith("/account") and not case.body:
            case.body["name"] = None


def _agree(body: Any) -> None:
    """Make `completed` say the same as the status beside it, which OpenAPI 3.0 cannot ask for."""
    if isinstance(body, dict) and isinstance(body.get("completed"), bool) and body.get("status") in STATUSES:
        body["completed"] = body["status"] == "completed"


def _mend_dates(body: dict[str, Any], *, is_patch: bool) -> None:
    """Make an id new, a zone known and beside a time, and a start early. What is invalid stays so."""
    if isinstance(body.get("id"), str) and is_uuid(body["id"]):
        body["id"] = str(uuid4())
    if isinstance(body.get("time_zone"), str) and _ZONE.fullmatch(body["time_zone"]):
        body["time_zone"] = "Europe/Berlin"
    for name in ("due", "start"):
        moment = body.get(name)
        if not isinstance(moment, dict):
            continue
        if is_patch:
            moment.setdefault("date", "2026-11-20")
        if isinstance(moment.get("time_zone"), str) and _ZONE.fullmatch(moment["time_zone"]):
            moment["time_zone"] = None if moment.get("time") is None else "Europe/Berlin"
        if (
            name == "start"
            and isinstance(moment.get("date"), str)
            and is_date(moment["date"])
            and moment["date"] > "1900"
        ):
            moment["date"] = "1900-01-01" if moment["date"] < "2200" else moment["date"]
