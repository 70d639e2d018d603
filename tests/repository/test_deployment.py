"""The examples of `deploy/` say what the service understands: settings, addresses, ports and deadlines.

`make deployment` has them judged by tools.
"""

import configparser
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.credentials import SECRET
from tests.support.pages import rows
from tests.support.shipped import SHIPPED
from todo_api import contract
from todo_api.config import Config
from todo_api.server import Server

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
REDIS = yaml.safe_load((DEPLOY / "compose.redis.yaml").read_text(encoding="utf-8"))
OWN_DATABASE = yaml.safe_load((DEPLOY / "compose.own-database.yaml").read_text(encoding="utf-8"))
KUBERNETES = {
    each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8"))
}
POD = KUBERNETES["Deployment"]["spec"]["template"]["spec"]
DOCUMENT = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")

SETTINGS = {field.name.upper() for field in fields(Config)}
OF_OTHERS = {"PATH", "TMPDIR", "POSTGRES_USER", "POSTGRES_PASSWORD"}
UNITS = {"s": 1, "min": 60}


class Unit(configparser.RawConfigParser):
    """A unit of systemd."""

    def optionxform(self, optionstr: str) -> str:
        """As written: systemd tells capitals apart."""
        return optionstr


def unit() -> Unit:
    parsed = Unit(strict=False)
    parsed.read(DEPLOY / "todo-api.service")
    return parsed


def seconds(text: str) -> float:
    """A span of time as systemd and Compose write it; a bare number is seconds."""
    number, name = re.fullmatch(r"(\d+)(s|min|)", text).groups()  # type: ignore[union-attr]  # an error tells as much
    return int(number) * UNITS[name or "s"]


def image_environment() -> dict[str, str]:
    (line,) = re.findall(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE)
    return dict(pair.split("=", 1) for pair in line.split())


def stop_seconds() -> float:
    """How long the service takes to stop, at most."""
    server = Server(Config(database_url="postgresql://", jwt_secret=SECRET), log=None, ready=lambda: None)
    return float(server.cfg.graceful_timeout)


def operators_paths() -> set[str]:
    return set(contract.load(contract.OPS_API)["paths"])


