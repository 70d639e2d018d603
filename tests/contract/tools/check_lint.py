"""Every lint rule of ours finds what it is for. `make lint` runs this; no part of the plain test run, since it needs Node."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.tools.impact import QUIET, REDOCLY, ROOT, Document
from todo_api import contract

SPECTRAL = ROOT / "node_modules" / ".bin" / "spectral"
TASKS = "/{user_id}/tasks"
TASK = "/{user_id}/tasks/{task_id}"


def redocly(path: Path) -> set[str]:
    """The rules that Redocly finds broken."""
    output = linted(REDOCLY, "lint", path, "--format", "json", "--max-problems", "1000")
    return {problem["ruleId"] for problem in json.loads(output)["problems"]}


def spectral(path: Path) -> set[str]:
    """The rules that Spectral finds broken."""
    output = linted(SPECTRAL, "lint", path, "--format", "json", "--fail-severity", "hint", "--quiet")
    return {str(finding["code"]) for finding in json.loads(output)}


def linted(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=ROOT, env=QUIET, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def own_rules(settings: str, of_ours: Callable[[str, Any], bool]) -> set[str]:
    rules = yaml.safe_load((ROOT / settings).read_text(encoding="utf-8"))["rules"]
    return {name for name, rule in rules.items() if of_ours(name, rule)}


def broken(document: Document) -> Document:
    """The contract with at least one offence against each of our rules."""
    schemas, paths = document["components"]["schemas"], document["paths"]
    document["info"] = {"title": "Task API", "version": "1", "license": document["info"]["license"]}
    paths[TASK]["get"]["operationId"] = "fetchTask"
    paths[TASK]["put"] |= {"deprecated": True}
    paths[TASK]["delete"] |= {"x-sunset": "2027-11-20T00:00:00Z"}
    paths[TASK]["delete"]["responses"]["204"]["content"] = {"application/json": {"schema": {"type": "string"}}}
    paths[TASKS]["post"]["responses"] |= {"default": paths[TASKS]["post"]["responses"]["500"]}
    del paths[TASKS]["post"]["responses"]["201"]["headers"]["Location"]
    del paths[TASKS]["post"]["responses"]["415"]
    del paths["/{user_id}/account"]["get"]["responses"]["500"]
    schemas["TaskTitle"] = {"type": "string"}
    schemas["NullableEmail"]["pattern"] = "@"
    del schemas["TaskInput"]["additionalProperties"]
    del schemas["Version"]["maximum"]
    del schemas["TaskPage"]["properties"]["items"]["maxItems"]
    schemas["Task"]["properties"] |= {
        "dueDate": {"description": "No type."},
        "due_date": {"allOf": [{"$ref": "#/components/schemas/Timestamp"}]},
        "weight": {"type": "number"},
    }
    schemas["Problem"]["required"].remove("code")
    schemas["TaskPage"]["properties"]["items"]["nullable"] = True
    schemas["Task"]["properties"]["completed"]["nullable"] = True
    document["components"]["parameters"]["Limit"]["name"] = "pageLimit"
    document["components"]["parameters"]["Unused"] = document["components"]["parameters"]["Skip"]
    del document["components"]["headers"]["ETag"]["required"]
    task = document["components"]["responses"]["Task"]["content"]
    task["text/html"] = {"schema": {"type": "string"}}
    del document["components"]["responses"]["Forbidden"]["content"]
    document["components"]["responses"]["Unauthorized"]["headers"] = {}
    return document


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("contract") / "bad.yaml"
    path.write_text(json.dumps(broken(contract.load(contract.TASK_API))), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def by_redocly(bad: Path) -> set[str]:
    return redocly(bad)


@pytest.fixture(scope="module")
def by_spectral(bad: Path) -> set[str]:
    return spectral(bad)


def test_bundle_is_what_redocly_makes_of_the_files(tmp_path: Path) -> None:
    linted(REDOCLY, "bundle", contract.TASK_API, "--output", tmp_path / "bundle.yaml")
    assert yaml.safe_load((tmp_path / "bundle.yaml").read_text("utf-8")) == contract.load(contract.TASK_API)


def test_redocly_finds_an_offence_against_each_rule_of_ours(by_redocly: set[str]) -> None:
    ours = own_rules("redocly.yaml", lambda name, _: name.startswith("rule/"))
    assert len(ours) >= 23
    assert ours - by_redocly == set()


def test_spectral_finds_an_offence_against_each_rule_of_ours(by_spectral: set[str]) -> None:
    ours = own_rules(".spectral.yaml", lambda _, rule: isinstance(rule, dict))
    assert len(ours) >= 9
    assert ours - by_spectral == set()


@pytest.mark.parametrize(
    "rule",
    [
        "no-unused-components",
        "operation-4xx-problem-details-rfc7807",
        "response-contains-header",
        "response-mime-type",
        "scalar-property-missing-example",
    ],
)
def test_redocly_has_its_own_rules_on(by_redocly: set[str], rule: str) -> None:
    assert rule in by_redocly


@pytest.mark.parametrize(
    "rule",
    [
        "owasp:api4:2023-string-limit",
        "owasp:api4:2023-string-restricted",
        "owasp:api4:2023-integer-limit-legacy",
        "owasp:api4:2023-array-limit",
        "owasp:api8:2023-define-cors-origin",
        "owasp:api8:2023-define-error-responses-500",
    ],
)
def test_spectral_has_the_owasp_rules_on(by_spectral: set[str], rule: str) -> None:
    assert rule in by_spectral
