"""Operations of `openapi/ops-api.yaml`, for operators."""

from todo_api.errors import NotReady
from todo_api.http import Reply
from todo_api.services import SECRET, services

TEXT = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
"""Prometheus's text format."""


def check_liveness() -> Reply:
    """Return 200 while the process answers."""
    return {"status": "pass"}, 200, SECRET


def check_readiness() -> Reply:
    """Return 200 if every check passes. Raise NotReady."""
    checks = {name: check._asdict() for name, check in services().readiness.report().items()}
    failed = [name for name, check in checks.items() if check["status"] != "pass"]
    if failed:
        raise NotReady(failed, checks)
    return {"status": "pass", "checks": checks}, 200, SECRET


def get_metrics() -> Reply:
    """Return 200 with the metrics of all workers."""
    return services().metrics(), 200, SECRET | TEXT
