"""The judge of replies refuses what a second validator of JSON Schema refuses, and nothing else."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from tests.support.contract_check import ContractCheck, _plain, _read
from todo_api import contract

DOCUMENT, REGISTRY = _read(contract.TASK_API)
WRONG = (1, 1.5, True, None, "", "x", "2026-02-30", "2026-11-29T24:00:00Z", "01932c079f7a7c1db6a1000000000001", [], {})


def changed(value: Any) -> Iterator[Any]:
    """Yield copies of a value that differ in one place: another value, no member, or one more."""
    yield from WRONG
    if isinstance(value, dict):
        yield {**value, "unknown": 1}
        for name in value:
            yield {other: value[other] for other in value if other != name}
            yield from ({**value, name: part} for part in changed(value[name]))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from ([*value[:index], part, *value[index + 1 :]] for part in changed(each))


@pytest.mark.parametrize("name", ["Project", "HistoryPage", "TrashPage", "ApiKeyList"])
def test_judge_refuses_what_another_validator_refuses(name: str) -> None:
    check, example = ContractCheck(), DOCUMENT["components"]["examples"][name]["value"]
    schema = {"$ref": f"#/components/schemas/{name}"}
    found: Registry[Any] = Registry().with_resource("contract:", Resource(_plain(DOCUMENT), DRAFT4))
    second = jsonschema.Draft4Validator(
        _plain(schema), registry=found, format_checker=jsonschema.FormatChecker(["date", "date-time", "uuid"])
    )
    check._judge(name, schema, REGISTRY, example)
    refused = 0
    for value in changed(example):
        if second.is_valid(value):
            check._judge(name, schema, REGISTRY, value)
        else:
            refused += 1
            with pytest.raises(AssertionError, match=rf"^{name}: \["):
                check._judge(name, schema, REGISTRY, value)
    assert refused > len(WRONG)
