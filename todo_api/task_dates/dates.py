"""When a task is due and when it can be started: what is written, checked, and stored."""

from collections.abc import Mapping
from datetime import date, time
from typing import Any

import orjson

from todo_api.errors import ValidationFailed, Violation
from todo_api.local_time import Moment, beginning, deadline, is_after, is_zone

MEMBERS = ("due", "start")

NO_DATES: dict[str, Any] = {
    "dates": None,
    **{f"{name}_{part}": None for name in MEMBERS for part in ("date", "time", "zone", "at")},
}
"""The columns of a task without dates."""

INSTANTS = {"due": deadline, "start": beginning}
"""The function that computes the instant of each."""


def violations(body: Mapping[str, Any]) -> list[Violation]:
    """Return a violation for each zone of the body that is unknown, or has no time."""
    found: list[Violation] = []
    for name in MEMBERS:
        moment = body.get(name)
        if moment is None:
            continue
        zone = moment.get("time_zone")
        if zone is not None and not is_zone(zone):
            found.append(unknown_zone(f"/{name}/time_zone"))
        elif zone is not None and "time" in moment and moment["time"] is None:
            found.append(_zone_without_time(name))
    return found


def unknown_zone(pointer: str, location: str = "body") -> Violation:
    """Return the violation of a name that is no zone's."""
    return Violation(
        location, pointer, "unknown_time_zone", "Must be the IANA name of a time zone, such as Europe/Berlin."
    )


def represented(parts: str | None) -> tuple[dict[str, str | None] | None, dict[str, str | None] | None]:
    """Return the members of a task, from what its column `dates` has."""
    if parts is None:
        return None, None
    found = orjson.loads(parts)
    return _represented(*found[:3]), _represented(*found[3:])


def _represented(day: str | None, at: str | None, zone: str | None) -> dict[str, str | None] | None:
    return None if day is None else {"date": day, "time": at and at[: len("23:59")], "time_zone": zone}


def columns_of(changes: Mapping[str, Any], before: Mapping[str, Any], zone: str) -> dict[str, Any]:
    """Return the columns of the dates that change, for a user in the zone.

    `before` has both members as they are. Raise ValidationFailed.
    """
    found: list[Violation] = []
    after = {
        name: _merged(name, before[name], changes[name], found) if name in changes else before[name] for name in MEMBERS
    }
    if found:
        raise ValidationFailed(found)
    moments = {name: None if value is None else _moment(value) for name, value in after.items()}
    due, start = moments["due"], moments["start"]
    if due is not None and start is not None and is_after(start, due, zone):
        raise ValidationFailed([Violation("body", "/start", "after_due", "Must not be later than due.")])
    shown = [part for moment in (due, start) for part in (moment or (None,) * 3)]
    columns: dict[str, Any] = {"dates": orjson.dumps(shown).decode() if due or start else None} if changes else {}
    for name in changes.keys() & moments.keys():
        moment = moments[name]
        parts = (None,) * 4 if moment is None else (*moment, INSTANTS[name](moment, zone))
        columns |= zip((f"{name}_{part}" for part in ("date", "time", "zone", "at")), parts, strict=True)
    return columns


def _merged(
    name: str, before: Mapping[str, Any] | None, patch: Mapping[str, Any] | None, found: list[Violation]
) -> dict[str, Any] | None:
    """Return the member after the merge patch (RFC 7396). A time that is cleared takes its zone."""
    if patch is None:
        return None
    cleared = {"time_zone": None} if "time" in patch and patch["time"] is None else {}
    after = {"date": None, "time": None, "time_zone": None} | dict(before or {}) | cleared | dict(patch)
    if after["date"] is None:
        found.append(Violation("body", f"/{name}/date", "required", "Is required."))
    elif after["time_zone"] is not None and after["time"] is None:
        found.append(_zone_without_time(name))
    return after


def _zone_without_time(name: str) -> Violation:
    return Violation("body", f"/{name}/time_zone", "zone_without_time", "Needs a time beside it.")


def _moment(value: Mapping[str, Any]) -> Moment:
    at = value["time"]
    return Moment(date.fromisoformat(value["date"]), None if at is None else time.fromisoformat(at), value["time_zone"])
