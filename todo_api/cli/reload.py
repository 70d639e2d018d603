"""`todo-api serve --reload`: the service for developers, restarted when a file changes."""

import argparse
import shlex
import sys
from pathlib import Path

from todo_api import contract
from todo_api.cli.commands import CommandError

STOP_SECONDS = 5
"""Seconds after which a service that was asked to stop is killed."""


def serve_and_reload(options: argparse.Namespace) -> None:
    """Run `todo-api serve`, and restart it when code or contract change, until stopped."""
    try:
        import watchfiles  # noqa: PLC0415  # a development tool, which a service does not have
    except ModuleNotFoundError as error:
        raise CommandError("--reload needs watchfiles. Use it from a checkout: make dev") from error
    chosen = {"--host": options.host, "--port": options.port, "--workers": options.workers or "1"}
    flags = [part for name, value in chosen.items() if value for part in (name, value)]
    watchfiles.run_process(
        Path(__file__).parents[1],
        contract.TASK_API.parent,
        target=shlex.join([sys.argv[0], "serve", *flags]),
        target_type="command",
        watch_filter=watchfiles.DefaultFilter(ignore_entity_patterns=[r"\.py[cod]$", r"~$", r"^\.", r"\.sw.$"]),
        sigint_timeout=STOP_SECONDS,
    )
