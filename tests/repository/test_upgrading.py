"""docs/upgrading.md: the way back works as it is written."""

import os
import re
import subprocess
import sys
from collections.abc import Callable

from tests.support.databases import execute
from tests.support.pages import ROOT, read, shell
from todo_api.provisioning import migrations


def test_way_back_as_written_brings_the_schema_down_to_each_release(new_database: Callable[[], str]) -> None:
    url = new_database()
    commands = shell(read("docs/upgrading.md")).splitlines()
    assert commands
    for command in commands:
        found = re.fullmatch(r"\.venv/bin/python (-m alembic -c setup\.cfg downgrade (\d+))", command)
        assert found is not None
        done = subprocess.run(
            [sys.executable, *found[1].split()],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert execute(url, "SELECT version_num FROM alembic_version") == [(found[2],)]
    migrations.migrate(url)
    assert execute(url, "SELECT version_num FROM alembic_version") == [(migrations.head(),)]
