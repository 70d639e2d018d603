"""Front ends of other origins: a folder that is served as a page, and scripts that run in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from selenium.webdriver import Chrome

from tests.support.browser import wait

_RUN = """
const done = arguments[arguments.length - 1];
(async () => { %s })().then(value => done(["value", value]), error => done(["error", String(error)]));
"""


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # its name in the base class
        """Log nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The origin of a page whose files are in the folder."""
    (folder / "index.html").touch()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def run(browser: Chrome, script: str) -> tuple[str, Any]:
    """Return the result of a script in the open page, or its error."""
    outcome, found = browser.execute_async_script(_RUN % script)  # type: ignore[no-untyped-call]  # selenium's
    return outcome, found


def console(browser: Chrome) -> str:
    """Return what the console has logged since the last call."""
    return "\n".join(entry["message"] for entry in browser.get_log("browser"))  # type: ignore[no-untyped-call]  # selenium's


def logged(browser: Chrome, said: str) -> None:
    """Wait until the console has said this since the last look."""
    lines: list[str] = []

    def is_said(_: Chrome) -> bool:
        lines.append(console(browser))
        return said in "\n".join(lines)

    wait(browser).until(is_said, said)
