"""The guide and the pages that go on from it do what they say: each example prints what stands under it."""

import asyncio
import datetime as dt
import io
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.support.credentials import SECRET
from tests.support.live import COMMAND, Live
from tests.support.pages import BLOCK, read, rows, section
from tests.support.programs import program
from todo_api import contract
from todo_api.local_time import Moment, deadline

CHAPTERS = ("guide", "accounts", "api-keys", "retries", "dates", "projects", "labels", "subtasks", "order", "sync")
GUIDE = "\n".join(read(f"docs/{name}.md") for name in (*CHAPTERS, "batch", "agents"))
"""The pages as one, in the order in which they use what the ones before left behind."""

ADDRESS = "http://localhost:8000"
END = "-- end of the example --\n"


class Example(NamedTuple):
    """A block of the guide, and the output under it."""

    language: str
    code: str
    output: str


def _examples() -> list[Example]:
    blocks = BLOCK.findall(GUIDE)
    return [
        Example(language, code, output if following == "text" else "")
        for (language, code), (following, output) in zip(blocks, [*blocks[1:], ("", "")], strict=True)
        if language != "text"
    ]


EXAMPLES = _examples()


class Shell:
    """One bash, which stops at the first command that fails, and in any case after ten minutes."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["timeout", "600", "bash", "-euo", "pipefail"],
            cwd=folder,
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )

    def run(self, code: str) -> str:
        """What the commands print, errors included."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{code}\necho '{END.strip()}'\n")
        lines = []
        for line in self._process.stdout:
            if line == END:
                return "".join(lines)
            lines.append(line)
        pytest.fail(f"The shell ended in the midst of an example:\n{code}\n{''.join(lines)}")

    def close(self) -> None:
        self._process.communicate(timeout=10)


class Run:
    """The guide, gone through once: what its examples printed, and what the Python ones left behind."""

    def __init__(self, service: Live, folder: Path) -> None:
        self.printed: dict[Example, str] = {}
        self.names: dict[str, Any] = {}
        self.origin = service.origin
        self.token = ""
        shell = Shell(folder)
        for example in EXAMPLES:
            code = example.code.replace(ADDRESS, service.origin)
            if example.language == "bash":
                self.printed[example] = shell.run(code)
                self.token = self.token or shell.run('printf "%s\\n" "$TOKEN"').strip()
            elif example.language == "python":
                self.printed[example] = self._python(code)
        shell.close()

    def _python(self, code: str) -> str:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as output:
            patch.setenv("TOKEN", self.token)
            exec(compile(code, "guide.md", "exec"), self.names)  # noqa: S102  # to run it is the point
        return output.getvalue()


@pytest.fixture(scope="module")
def run(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    program("curl")
    folder = tmp_path_factory.mktemp("guide")
    with Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET).ready() as live:
        gone_through = Run(live, folder)
        yield gone_through
        gone_through.names["api"].close()


def _runnable() -> Iterator[Any]:
    headings = [(match.start(), match[1]) for match in re.finditer(r"^##? (.*)$", GUIDE, re.MULTILINE)]
    for example in EXAMPLES:
        if example.language in ("bash", "python"):
            under = [title for start, title in headings if start < GUIDE.index(example.code)][-1]
            yield pytest.param(example, id=f"{under}, {example.language}")


@pytest.mark.parametrize("example", list(_runnable()))
def test_example_prints_what_stands_under_it(run: Run, example: Example) -> None:
    assert example.output
    assert run.printed[example] == example.output


def _refusals() -> Iterator[Any]:
    """Yield what the pages say is refused: the body, and where it has which violation."""
    for name in ("dates", "labels"):
        for sent, code, pointer, _ in rows(section(read(f"docs/{name}.md"), "What is refused")):
            yield pytest.param(sent.strip("`"), pointer.strip("`"), code.strip("`"), id=f"{name}, {code}, {sent}")


@pytest.mark.parametrize(("sent", "pointer", "code"), list(_refusals()))
def test_body_that_a_page_says_is_refused_has_that_violation(run: Run, sent: str, pointer: str, code: str) -> None:
    reply = run.names["api"].post("/me/tasks", json={"title": "x", **json.loads(sent)})
    assert reply.status_code == 400
    assert [(violation["pointer"], violation["code"]) for violation in reply.json()["errors"]] == [(pointer, code)]


@pytest.mark.parametrize("query", re.findall(r"`(\S+=\S+)`", section(read("docs/dates.md"), "What is due")))
def test_query_of_the_page_of_dates_is_answered(run: Run, query: str) -> None:
    assert run.names["api"].get(f"/me/tasks?{query}").status_code == 200


@pytest.mark.parametrize("row", rows(section(read("docs/dates.md"), "When clocks change")), ids=str)
def test_local_time_of_the_page_of_dates_is_at_the_instant_that_it_says(row: list[str]) -> None:
    day, at, zone = re.findall(r"[\w/:-]+", row[0])[:3]
    instant = deadline(Moment(dt.date.fromisoformat(day), dt.time.fromisoformat(at), zone), "Etc/UTC")
    assert row[1].startswith(f"{instant:%Y-%m-%dT%H:%MZ}")


def test_examples_are_of_languages_that_the_tests_run() -> None:
    assert {example.language for example in EXAMPLES} == {"bash", "python", "json"}
    assert len([example for example in EXAMPLES if example.language == "json"]) == 1


def test_agents_settings_as_written_start_the_tools(run: Run, tmp_path: Path) -> None:
    (example,) = [example for example in EXAMPLES if example.language == "json"]
    settings = json.loads(example.code.replace(ADDRESS, run.origin).replace("...", run.token))
    settings["mcpServers"]["tasks"] |= {
        "command": str(COMMAND.with_name(Path(settings["mcpServers"]["tasks"]["command"]).name))
    }
    settings["mcpServers"]["tasks"] |= {"cwd": str(tmp_path), "keep_alive": False}

    async def pending() -> Any:
        from fastmcp import Client  # noqa: PLC0415  # two seconds, which the other processes of a run need not wait

        async with Client(settings) as client:
            return (await client.call_tool("find_tasks", {"q": "compiler"})).structured_content

    assert [task["title"] for task in asyncio.run(pending())["items"]] == ["Write the compiler"]


@pytest.fixture
def busy() -> Iterator[tuple[str, list[int]]]:
    """The address of a server that answers 503 once and then 200, and the statuses it has answered."""
    answered: list[int] = []

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answered.append(200 if answered else 503)
            self.send_response(answered[-1])
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # its name in the base class
            pass

    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", answered
        finally:
            server.shutdown()
            thread.join()


def test_retry_as_written_waits_and_asks_again(run: Run, busy: tuple[str, list[int]]) -> None:
    address, answered = busy
    patiently: Callable[..., httpx2.Response] = run.names["patiently"]
    assert patiently(lambda: httpx2.get(address)).status_code == 200
    assert answered == [503, 200]


def test_retry_table_has_every_operation_on_tasks_and_accounts_that_may_be_sent_again() -> None:
    """By methods: each that the contract has stands in the first column."""
    rows = re.findall(r"^\| (`.*?) \|", GUIDE, re.MULTILINE)
    methods = {method.upper() for item in contract.load(contract.TASK_API)["paths"].values() for method in item}
    assert set(re.findall(r"[A-Z]{3,}", " ".join(rows))) == methods - {"PARAMETERS"}
