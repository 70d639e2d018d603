"""Metrics of several workers add up to exactly what was sent, and their labels are bounded."""

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.client import Client
from tests.support.credentials import SECRET, token
from tests.support.live import Live
from tests.support.metrics import in_flight, rise, samples, scrape_at_rest
from tests.support.processes import soon
from tests.support.rows import rows
from todo_api import contract
from todo_api.api_keys.secret import make
from todo_api.app import new_counters
from todo_api.observability.metrics import Exposition, MetricsRecorder, SharedCounters
from todo_api.observability.request_record import RequestRecord

DOCS = Path(__file__).parents[2] / "docs"
TASKS = "/api/v1/me/tasks"
DURATION = "todo_api_request_duration_seconds"


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with two workers."""
    folder = tmp_path_factory.mktemp("metrics")
    with Live(folder, "--workers", "2", DATABASE_URL=url, JWT_SECRET=SECRET) as service:
        yield service.ready()


def sent(service: Live) -> Counter[tuple[str, ...]]:
    """Sends a mixture over many connections, so that both workers get of it, and counts it by operation and status."""
    ada = token("metrics-ada")
    counts: Counter[tuple[str, ...]] = Counter()
    for number in range(40):
        reply = service.request("POST", TASKS, b'{"title": "counted"}', token=ada)
        task = f"{TASKS}/{reply.json()['id']}"
        statuses = {
            "createTask": reply.status,
            "getTask": service.request("GET", task, token=ada).status,
            "listTasks": service.request("GET", TASKS).status,
            "none": service.request("GET", f"/nowhere/{number}").status,
            "page": service.request("GET", "/api/v1/openapi.yaml").status,
        }
        counts.update((operation, str(status)) for operation, status in statuses.items())
    return counts


def test_get_metrics_of_two_workers_adds_up_to_what_was_sent(live: Live) -> None:
    before = scrape_at_rest(live)
    expected = sent(live)
    after = scrape_at_rest(live)
    counted = rise(before, after, f"{DURATION}_count")
    assert counted.pop(("getMetrics", "200")) >= 1
    assert counted == expected
    assert rise(before, after, "todo_api_rejections_total") == {("unauthorized",): 40, ("not_found",): 40}
    assert rise(before, after, "todo_api_tokens_refused_total") == {("missing",): 40}
    assert rise(before, after, "todo_api_database_statements_total") == {("createTask",): 40, ("getTask",): 40}
    assert after["todo_api_workers", ()] == 2
    assert all(after["process_cpu_seconds_total", (worker,)] > 0 for worker in ("0", "1"))


def test_get_metrics_at_rest_has_only_itself_in_flight(live: Live) -> None:
    found = scrape_at_rest(live)
    assert in_flight(found) == {("getMetrics",): 1}
    assert found["todo_api_database_connections_in_use", ()] == 0
    assert found["todo_api_database_connections", ()] == 2 * (12 + 1)


def test_get_metrics_buckets_end_with_the_count(live: Live) -> None:
    live.request("GET", "/health/live")
    text = live.request("GET", "/metrics").body.decode()
    (family,) = [each for each in text_string_to_metric_families(text) if each.name == DURATION]
    row = [each for each in family.samples if each.labels.get("operation") == "checkLiveness"]
    buckets = [each.value for each in row if each.name.endswith("_bucket")]
    (count,) = [each.value for each in row if each.name.endswith("_count")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == count


def test_get_metrics_whatever_is_asked_has_only_known_labels(live: Live) -> None:
    for odd in ("walrus", "tasks%2fwalrus", "%ff"):
        live.request("GET", f"/{odd}")
        live.request("WALRUS", f"/api/v1/{odd}/tasks")
        live.request("GET", f"{TASKS}/{odd}?{odd}=1", b"", f"X-Walrus: {odd}", token=token(f"{odd}-walrus"))
    text = live.request("GET", "/metrics").body.decode()
    assert "walrus" not in text.lower()
    documents = [contract.load(path) for path in (contract.TASK_API, contract.OPS_API)]
    known = {
        operation["operationId"]
        for document in documents
        for item in document["paths"].values()
        for operation in item.values()
        if "operationId" in operation
    }
    families = text_string_to_metric_families(text)
    operations = {
        sample.labels["operation"] for family in families for sample in family.samples if "operation" in sample.labels
    }
    assert operations == known | {"page", "none"}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"secret": "another-secret-of-the-tests-9mVq3xTz"}, "signature"),
        ({"issuer": "another"}, "issuer"),
        ({"audience": "another"}, "audience"),
        ({"lifetime": -3600}, "expired"),
    ],
)
def test_get_metrics_after_a_bad_token_counts_its_cause(live: Live, changes: dict[str, object], cause: str) -> None:
    before = scrape_at_rest(live)
    assert live.request("GET", TASKS, token=token("ada", **changes)).status == 401
    assert rise(before, scrape_at_rest(live), "todo_api_tokens_refused_total") == {(cause,): 1}


def test_get_metrics_after_bad_api_keys_counts_their_causes_and_statements(live: Live, url: str) -> None:
    ada = token("keys-ada")
    body = b'{"name": "x", "scopes": ["tasks:read"]}'
    made = live.request("POST", "/api/v1/me/keys", body, token=ada).json()
    before = scrape_at_rest(live)
    statuses = [live.request("GET", TASKS, token=key).status for key in (made["key"], f"{made['key']}x", make())]
    rows(url, "UPDATE api_keys SET created_at = now() - interval '2 days', expires_at = now() - interval '1 day'")
    statuses.append(live.request("GET", TASKS, token=made["key"]).status)
    assert statuses == [200, 401, 401, 401]
    causes = {("key_malformed",): 1, ("key_unknown",): 1, ("key_expired",): 1}
    after = scrape_at_rest(live)
    assert rise(before, after, "todo_api_tokens_refused_total") == causes
    assert rise(before, after, "todo_api_database_statements_total") == {("listTasks",): 4}


def test_get_metrics_after_a_request_that_is_no_http_counts_it(live: Live) -> None:
    before = scrape_at_rest(live)
    assert live.request("GET /nowhere", "/").status == 400
    assert rise(before, scrape_at_rest(live), "todo_api_rejections_total") == {("bad_request",): 1}


def test_get_metrics_after_a_worker_was_killed_has_lost_nothing(live: Live) -> None:
    before = scrape_at_rest(live)
    os.kill(live.workers()[0], signal.SIGKILL)
    assert soon(lambda: len(live.workers()) == 3)
    after = scrape_at_rest(live.ready())
    assert after["todo_api_worker_starts_total", ()] == before["todo_api_worker_starts_total", ()] + 1
    counts = [each for each in before if each[0].endswith(("_count", "_total")) and not each[0].startswith("process_")]
    assert [each for each in counts if after[each] < before[each]] == []
    assert after["todo_api_requests_in_flight", ("getTask",)] == 0


def test_get_metrics_with_a_parameter_is_refused(anonymous: Client) -> None:
    assert anonymous.get("/metrics?name=walrus").status == 400


def test_get_metrics_in_process_has_its_media_type(anonymous: Client) -> None:
    reply = anonymous.get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.fixture
def counters() -> SharedCounters:
    return new_counters(2)


def test_counters_after_release_slot_keep_counters_and_reset_gauges(counters: SharedCounters) -> None:
    slot = counters.acquire_slot()
    recorder = MetricsRecorder(counters, slot)
    recorder.set_pool_size(9)
    recorder.add_connections_in_use(1)
    done, abandoned = [RequestRecord("GET", "id", None, (recorder,)) for _ in range(2)]
    done.start("getTask", "/")
    abandoned.start("getTask", "/")
    done.end()
    counters.release_slot(slot)
    found = samples(Exposition(counters).text().decode())
    assert found[f"{DURATION}_count", ("getTask", "499")] == 1
    assert found["todo_api_requests_in_flight", ("getTask",)] == 0
    assert found["todo_api_database_connections_in_use", ()] == 0
    assert counters.acquire_slot() == slot


def test_counters_of_two_workers_have_separate_slots(counters: SharedCounters) -> None:
    for slot in (counters.acquire_slot(), counters.acquire_slot()):
        RequestRecord("GET", "id", None, (MetricsRecorder(counters, slot),)).end()
    assert samples(Exposition(counters).text().decode())[f"{DURATION}_count", ("none", "499")] == 2


def written_expressions() -> list[str]:
    """Every expression of the alert rules and of the dashboard."""
    rules = yaml.safe_load((DOCS / "alerts.yaml").read_text(encoding="utf-8"))
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return [*alerts, *(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])]


def test_alerts_and_dashboard_name_metrics_that_exist(live: Live) -> None:
    text = live.request("GET", "/metrics").body.decode()
    families = text_string_to_metric_families(text)
    known = {sample.name for family in families for sample in family.samples}
    named = {name for each in written_expressions() for name in re.findall(r"\b(?:todo_api|process)_[a-z_]+\b", each)}
    assert named
    assert named - known == set()


def test_observability_page_names_every_metric_that_exists(live: Live) -> None:
    text = live.request("GET", "/metrics").body.decode()
    page = (DOCS / "observability.md").read_text(encoding="utf-8")
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE todo_api_")}
    assert [name for name in families if f"`{name}`" not in page] == []


def test_counters_add_up_the_log_lines_that_were_dropped_since_the_worker_began(counters: SharedCounters) -> None:
    dropped = [5]
    for lost in (2, 0, 4):
        recorder = MetricsRecorder(counters, counters.acquire_slot(), lambda: dropped[0])
        for _ in range(2):
            dropped[0] += lost
            RequestRecord("GET", "id", None, (recorder,)).end()
            RequestRecord("GET", "id", None, (recorder,)).end()
        counters.release_slot(0)
    assert samples(Exposition(counters).text().decode())["todo_api_log_lines_dropped_total", ()] == 12
