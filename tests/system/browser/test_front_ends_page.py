"""docs/front-ends.md: its code is checked by two compilers and runs in Chromium, and its errors are those that people meet."""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome

from tests.support.credentials import PASSWORD, SECRET
from tests.support.documented_front_end import COMPILERS, FrontEnd
from tests.support.front_end import console, logged, run, served
from tests.support.live import Live
from tests.support.pages import ROOT, read, rows, section

LOSE = """
if (!window.lose) {
    const real = window.fetch;
    let lost = null;
    window.lose = (path) => { lost = path; };
    window.fetch = async (request, ...more) => {
        const reply = await real(request, ...more);
        if (lost === null || !new URL(request.url).pathname.endsWith(lost)) return reply;
        lost = null;
        throw new TypeError("The answer is lost.");
    };
}
"""
"""Loses the next answer from an address: the service has acted, and the page does not learn of it."""


@pytest.fixture(scope="module")
def out() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        (Path(name) / "out").mkdir()
        yield Path(name)


@pytest.fixture(scope="module")
def origins(out: Path) -> Iterator[tuple[str, str]]:
    """The origin of the front end, and one that is not allowed."""
    with served(out / "out") as own, served(out / "out") as foreign:
        yield own, foreign


@pytest.fixture(scope="module")
def service(url: str, out: Path, origins: tuple[str, str]) -> Iterator[Live]:
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "CORS_ORIGINS": origins[0], "LOG_FORMAT": "json"}
    with Live(out, **settings) as live:
        yield live.ready()


@pytest.fixture(scope="module")
def front_end(service: Live, out: Path) -> FrontEnd:
    made = FrontEnd(out, service.origin)
    made.compile()
    return made


@pytest.fixture
def page(
    browser: Chrome, service: Live, front_end: FrontEnd, origins: tuple[str, str], request: pytest.FixtureRequest
) -> Chrome:
    """The open page of a new user who has signed in."""
    browser.get(origins[0])
    user = {"email": f"{re.sub('[^a-z]', '', request.node.name)[-40:]}@example.com", "password": PASSWORD}
    assert service.request("POST", "/api/v1/auth/register", json.dumps(user).encode()).status == 201
    assert value(browser, f"return session.signIn({json.dumps(user['email'])}, {json.dumps(PASSWORD)})") is True
    console(browser)
    return browser


IMPORTS = "".join(f'const {name} = await import("/{name}.js");\n' for name in ("session", "list", "save", "create"))


def value(browser: Chrome, script: str) -> Any:
    """What a script with the modules of the page returns."""
    outcome, found = run(browser, LOSE + IMPORTS + script)
    assert outcome == "value", (found, console(browser)[:500])
    return found


@pytest.mark.parametrize("compiler", COMPILERS)
def test_types_of_the_page_are_right(front_end: FrontEnd, compiler: str) -> None:
    assert front_end.errors(compiler) == ""
    wrong = front_end.folder / "wrong.ts"
    wrong.write_text('import { api } from "./session.js";\nawait api.GET("/nowhere");\n', encoding="utf-8")
    try:
        assert "wrong.ts" in front_end.errors(compiler)
    finally:
        wrong.unlink()


def test_generator_needs_typescript_5_as_the_page_says() -> None:
    about = json.loads((ROOT / "node_modules" / "openapi-typescript" / "package.json").read_text("utf-8"))
    assert about["peerDependencies"] == {"typescript": "^5.x"}


def test_first_example_registers(browser: Chrome, front_end: FrontEnd, origins: tuple[str, str]) -> None:
    browser.get(origins[0])
    console(browser)
    assert run(browser, front_end.first)[0] == "value"
    logged(browser, '201 "ada@example.com"')


REFUSED = {
    "No 'Access-Control-Allow-Origin' header is present on the requested resource.": 'fetch("API/health/live")',
    "Method patch is not allowed by Access-Control-Allow-Methods in preflight response.": (
        'fetch("API/api/v1/me/tasks", {method: "patch"})'
    ),
    "Request header field x-requested-with is not allowed by Access-Control-Allow-Headers in preflight response.": (
        'fetch("API/api/v1/me/tasks", {headers: {"X-Requested-With": "XMLHttpRequest"}})'
    ),
    "which must be 'true' when the request's credentials mode is 'include'.": (
        'fetch("API/api/v1/me/tasks", {credentials: "include"})'
    ),
    "It does not have HTTP ok status.": (
        'fetch("API/api/v1/me/tasks?q=" + "a".repeat(9000), {headers: {Authorization: "Bearer x"}})'
    ),
    "net::ERR_CONNECTION_REFUSED": 'fetch("http://127.0.0.1:2/")',
}


@pytest.mark.parametrize("said", REFUSED)
def test_error_of_the_table_is_what_the_console_says(
    browser: Chrome, service: Live, origins: tuple[str, str], said: str
) -> None:
    browser.get(origins[1] if said.startswith("No '") else origins[0])
    console(browser)
    script = f"await {REFUSED[said].replace('API', service.origin)}"
    assert run(browser, script) == ("error", "TypeError: Failed to fetch")
    logged(browser, said)


