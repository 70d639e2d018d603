"""docs/contract-points.md names what holds each of its points: the tests and the rules exist."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
POINTS = (ROOT / "docs" / "contract-points.md").read_text(encoding="utf-8")


def named(pattern: str) -> set[str]:
    return set(re.findall(rf"`({pattern})`", POINTS))


def test_points_are_numbered_from_one_to_sixty() -> None:
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", POINTS, re.MULTILINE)] == list(range(1, 61))


def test_points_name_tests_that_exist() -> None:
    sources = [*ROOT.glob("tests/**/test_*.py"), *ROOT.glob("tests/**/check_*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    existing = set(re.findall(r"def (test_\w+)\(", text))
    tests = named(r"test_\w+")
    assert len(tests) > 40
    assert tests - existing == set()


def test_points_name_lint_rules_that_are_on() -> None:
    redocly = yaml.safe_load((ROOT / "redocly.yaml").read_text(encoding="utf-8"))["rules"]
    spectral = yaml.safe_load((ROOT / ".spectral.yaml").read_text(encoding="utf-8"))["rules"]
    on = {name for name, rule in (redocly | spectral).items() if rule != "off"}
    rules = named(r"(?:rule/)?[a-z]+(?:-[a-z]+)+(?! )") - {"x-extensible", "x-required-scope"}
    assert len(rules) > 25
    assert rules - on == set()
