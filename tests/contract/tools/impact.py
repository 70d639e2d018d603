"""How much a change of the contract asks of its clients: nothing (patch), nothing unless they want it (minor), or work (major).

`redocly diff` rates what it knows; here is what it rates too low or too high, seen by seeded edits (`edits.py`).
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[3]
REDOCLY = ROOT / "node_modules" / ".bin" / "redocly"
SETTINGS = Path(__file__).parent / "redocly-diff.yaml"
QUIET = os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
METHODS = ("get", "put", "post", "patch", "delete")

_PROBLEM = "/content/application~1problem+json"

_EDITORIAL = ("description", "summary", "title", "example", "examples", "externalDocs", "value")
"""Members of the contract that are for people alone."""

Document = dict[str, Any]


class Impact(IntEnum):
    """The part of the version that a change raises."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3


class Change(NamedTuple):
    """One difference between two contracts; `alone` is what Redocly says of it."""

    impact: Impact
    place: str
    what: str
    alone: Impact = Impact.NONE


def changes(before: Document, after: Document) -> list[Change]:
    """Every difference, the gravest first. An empty list only for equal documents, their version aside."""
    if _unversioned(before) == _unversioned(after):
        return []
    found = [*_by_redocly(before, after), *_of_security(before, after), *_of_defaults(before, after)]
    found += [*_of_media_types(before, after), *_of_headers(before, after)]
    return sorted(found, reverse=True) or [Change(Impact.PATCH, "#", "An extension changed.")]


def impact(found: list[Change]) -> Impact:
    """The gravest impact."""
    return max((change.impact for change in found), default=Impact.NONE)


def _unversioned(document: Document) -> Document:
    return document | {"info": document["info"] | {"version": ""}}


def _by_redocly(before: Document, after: Document) -> Iterator[Change]:
    for change in _report(json.dumps(_unversioned(before)), json.dumps(_unversioned(after))):
        told = "; ".join(dict.fromkeys(verdict["message"] for verdict in change["verdicts"])) or change["kind"]
        yield Change(_rated(change, before, after), change["path"], told, Impact[change["impact"].upper()])


