"""schemathesis against the running server. `python -m tests.system.fuzz` does it at length, with an embedded database of its own."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from string import Template

from tests.support.live import Live, run
from todo_api import contract

HERE = Path(__file__).parent
COMMAND = Path(sys.executable).with_name("schemathesis")
LIMIT = 3600
"""Seconds after which a run is ended, and counts as failed."""

OWN_SPACE = '"path.user_id" = "me"'
SETTINGS = {"RATE_LIMIT": "off", "SMTP_URL": "smtp://127.0.0.1:1?tls=off", "MAIL_FROM": "no-reply@example.com"}
"""Of the service that is asked: without limits, and with mail that nobody takes."""

OWN_SPACE_STATUSES = "checks.positive_data_acceptance.expected-statuses = ["


def fuzz(service: Live, folder: Path, *options: str, any_user: bool = False, **settings: str) -> str:
    """What schemathesis says after a run without a finding. `settings` are the service's.

    With `any_user` it makes up the `user_id` of addresses, and a valid request may be a 403. Raises AssertionError.
    """
    tokens = {
        f"{user.upper()}_TOKEN": run("token", user, cwd=folder, **settings).stdout.strip() for user in ("ada", "bob")
    }
    auth = Template((HERE / "wfc-auth.yaml").read_text(encoding="utf-8"))
    (folder / "wfc-auth.yaml").write_text(auth.substitute(tokens), encoding="utf-8")
    config = (HERE / "schemathesis.toml").read_text(encoding="utf-8")
    assert OWN_SPACE in config
    assert OWN_SPACE_STATUSES in config
    if any_user:
        config = config.replace(OWN_SPACE, "").replace(
            "positive_data_acceptance]\nexpected-statuses = [",
            'positive_data_acceptance]\nexpected-statuses = ["403", ',
        )
        # The fixed time zone takes the place of both where schemathesis sends two, and makes the request valid.
        config = config.replace(
            "negative_data_rejection]\nexpected-statuses = [",
            'negative_data_rejection]\nexpected-statuses = ["403", ',
        )
        config = config.replace(OWN_SPACE_STATUSES, f'{OWN_SPACE_STATUSES}"403", ')
    (folder / "schemathesis.toml").write_text(config, encoding="utf-8")
    (folder / "task-api.yaml").write_bytes(contract.as_yaml(contract.TASK_API))
    done = subprocess.run(
        [COMMAND, "--no-color", "run", "task-api.yaml", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HERE), "API_URL": f"{service.origin}/api/v1", "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout[-20000:]
    assert "Traceback" not in service.output(), service.output()[-20000:]
    return done.stdout


def main() -> None:
    """Both runs, with the server's own seed told, so that a finding can be had again."""
    parser = argparse.ArgumentParser(description="Fuzz a server of its own at length.")
    parser.add_argument("--max-examples", type=int, default=500, help="examples for each operation (default 500)")
    parser.add_argument("--seed", default=str(int(time.time())), help="the seed of an earlier run, to repeat it")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as above, Live(Path(above), **SETTINGS) as service:
        service.ready()
        for any_user, share in ((False, 1), (True, 4)):  # nearly all of another's space is 403
            bounds = (f"--max-examples={options.max_examples // share}", f"--seed={options.seed}")
            print(fuzz(service, Path(above), *bounds, any_user=any_user), flush=True)
