"""Check that every seeded edit is judged right, and that docs/contract-checks.md says so.

`make contract-diff` runs this. The plain test run does not, since it needs Node. `python -m
tests.contract.tools.check_edits` writes the table.
"""

import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.tools.diff import Version, judge
from tests.contract.tools.edits import EDITS, Edit
from tests.contract.tools.impact import ROOT, Change, Document, Impact, changes, impact
from todo_api import contract as contracts

POLICY = ROOT / "docs" / "contract-checks.md"
START, END = "<!-- The seeded edits, from the run -->\n", "<!-- End of the seeded edits -->\n"
BASE = Version(1, 0, 0)


def contract(version: str = "1.0.0") -> Document:
    document: Document = contracts.load(contracts.TASK_API)
    return document | {"info": document["info"] | {"version": version}}


def edited(edit: Edit, version: str = "1.0.0") -> Document:
    document = copy.deepcopy(contract(version))
    edit.make(document)
    return document


def judged() -> dict[str, list[Change]]:
    """Return the findings of the tools in each edit."""
    base = contract()
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda edit: changes(base, edited(edit)), EDITS)
        return {edit.what: differences for edit, differences in zip(EDITS, found, strict=True)}


def table(found: dict[str, list[Change]]) -> str:
    rows, right = [], [0, 0]
    for edit in EDITS:
        ratings = (impact(found[edit.what]), max(change.alone for change in found[edit.what]))
        right = [count + (rating is edit.right) for count, rating in zip(right, ratings, strict=True)]
        rows.append(f"| {edit.what} | {' | '.join(rating.name.lower() for rating in (edit.right, *ratings))} |")
    count = f"{right[0]} of {len(EDITS)} edits are judged right; by `redocly diff` alone, {right[1]}."
    return "\n".join([count, "", "| edit | asks for | judged | redocly diff alone |", "|---|---|---|---|", *rows, ""])


@pytest.fixture(scope="module")
def found() -> dict[str, list[Change]]:
    return judged()


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.what)
def test_edit_is_judged_right(found: dict[str, list[Change]], edit: Edit) -> None:
    assert impact(found[edit.what]) is edit.right


def test_documented_table_is_what_the_run_gave(found: dict[str, list[Change]]) -> None:
    text = POLICY.read_text(encoding="utf-8")
    assert text.partition(START)[2].partition(END)[0] == table(found)


def test_contract_unchanged_is_accepted() -> None:
    assert judge(contract(), {BASE: contract()}) == ([], [])


def test_contract_changed_under_a_released_version_is_refused() -> None:
    change = next(edit for edit in EDITS if edit.right is Impact.PATCH)
    (error,) = judge(edited(change), {BASE: contract()}).errors
    assert error == "1.0.0 is released and the contract is another one: its version must be 1.0.1-dev."


@pytest.mark.parametrize(
    ("right", "version", "errors"),
    [
        (Impact.MAJOR, "1.9.9-dev", ["must be at least 2.0.0, not 1.9.9."]),
        (Impact.MAJOR, "2.0.0-dev", []),
        (Impact.MINOR, "1.0.9-dev", ["must be at least 1.1.0, not 1.0.9."]),
        (Impact.MINOR, "1.1.0-dev", []),
        (Impact.PATCH, "1.0.1-dev", []),
        (Impact.PATCH, "0.9.0-dev", ["is lower than 1.0.0, which is released.", "must be at least 1.0.1, not 0.9.0."]),
        (Impact.PATCH, "1.0.1", ["1.0.1 is a release without its file"]),
        (Impact.PATCH, "1.1", ["is not MAJOR.MINOR.PATCH"]),
    ],
)
def test_version_that_tells_of_the_change_is_asked_for(right: Impact, version: str, errors: list[str]) -> None:
    change = next(edit for edit in EDITS if edit.right is right)
    told = judge(edited(change, version), {BASE: contract()}).errors
    assert len(told) == len(errors)
    assert all(part in error for part, error in zip(errors, told, strict=True))


def test_release_that_breaks_the_one_before_without_a_new_major_is_refused() -> None:
    removal = edited(EDITS[0], "1.1.0")
    (error,) = judge(removal, {BASE: contract(), Version(1, 1, 0): removal}).errors
    assert error == "The contract has major changes since 1.0.0: its version must be at least 2.0.0, not 1.1.0."


def test_released_file_that_names_another_version_is_refused() -> None:
    (error,) = judge(contract("1.0.1-dev"), {BASE: contract("1.0.2")}).errors
    assert error == "openapi/released/1.0.0.yaml says that it is 1.0.2."


def write(path: Path) -> None:
    """Puts the table of this run into the policy."""
    before, _, rest = path.read_text(encoding="utf-8").partition(START)
    path.write_text(f"{before}{START}{table(judged())}{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    write(POLICY)