@cache
def _report(before: str, after: str) -> list[dict[str, Any]]:
    """The changes that `redocly diff` finds between two documents in JSON, which has no aliases for it to trip over."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "before.json", Path(folder) / "after.json"]
        for path, text in zip(paths, (before, after), strict=True):
            path.write_text(text, encoding="utf-8")
        command = [REDOCLY, "diff", *paths, "--config", SETTINGS, "--format", "json", "--fail-on", "none"]
        ran = subprocess.run(command, env=QUIET, capture_output=True, text=True, check=False, timeout=300)
    if ran.returncode != 0:
        raise RuntimeError(f"redocly diff: {ran.stderr or ran.stdout}")
    found: list[dict[str, Any]] = json.loads(ran.stdout)["changes"]
    return found


def _rated(change: dict[str, Any], before: Document, after: Document) -> Impact:
    """Return the impact of a change: Redocly's rating, corrected.

    What is only for people is at most editorial. A value removed from an enum breaks replies too.
    Clients are prepared for a new value of an enum with `x-extensible`, and need not send one of a
    parameter. They are prepared for a problem without the members of another code, if the code is
    new under its status.
    """
    rating = Impact[change["impact"].upper()]
    pointer = change.get("base", {}).get("pointer", "")
    changed = change.get("property")
    if changed == "enum" and pointer.endswith("/enum"):
        schema = pointer.removesuffix("/enum")
        old, new = _at(before, schema), _at(after, schema)
        if not set(old["enum"]) <= set(new["enum"]):
            return Impact.MAJOR
        only_sent = "/parameters/" in change["path"]
        return Impact.MINOR if old.get("x-extensible") or only_sent else Impact.MAJOR
    if changed == "required" and _is_of_a_new_code(change, before, after):
        return Impact.MINOR
    if rating == Impact.PATCH and changed and changed not in _EDITORIAL and not changed.startswith("x-"):
        return Impact.MINOR
    return rating


def _is_of_a_new_code(change: dict[str, Any], before: Document, after: Document) -> bool:
    """Whether members of a problem may be absent with codes alone that the status did not have, going by the examples."""
    place, found, rest = change["path"].partition(_PROBLEM)
    if not found or rest != "/schema":
        return False
    had, has = ({e["code"]: e for e in _problems(document, place + found)} for document in (before, after))
    freed = set(change["base"]["value"]) - set(change["revision"]["value"])
    kept = all(code in has and freed <= set(has[code]) for code in had)
    return kept and any(not freed <= set(has[code]) for code in has.keys() - had.keys())


def _problems(document: Document, place: str) -> list[dict[str, Any]]:
    """The example problems of a response."""
    try:
        examples = _at(document, f"{place}/examples")
    except KeyError:  # it is a new response, which Redocly takes for one that was renamed
        return []
    return [_at(document, f"{place}/examples/{name}")["value"] for name in examples]


def _of_security(before: Document, after: Document) -> Iterator[Change]:
    for place, old, new in _operations(before, after):
        required = [operation.get("security", document.get("security", [])) for operation, document in (old, new)]
        if required[0] != required[1]:
            rating = Impact.MINOR if required[1] == [] else Impact.MAJOR
            yield Change(rating, place, f"Security changed from {required[0]} to {required[1]}.")


def _of_defaults(before: Document, after: Document) -> Iterator[Change]:
    """A default is what the service does when nothing is said: another one is another behaviour."""
    old, new = dict(_defaults(before)), dict(_defaults(after))
    for place in old.keys() & new.keys():
        if old[place] != new[place]:
            yield Change(Impact.MAJOR, place, f"The default changed from {old[place]!r} to {new[place]!r}.")


_MISSING = "(none)"


def _defaults(part: Any, place: str = "#") -> Iterator[tuple[str, Any]]:
    """Every schema with its default, or without one."""
    if isinstance(part, list):
        for index, member in enumerate(part):
            yield from _defaults(member, f"{place}/{index}")
    elif isinstance(part, dict):
        if "type" in part and isinstance(part["type"], str):
            yield place, part.get("default", _MISSING)
        for name, member in part.items():
            if name not in ("example", "examples"):
                yield from _defaults(member, f"{place}/{name}")


def _of_media_types(before: Document, after: Document) -> Iterator[Change]:
    """The further media types of a PATCH, which the contract names in an extension of its own."""
    for place, (old, _), (new, _) in _operations(before, after):
        gone = set(old.get("x-accept-patch", [])) - set(new.get("x-accept-patch", []))
        if gone:
            yield Change(Impact.MAJOR, place, f"A body is no longer taken as {', '.join(sorted(gone))}.")


def _of_headers(before: Document, after: Document) -> Iterator[Change]:
    """A header that was always sent, and need not be any more."""
    new = dict(_headers(after))
    for place, header in _headers(before):
        if header.get("required") and place in new and not new[place].get("required"):
            yield Change(Impact.MAJOR, place, "The header was always sent, and may be absent now.")


def _headers(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every response header of the components, where all of ours are."""
    for name, header in document["components"]["headers"].items():
        yield f"#/components/headers/{name}", header


_Operation = tuple[dict[str, Any], Document]


def _operations(before: Document, after: Document) -> Iterator[tuple[str, _Operation, _Operation]]:
    """The operations that both have, by their addresses."""
    for path, item in before["paths"].items():
        for method in METHODS:
            new = after["paths"].get(path, {}).get(method)
            if method in item and new is not None:
                yield f"#/paths/{path.replace('/', '~1')}/{method}", (item[method], before), (new, after)


def _at(document: Document, pointer: str) -> Any:
    found: Any = document
    for step in pointer.removeprefix("#/").split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        found = found[int(name)] if isinstance(found, list) else found[name]
        while isinstance(found, dict) and "$ref" in found:
            found = _at(document, found["$ref"])
    return found
