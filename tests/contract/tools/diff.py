"""Compares the contract with the last released one, and its version with what has changed: `make contract-diff`.

Every release is kept as `openapi/released/VERSION.yaml`, bundled. Between releases the contract's version ends in `-dev`.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.contract.tools.impact import ROOT, Change, Document, Impact, changes, impact
from todo_api import contract

RELEASED = ROOT / "openapi" / "released"

MENDED = {
    "1.0.0": {
        ("~1tasks/post/requestBody/content/application~1json/schema/properties/title", "`pattern` of `title` changed"),
        (
            "~1register/post/requestBody/content/application~1json/schema/properties/name",
            "`pattern` of `name` changed",
        ),
        ("~1tasks/get/responses/200/headers/Link/schema", "`maxLength` changed from '4096' to '8192'"),
        (
            "~1tasks/get/responses/200/headers/ETag/schema",
            """`pattern` changed from '^"[0-9]+"$' to '^"[0-9a-f]{16}-[0-9a-f]{1,16}-[0-9]{1,18}"$'.""",
        ),
        ("~1tasks/get/responses/200/headers/ETag/schema", "`maxLength` changed from '22' to '56'."),
        ("~1tasks/get/parameters/7/schema", "`pattern` of `EntityTags` changed from "),
    },
    "1.2.0": {("~1account/get/parameters/0/schema", "`pattern` of `EntityTags` changed from ")},
}
"""Faults of a release that were mended against its words, and ask for no new major version: how a place ends, and what changed there.

A title of invisible characters was never one by its description; a `Link` of 1.0.0 was longer than it said; the tag of a list showed
one user of a shared browser what another had stored; a list of tags may have empty elements, and tags have octets beyond ASCII
(RFC 9110, 5.6.1 and 8.8.3).
"""

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-dev)?")


class Version(NamedTuple):
    """Major, minor, patch."""

    major: int
    minor: int
    patch: int

    def raised(self, by: Impact) -> "Version":
        """The lowest version that tells of such a change."""
        match by:
            case Impact.MAJOR:
                return Version(self.major + 1, 0, 0)
            case Impact.MINOR:
                return Version(self.major, self.minor + 1, 0)
            case Impact.PATCH:
                return Version(self.major, self.minor, self.patch + 1)
        return self

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


class Verdict(NamedTuple):
    """What a comparison found, and what is wrong with it; nothing, where all is well."""

    changes: list[Change]
    errors: list[str]


def judge(current: Document, released: dict[Version, Document]) -> Verdict:
    """Return whether the contract may be released beside the earlier ones."""
    written = current["info"]["version"]
    parsed = _VERSION.fullmatch(written)
    if parsed is None:
        return Verdict([], [f"The version {written} is not MAJOR.MINOR.PATCH, with or without -dev."])
    version, is_release = Version(*map(int, parsed.groups()[:3])), parsed[4] is None
    errors = [
        f"openapi/released/{named}.yaml says that it is {document['info']['version']}."
        for named, document in released.items()
        if document["info"]["version"] != str(named)
    ]
    if version in released:
        return _beside_its_own(current, version, is_release, released, errors)
    if released and version < max(released):
        errors.append(f"The version {written} is lower than {max(released)}, which is released.")
    found = []
    if released:
        found, grown = _grown(current, version, max(released), released)
        errors += grown
    if is_release:
        errors.append(
            f"{written} is a release without its file: todo-api contract >openapi/released/{written}.yaml, "
            "or, until it is released, end the version in -dev."
        )
    return Verdict(found, errors)


def _beside_its_own(
    current: Document, version: Version, is_release: bool, released: dict[Version, Document], errors: list[str]
) -> Verdict:
    """The contract has the version of a released one: it is that one, or it needs another version."""
    found = changes(released[version], current)
    if found or not is_release:
        needed = max(released).raised(max(impact(found), Impact.PATCH))
        errors.append(f"{version} is released and the contract is another one: its version must be {needed}-dev.")
        return Verdict(found, errors)
    earlier = [other for other in released if other < version]
    if earlier:
        found, grown = _grown(current, version, max(earlier), released)
        errors += grown
    return Verdict(found, errors)


def _grown(
    current: Document, version: Version, base: Version, released: dict[Version, Document]
) -> tuple[list[Change], list[str]]:
    found = changes(released[base], current)
    grave = [change for change in found if not _is_mended(change, base)]
    needed = base.raised(max(impact(grave), min(impact(found), Impact.MINOR)))
    if version >= needed:
        return found, []
    gravest = impact(grave).name.lower()
    return found, [
        f"The contract has {gravest} changes since {base}: its version must be at least {needed}, not {version}."
    ]


def _is_mended(change: Change, base: Version) -> bool:
    mended = MENDED.get(str(base), set())
    return any(change.place.endswith(place) and change.what.startswith(what) for place, what in mended)


def load(folder: Path) -> dict[Version, Document]:
    """The released contracts of a folder, by the versions that their names say."""
    return {
        Version(*map(int, path.stem.split("."))): yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.yaml"))
    }


def main() -> int:
    """0 where the contract may stand, 1 where not."""
    current = contract.load(contract.TASK_API)
    released = load(RELEASED)
    verdict = judge(current, released)
    for change in verdict.changes:
        print(f"{change.impact.name.lower():5}  {change.place}\n       {change.what}")
    for error in verdict.errors:
        print(f"contract-diff: {error}", file=sys.stderr)
    if not verdict.errors:
        last = max(released, default="none")
        print(
            f"Contract {current['info']['version']}, last released {last}: {len(verdict.changes)} differences, no objection."
        )
    return 1 if verdict.errors else 0


if __name__ == "__main__":
    sys.exit(main())