def test_settings_of_the_examples_are_settings_of_the_service() -> None:
    containers = [*POD["initContainers"], *POD["containers"]]
    named = {
        *image_environment(),
        *(
            name
            for file in (COMPOSE, REDIS, OWN_DATABASE)
            for service in file["services"].values()
            for name in service.get("environment", ())
        ),
        *(variable["name"] for container in containers for variable in container.get("env", ())),
        unit()["Service"]["Environment"].split("=")[0],
        *re.findall(r"from-literal=([A-Z_]+)", (DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")),
        *re.findall(r"\b(?=[A-Z]*_)[A-Z_]{4,}(?==|\b)", DOCUMENT),
    }
    assert named - OF_OTHERS - SETTINGS == set()
    assert named >= {"DATABASE_URL", "JWT_SECRET", "HOST", "WEB_CONCURRENCY"}


def test_secrets_are_named_in_no_example_but_by_reference() -> None:
    assert "envFrom" in POD["containers"][0]
    assert "EnvironmentFile" in unit()["Service"]
    given = [value for service in COMPOSE["services"].values() for value in service["environment"].values()]
    secret = [value for value in given if "tasks:" in value or value != "tasks"]
    assert [value for value in secret if not re.search(r"\$\{[A-Z_]+:\?", value)] == []
    assert len(secret) >= 2  # the URL and the key of tokens
    assert re.findall(r"^(?:ENV|ARG) .*(?:SECRET|PASSWORD|URL)", DOCKERFILE, re.MULTILINE) == []


def test_probes_ask_addresses_of_the_contract_at_the_port_that_is_served() -> None:
    container = POD["containers"][0]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/health/live",
        "liveness": "/health/live",
        "readiness": "/health/ready",
    }
    assert {probe["path"] for probe in probes.values()} <= operators_paths()
    (port,) = container["ports"]
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert str(port["containerPort"]) == image_environment()["PORT"]
    (published,) = COMPOSE["services"]["api"]["ports"]
    assert published.split(":")[2] == image_environment()["PORT"]


def test_health_check_of_the_image_asks_an_address_of_the_contract() -> None:
    (command,) = re.findall(r"^HEALTHCHECK .*\\\n +CMD (.*)$", DOCKERFILE, re.MULTILINE)
    _, _, program = json.loads(command)
    compile(program, "HEALTHCHECK", "exec")
    (path,) = re.findall(r"}(/[a-z/]+)", program)
    assert path in operators_paths()


def test_everybody_waits_longer_than_the_service_takes_to_stop() -> None:
    pause = POD["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    waits = {
        "compose": seconds(COMPOSE["services"]["api"]["stop_grace_period"]),
        "systemd": seconds(unit()["Service"]["TimeoutStopSec"]),
        "kubernetes": POD["terminationGracePeriodSeconds"] - pause,
    }
    assert {name for name, wait in waits.items() if wait <= stop_seconds()} == set()


@pytest.mark.parametrize(
    "service",
    [
        COMPOSE["services"]["api"],
        COMPOSE["services"]["database"],
        REDIS["services"]["redis"],
        OWN_DATABASE["services"]["api"],
    ],
    ids=["api", "database", "redis", "api of an own database"],
)
def test_compose_gives_no_service_more_than_it_needs(service: dict[str, Any]) -> None:
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_compose_starts_the_service_once_the_database_answers() -> None:
    assert COMPOSE["services"]["api"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert "--host 127.0.0.1" in COMPOSE["services"]["database"]["healthcheck"]["test"]


def test_kubernetes_gives_no_container_more_than_it_needs() -> None:
    for container in [*POD["initContainers"], *POD["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    user = POD["securityContext"]["runAsUser"]
    assert re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE) == [(str(user), str(user))]


def test_kubernetes_replaces_copies_without_a_gap() -> None:
    deployment = KUBERNETES["Deployment"]["spec"]
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert KUBERNETES["PodDisruptionBudget"]["spec"]["maxUnavailable"] < deployment["replicas"]
    labels = deployment["template"]["metadata"]["labels"]
    assert KUBERNETES["Service"]["spec"]["selector"] == labels
    assert KUBERNETES["PodDisruptionBudget"]["spec"]["selector"] == {"matchLabels": labels}


def test_image_is_built_from_everything_that_the_wheel_is_made_of() -> None:
    allowed = re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    copied = {
        name for line in re.findall(r"^COPY ((?!--from).*) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    }
    assert copied == set(allowed)
    assert copied == {*SHIPPED, "constraints.txt"} - {"setup.cfg"}  # which is for the tests


def test_images_are_named_with_a_version_and_without_a_registry() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    others = [COMPOSE["services"]["database"]["image"], POD["containers"][0]["image"]]
    assert [name for name in (*bases, *others) if not re.fullmatch(r"[a-z-]+:[$\w{}.-]+", name)] == []


def test_compose_with_an_own_database_is_the_service_of_the_other_file() -> None:
    own, other = OWN_DATABASE["services"]["api"], COMPOSE["services"]["api"]
    differs = {name for name in own | other if own.get(name) != other.get(name)}
    assert differs == {"environment", "networks", "depends_on", "extra_hosts"}
    assert own["environment"].keys() == other["environment"].keys()


def test_annotations_for_dapr_name_an_address_of_the_contract_and_are_those_of_the_page() -> None:
    annotations = KUBERNETES["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    (port,) = POD["containers"][0]["ports"]
    assert annotations["dapr.io/app-port"] == str(port["containerPort"])
    assert annotations["dapr.io/app-health-check-path"] in operators_paths()
    page = rows((ROOT / "docs" / "dapr.md").read_text(encoding="utf-8"))
    assert {name.strip("`"): value.strip("`").strip('"') for name, value, _ in page} == annotations


def test_alerts_lead_to_a_part_of_the_runbook_each() -> None:
    groups = yaml.safe_load((ROOT / "docs" / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert [rule["annotations"]["runbook"] for rule in rules] == [
        f"docs/runbook.md#{rule['alert'].lower()}" for rule in rules
    ]
    titles = re.findall("^## (.*)$", (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert titles == [rule["alert"] for rule in rules]
