"""The page to try operations, used by clicking."""

import json
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.support.browser import click, script, shoot, soon, text, wait
from todo_api import contract

EMAIL, PASSWORD = "ada@example.com", "correct horse battery staple"
OPERATIONS = {
    operation["operationId"]: (operation["tags"][0], method, path)
    for path, item in contract.load(contract.TASK_API)["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
}
OPEN = ".opblock-tag[data-is-open=true]"
SHOWN = """
const shown = css => [...document.querySelectorAll(`${arguments[0]} ${css}`)].map(each => each.innerText).join("");
const parts = {headers: ".headerline", status: "tbody .response-col_status", body: ".highlight-code code"};
return Object.fromEntries(Object.entries(parts).map(([name, css]) => [name, shown(css)]));
"""


def sign_in(browser: Chrome, service: str, button: str) -> None:
    """Sign in by the dialog of the page."""
    browser.get(f"{service}/api/v1/ui/")
    click(browser, ".btn.authorize")
    soon(browser, ".sign-in input[name=email]:focus").send_keys(EMAIL)
    soon(browser, ".sign-in input[name=password]").send_keys(PASSWORD)
    click(browser, f".sign-in {button}")
    wait(browser).until(lambda _: text(browser, ".sign-in [role=status]") == "You are signed in.")
    shoot(browser, "signed-in")
    click(browser, ".modal-ux .btn-done")


def unfold(browser: Chrome, tag: str) -> None:
    """Leave this tag open and no other. The page draws everything that is open anew with each step."""
    for other in script(browser, "return [...document.querySelectorAll(arguments[0])].map(e => e.dataset.tag)", OPEN):
        if other != tag:
            click(browser, f'.opblock-tag[data-tag="{other}"] .expand-operation')
    if not browser.find_elements(By.CSS_SELECTOR, f'{OPEN}[data-tag="{tag}"]'):
        click(browser, f'.opblock-tag[data-tag="{tag}"] .expand-operation')


class Block:
    """One operation of the page to try them."""

    def __init__(self, browser: Chrome, operation: str) -> None:
        self._browser = browser
        tag = OPERATIONS[operation][0]
        self._css = f"#operations-{tag}-{operation}"
        click(browser, f"{self._css} .opblock-summary-control")

    def close(self) -> None:
        click(self._browser, f"{self._css} .opblock-summary-control")

    def execute(self, body: Any = None, **parameters: str) -> tuple[int, Any]:
        """Fill in what is named, leave all else as the page has it, press Execute: the status and the JSON that it shows."""
        for name, value in parameters.items():
            field = soon(self._browser, f'{self._css} tr[data-param-name="{name}"] input')
            field.clear()
            field.send_keys(value)
        if body is not None:
            area = soon(self._browser, f"{self._css} textarea.body-param__text")
            # React hears of a value only through its own setter.
            script(
                self._browser,
                "Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(arguments[0], arguments[1]);"
                "arguments[0].dispatchEvent(new Event('input', {bubbles: true}));",
                area,
                json.dumps(body),
            )
        before = self._shown()
        click(self._browser, f"{self._css} .btn.execute")

        def another(_: Chrome) -> dict[str, str] | None:
            """Return the next reply: its headers differ from those before by the request's id."""
            shown = self._shown()
            return shown if shown["status"] and shown["headers"] not in {before["headers"], ""} else None

        shown = wait(self._browser).until(another)
        return int(shown["status"].split()[0]), json.loads(shown["body"]) if shown["body"] else None

    def _shown(self) -> dict[str, str]:
        """Return the reply that is shown, in one look."""
        shown: dict[str, str] = script(self._browser, SHOWN, f"{self._css} .live-responses-table")
        return shown
