"""Entity tags (RFC 9110, section 8.8.3), `If-Match` and `If-None-Match` (13.1.1 and 13.1.2).

A task's tag is its version. Lists and the account have the address `me`, which differs per user, so
their tags include a digest of the user and the row's epoch. A browser that two users share sends
the tags of one with the token of the other, and a restored row counts from the beginning.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_VERSION = re.compile(r'"(0|[1-9][0-9]{0,17})"')
_SPACE = re.compile(r'"([0-9a-f]{16})-([0-9a-f]{1,16})-(0|[1-9][0-9]{0,17})"')


class SpaceTag(NamedTuple):
    """The epoch and the number in the tag of a list or an account."""

    epoch: int
    number: int

    def __str__(self) -> str:
        """Return the tag as statements compare it."""
        return f"{self.epoch}-{self.number}"


class AccountCondition(NamedTuple):
    """`If-Match` for an account: its tags, and bare versions, as older clients send them."""

    versions: list[int]
    tags: list[SpaceTag]

    def holds(self, epoch: int, version: int) -> bool:
        """Return whether one of them names this version in this epoch."""
        return version in self.versions or (epoch, version) in self.tags

    @property
    def values(self) -> dict[str, list[int] | list[str]]:
        """Return the parameters of a statement that checks them."""
        return {"versions": self.versions, "tags": [*map(str, self.tags)]}


def version_tag(version: int) -> str:
    """Return the strong tag of a task at this version."""
    return f'"{version}"'


def space_tag(user_id: str, epoch: int, number: int, stamp: str = "") -> str:
    """Return the strong tag of the user's list or account at this number.

    `stamp` is the minute or the date, for a list that changes by itself.
    """
    return f'"{_digest(user_id, stamp)}-{epoch:x}-{number}"'


def matched_versions(if_match: str | None) -> list[int] | None:
    """Return the versions in `If-Match`, None for any.

    Weak tags match nothing (section 8.8.3.2).
    """
    if _is_any(if_match):
        return None
    return [int(found[1]) for tag in _strong(if_match) if (found := _VERSION.fullmatch(tag))]


def matched_account(if_match: str | None, user_id: str) -> AccountCondition | None:
    """Return the condition of `If-Match` for the user's account, None for any."""
    if _is_any(if_match):
        return None
    return AccountCondition(matched_versions(if_match) or [], [*_in_space(_strong(if_match), user_id)])


def known_in_space(if_none_match: str | None, user_id: str, stamp: str = "") -> list[SpaceTag]:
    """Return the tags in `If-None-Match` of this user's lists or account, with that stamp."""
    return [*_in_space((tag for _, tag in _tags(if_none_match)), user_id, stamp)]


def is_known(if_none_match: str | None, tag: str) -> bool:
    """Return whether `If-None-Match` has this tag, by weak comparison, or `*`."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or any(tag == each for _, each in _tags(if_none_match))


def _is_any(if_match: str | None) -> bool:
    return if_match is None or if_match.strip() == "*"


def _tags(field: str | None) -> Iterator[tuple[str, str]]:
    return ((found[1] or "", found[2]) for found in _TAG.finditer(field or ""))


def _strong(field: str | None) -> list[str]:
    return [tag for weak, tag in _tags(field) if not weak]


def _in_space(tags: "list[str] | Iterator[str]", user_id: str, stamp: str = "") -> Iterator[SpaceTag]:
    digest = None
    for tag in tags:
        found = _SPACE.fullmatch(tag)
        if found:
            digest = digest or _digest(user_id, stamp)
            if found[1] == digest:
                yield SpaceTag(int(found[2], 16), int(found[3]))


def _digest(user_id: str, stamp: str = "") -> str:
    text = f"{user_id}\0{stamp}" if stamp else user_id  # no user's id has a control character
    return blake2b(text.encode(), digest_size=8, person=b"entity tags").hexdigest()
