"""Names of labels, and which are the same.

Two names are one label if they match without case: canonical caseless matching (Unicode, 3.13,
D145), composed, as the search has it. The mappings are those of `fold_case`, since the version of
Unicode in Python's own `casefold` changes with Python, and keys are stored.
"""

import unicodedata
from collections.abc import Iterable, Mapping

import orjson

from todo_api.contract import shipped
from todo_api.errors import Violation

MOST_CHARACTERS = 60
"""Maximum number of characters of a name. Composing a name may make it longer."""

_FOLDED = str.maketrans(orjson.loads((shipped("migrations") / "case_folding_17_0_0.json").read_bytes()))


def composed(name: str) -> str:
    """Return the name as it is stored: composed (NFC)."""
    return unicodedata.normalize("NFC", name)


def key_of(name: str) -> str:
    """Return what all spellings of a label have in common."""
    if name.isascii():
        return name.lower()
    return composed(unicodedata.normalize("NFD", name).translate(_FOLDED))


def by_key(names: Iterable[str]) -> dict[str, str]:
    """Return the names as they are stored, by their keys and in the order of the keys."""
    return dict(sorted((key_of(name), composed(name)) for name in names))


def violations(names: Iterable[str], pointer: str) -> list[Violation]:
    """Return a violation for each name that is too long, and for each label that is there again."""
    found: list[Violation] = []
    keys = set()
    for index, name in enumerate(names):
        key, place = key_of(name), f"{pointer}/{index}"
        if len(composed(name)) > MOST_CHARACTERS:
            detail = f"Must have at most {MOST_CHARACTERS} characters, composed (NFC)."
            found.append(Violation("body", place, "too_long", detail))
        elif key in keys:
            found.append(Violation("body", place, "duplicate", "Is in the list already: case does not count."))
        keys.add(key)
    return found


def as_json(labels: Mapping[str, str]) -> str | None:
    """Return the names as the task's row has them: a JSON array, None without labels."""
    return orjson.dumps([*labels.values()]).decode() if labels else None