def test_table_has_every_error_that_is_tried_and_no_other() -> None:
    table = [said.strip("`") for said, _ in rows(section(read("docs/front-ends.md"), "CORS"))]
    assert table == list(REFUSED)


def test_list_with_commas_and_with_repeated_values_is_the_same(page: Chrome) -> None:
    found = value(
        page,
        """
        for (const title of ["Buy milk", "Buy oat milk", "Sleep"]) await create.create(title);
        const [first] = await list.openTasks("milk");
        await save.save(first, {completed: true});
        const query = {status: ["pending", "completed"], q: "milk"}, path = {user_id: "me"};
        const other = {querySerializer: {array: {style: "form", explode: true}}};
        const replies = [];
        for (const more of [{}, other]) {
            const reply = await session.api.GET("/{user_id}/tasks", {params: {path, query}, ...more});
            replies.push([new URL(reply.response.url).search, reply.data.total]);
        }
        return [(await list.openTasks("milk")).map(task => task.title), replies];
        """,
    )
    queries = ["?status=pending,completed&q=milk", "?status=pending&status=completed&q=milk"]
    assert found == [["Buy milk"], [[query, 2] for query in queries]]


def test_session_survives_a_reload_and_is_refreshed_once_for_all(page: Chrome) -> None:
    page.refresh()
    lists, requests = value(
        page,
        """
        const lists = await Promise.all(["a", "b", "c", "d"].map(word => list.openTasks(word)));
        await list.openTasks("again");
        return [lists, performance.getEntriesByType("resource").map(entry => new URL(entry.name).pathname)];
        """,
    )
    assert lists == [[], [], [], []]
    assert requests.count("/api/v1/auth/refresh") == 1


def test_session_of_two_tabs_goes_on_in_both(page: Chrome, origins: tuple[str, str]) -> None:
    first = page.current_window_handle
    page.switch_to.new_window("tab")
    try:
        for _ in range(2):
            page.get(origins[0])
            assert value(page, 'return list.openTasks("milk")') == []
            page.switch_to.window(first)
            page.refresh()
            assert value(page, 'return list.openTasks("milk")') == []
            page.switch_to.window(page.window_handles[-1])
    finally:
        page.close()
        page.switch_to.window(first)


def test_session_whose_refresh_is_not_answered_goes_on(page: Chrome) -> None:
    page.refresh()
    script = 'lose("/auth/refresh"); return list.openTasks("milk").catch(error => String(error))'
    assert value(page, script) == "TypeError: The answer is lost."
    page.refresh()
    assert value(page, 'return list.openTasks("milk")') == []


def test_session_whose_refresh_token_comes_twice_ends(page: Chrome, service: Live) -> None:
    stolen = json.loads(value(page, 'return localStorage.getItem("session")'))["refresh_token"]
    page.refresh()
    assert value(page, 'return list.openTasks("milk")') == []
    body = json.dumps({"refresh_token": stolen}).encode()
    assert service.request("POST", "/api/v1/auth/refresh", body).code == "invalid_refresh_token"
    page.refresh()
    assert value(page, 'return list.openTasks("milk").catch(error => String(error))').startswith("Error: ")
    assert value(page, 'return localStorage.getItem("session")') is None


def test_save_after_another_write_merges_or_asks(page: Chrome) -> None:
    found = value(
        page,
        """
        const old = await create.create("Pack");
        await save.save(old, {description: "Boots"});
        const merged = await save.save(old, {title: "Pack for the sea"});
        const conflict = await save.save(old, {title: "Pack for the hills"}).catch(error => error);
        return [[merged.title, merged.description], conflict.constructor.name, conflict.current?.title];
        """,
    )
    assert found == [["Pack for the sea", "Boots"], "Conflict", "Pack for the sea"]


def test_save_whose_answer_is_lost_is_done_once(page: Chrome) -> None:
    found = value(
        page,
        """
        const old = await create.create("Pack");
        lose(old.id);
        const lost = await save.save(old, {completed: true}).catch(error => String(error));
        const task = await save.save(old, {completed: true});
        return [lost, task.completed, task.version > old.version, await save.save(task, {completed: true})];
        """,
    )
    assert found[:3] == ["TypeError: The answer is lost.", True, True]
    assert found[3]["completed"] is True


def test_create_whose_answer_is_lost_makes_one_task(page: Chrome) -> None:
    found = value(
        page,
        """
        lose("/me/tasks");
        const task = await create.create("Only once");
        return [task.title, (await list.openTasks("once")).map(each => each.id === task.id)];
        """,
    )
    assert found == ["Only once", [True]]


def test_create_that_is_refused_says_why(page: Chrome) -> None:
    assert value(page, 'return create.create("").catch(error => String(error))').startswith("Error: ")
