"""Metrics of a running service, read as Prometheus does."""

from prometheus_client.parser import text_string_to_metric_families

from tests.support.live import Live
from tests.support.processes import soon

Samples = dict[tuple[str, tuple[str, ...]], float]


def samples(text: str) -> Samples:
    """Every sample by its name and the values of its labels, in the order of their names; without buckets."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


def scrape(service: Live) -> Samples:
    return samples(service.request("GET", "/metrics").body.decode())


def scrape_at_rest(service: Live) -> Samples:
    """Scrape once every request but the scrape itself is counted: a worker counts one only after its reply is out."""
    found: Samples = {}

    def rests() -> bool:
        found.update(scrape(service))
        return in_flight(found) == {("getMetrics",): 1}

    assert soon(rests), (in_flight(found), service.output()[-2000:])
    return found


def in_flight(found: Samples) -> dict[tuple[str, ...], float]:
    """Return the number of running requests by operation, without those that have none."""
    return {each: count for (name, each), count in found.items() if name == "todo_api_requests_in_flight" and count}


def rise(before: Samples, after: Samples, name: str) -> dict[tuple[str, ...], float]:
    """By how much each sample of that name has risen, where it has."""
    risen = {labels: value - before.get((name, labels), 0) for (each, labels), value in after.items() if each == name}
    return {labels: value for labels, value in risen.items() if value}
