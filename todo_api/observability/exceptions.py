"""Exceptions in log lines: their type and place, and no value that a user sent."""

import traceback
from pathlib import Path
from types import TracebackType

FRAMES = 12
"""Maximum number of frames of each kind, ours and those of libraries, per exception."""

CAUSES = 4
"""Maximum number of exceptions of one chain."""

_NAMES_CODE = (AssertionError, AttributeError, ImportError, NameError, TypeError)
"""Exceptions whose messages name code, not values."""

_ROOT = Path(__file__).parents[2]
_OURS = f"{_ROOT}/todo_api/"


def describe(error: BaseException, *, redact: bool) -> str:
    """Return the type of an exception, and its message if that cannot quote a user's value."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if not redact or type(error) in _NAMES_CODE or (type(error) is KeyError and _is_raised_by_us(error)):
        return f"{kind}: {error}"
    return kind + _of_database(error)


def chain(error: BaseException, *, redact: bool) -> str:
    """Return an exception and its causes, outermost first, each with its type and its frames."""
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(parts) < CAUSES:
        parts.append(f"{describe(seen, redact=redact)} at {_places(seen.__traceback__)}")
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "; from ".join(parts)


def _of_database(error: BaseException) -> str:
    """Return the SQLSTATE and constraint of an error of psycopg2, or why it could not connect."""
    if not hasattr(error, "pgcode"):
        return ""
    if error.pgcode:
        constraint = getattr(error.diag, "constraint_name", None)  # type: ignore[attr-defined]  # as pgcode is there
        return f" ({error.pgcode}{f', {constraint}' if constraint else ''})"
    reasons = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("\t")]
    return f": {'; '.join(reasons)}" if reasons else ""


def _is_raised_by_us(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.startswith(_OURS)


def _places(trace: TracebackType | None) -> str:
    """Return the frames, innermost first: ours, then those of libraries."""
    frames = traceback.extract_tb(trace)[::-1]
    ours = [frame for frame in frames if frame.filename.startswith(_OURS)][:FRAMES]
    others = [frame for frame in frames if not frame.filename.startswith(_OURS)][:FRAMES]
    shown = [
        " < ".join(f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in part) for part in (ours, others)
    ]
    return " through ".join(part for part in shown if part) or "no place"


def _short(filename: str) -> str:
    """Return the path relative to the repository or to site-packages."""
    return filename.removeprefix(f"{_ROOT}/").rpartition("site-packages/")[2]
