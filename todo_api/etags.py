"""Entity tags (RFC 9110, section 8.8.3), and the conditions that name them (sections 13.1.1 and 13.1.2).

A task's tag is its version: its address names one task for good. A list and an account have an address that means something else
to each user, `me`, so their tags name the user and the row's epoch as well: a browser that two users share sends the tags of one with
the token of the other, and a row that is restored or made anew counts from the beginning.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_VERSION = re.compile(r'"(0|[1-9][0-9]{0,17})"')
_SPACE = re.compile(r'"([0-9a-f]{16})-([0-9a-f]{1,16})-(0|[1-9][0-9]{0,17})"')


class SpaceTag(NamedTuple):
    """What the tag of a list or an account names, beside the user."""

    epoch: int
    number: int


class AccountCondition(NamedTuple):
    """What `If-Match` names of an account: its versions alone, as clients before the epochs send them, and its tags."""

    versions: list[int]
    tags: list[SpaceTag]

    def holds(self, epoch: int, version: int) -> bool:
        """Return whether one of them is at this version in this epoch."""
        return version in self.versions or (epoch, version) in self.tags

    @property
    def values(self) -> dict[str, list[int] | list[str]]:
        """The parameters of a statement that looks for them."""
        return {"versions": self.versions, "tags": [f"{tag.epoch}-{tag.number}" for tag in self.tags]}


def version_tag(version: int) -> str:
    """Return the strong tag of a task at this version."""
    return f'"{version}"'


def space_tag(user_id: str, epoch: int, number: int) -> str:
    """Return the strong tag of a list or an account of this user, at this number of theirs."""
    return f'"{_digest(user_id)}-{epoch:x}-{number}"'


def matched_versions(if_match: str | None) -> list[int] | None:
    """Return the versions that `If-Match` names, None for any. Weak tags match nothing (section 8.8.3.2)."""
    if _is_any(if_match):
        return None
    return [int(found[1]) for tag in _strong(if_match) if (found := _VERSION.fullmatch(tag))]


def matched_account(if_match: str | None, user_id: str) -> AccountCondition | None:
    """Return what `If-Match` names of the user's account, by its tag or as the version in quotes; None for any."""
    if _is_any(if_match):
        return None
    return AccountCondition(matched_versions(if_match) or [], [*_in_space(_strong(if_match), user_id)])


def known_in_space(if_none_match: str | None, user_id: str) -> list[SpaceTag]:
    """Return what `If-None-Match` names of this user's lists or account."""
    return [*_in_space((tag for _, tag in _tags(if_none_match)), user_id)]


def is_known(if_none_match: str | None, tag: str) -> bool:
    """Return whether `If-None-Match` names this tag, by weak comparison, or any with `*`."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or any(tag == each for _, each in _tags(if_none_match))


def _is_any(if_match: str | None) -> bool:
    return if_match is None or if_match.strip() == "*"


def _tags(field: str | None) -> Iterator[tuple[str, str]]:
    return ((found[1] or "", found[2]) for found in _TAG.finditer(field or ""))


def _strong(field: str | None) -> list[str]:
    return [tag for weak, tag in _tags(field) if not weak]


def _in_space(tags: "list[str] | Iterator[str]", user_id: str) -> Iterator[SpaceTag]:
    digest = None
    for tag in tags:
        found = _SPACE.fullmatch(tag)
        if found:
            digest = digest or _digest(user_id)
            if found[1] == digest:
                yield SpaceTag(int(found[2], 16), int(found[3]))


def _digest(user_id: str) -> str:
    return blake2b(user_id.encode(), digest_size=8, person=b"entity tags").hexdigest()
