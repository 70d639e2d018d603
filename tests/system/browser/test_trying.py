"""Every operation by clicking, twice, on the page to try them, where each operation of the reference leads."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.support.browser import drawn, script, shoot, soon
from tests.support.try_it import EMAIL, OPERATIONS, PASSWORD, Block, sign_in, unfold


def twice(
    browser: Chrome, operation: str, statuses: tuple[int, int], *bodies: Any, **parameters: str
) -> tuple[Any, Any]:
    """Execute an operation twice, with one body or with two: what came back."""
    block = Block(browser, operation)
    first = block.execute(bodies[0] if bodies else None, **parameters)
    second = block.execute(bodies[1]) if len(bodies) > 1 else block.execute()
    block.close()
    assert (first[0], second[0]) == statuses, (operation, first, second)
    return first[1], second[1]


OTHER = {"email": "bob@example.com", "password": PASSWORD}
TOKEN = f"tdo_{'x' * 43}"
RECOVERY = [
    ("requestPasswordReset", 202, {"email": EMAIL}),
    ("requestEmailVerification", 404, {"email": EMAIL}),
    ("verifyEmail", 400, {"token": TOKEN}),
    ("resetPassword", 400, {"token": TOKEN, "new_password": PASSWORD}),
]
BATCHES = [
    {"operations": [{"create_task": {"title": "Made in a batch"}}]},
    {"operations": [{"create_task": {"title": "Not made"}}, {"remove_label": {"label": "none"}}]},
]


def delete_and_restore(run: Callable[..., Any], task_id: str) -> None:
    """Click a task into the trash, and through that."""
    run("deleteTask", (204, 404), task_id=task_id)
    assert run("listTrash", (200, 200))[1]["items"][0]["id"] == task_id
    run("restoreItem", (200, 404), item_id=task_id)
    run("purgeItem", (404, 404), item_id=task_id)
    run("emptyTrash", (204, 204))


def rename_and_remove_label(run: Callable[..., Any]) -> None:
    """Click the one label into another spelling, and away."""
    assert run("listLabels", (200, 200))[1]["items"] == [{"name": "home", "open_tasks": 0}]
    run("renameLabel", (200, 200), {"name": "Home"}, {"name": "home"}, label="home")
    run("removeLabel", (200, 404), label="home")


def test_every_operation_executed_twice_by_clicking_does_what_it_says(browser: Chrome, service: str) -> None:
    done: list[str] = []

    def run(operation: str, statuses: tuple[int, int], *bodies: Any, **parameters: str) -> tuple[Any, Any]:
        done.append(operation)
        unfold(browser, OPERATIONS[operation][0])
        return twice(browser, operation, statuses, *bodies, **parameters)

    sign_in(browser, service, "button[name=register]")
    run("registerAccount", (201, 409), OTHER)
    (tokens, _) = run("issueToken", (200, 200), OTHER)
    refresh = {"refresh_token": tokens["refresh_token"]}
    (next_tokens, _) = run("refreshToken", (200, 401), refresh)
    run("signOut", (204, 204), {"refresh_token": next_tokens["refresh_token"]})
    for operation, status, body in RECOVERY:
        run(operation, (status, status), body)
    run("getAccount", (200, 200))
    run("updateAccount", (200, 200), {"name": "Ada"}, {"name": "Ada Lovelace"})
    run("changeEmail", (200, 200), *({"email": f"{uuid4().hex}@example.com", "password": PASSWORD} for _ in range(2)))
    (key, other_key) = run("createApiKey", (201, 201), {"name": "laptop", "scopes": ["tasks:read"]})
    assert key["id"] != other_key["id"]
    assert len(run("listApiKeys", (200, 200))[1]["items"]) == 2
    run("revokeApiKey", (204, 404), key_id=key["id"])
    (task, other_task) = run("createTask", (201, 201), {"title": "Made by clicking"})
    assert run("listTasks", (200, 200))[1]["total"] == len(run("listChanges", (200, 200))[1]["tasks"]) == 2
    ids = {"task_id": task["id"]}
    run("getTask", (200, 200), **ids)
    run("updateTask", (200, 200), {"title": "Changed"}, {"title": "Changed again", "labels": ["home"]}, **ids)
    run("replaceTask", (200, 200), {"title": "Replaced"}, **ids)
    assert run("completeTask", (200, 200), {"completed": True}, **ids)[1]["completed"] is True
    run("moveTask", (200, 200), {"at": "first"}, **ids)
    assert run("listTaskHistory", (200, 200), **ids)[1]["items"] == run("listHistory", (200, 200))[1]["items"]
    run("revertTask", (200, 409), {"version": task["version"] + 5}, {"version": 9007199254740991}, **ids)
    run("revertChange", (409, 200), {}, {"force": True}, seq=str(other_task["version"] + 1))
    rename_and_remove_label(run)
    run("runBatch", (200, 404), *BATCHES)
    shoot(browser, "ui-executed")
    delete_and_restore(run, task["id"])
    of_project = {"project_id": run("createProject", (201, 201), {"name": "Made by clicking"})[0]["id"]}
    assert len(run("listProjects", (200, 200))[1]["items"]) == 2
    run("getProject", (200, 200), **of_project)
    run("updateProject", (200, 200), {"name": "Changed"}, {"name": "Changed again"}, **of_project)
    run("moveProject", (200, 200), {"at": "first"}, {"at": "last"}, **of_project)
    run("deleteProject", (204, 404), **of_project)
    assert other_task["id"] in [each["id"] for each in run("exportAccount", (200, 200))[1]["tasks"]]
    there, back = (PASSWORD, f"{PASSWORD} 2"), (f"{PASSWORD} 2", PASSWORD)
    run("changePassword", (200, 200), *({"current_password": old, "new_password": new} for old, new in (there, back)))
    run("deleteAccount", (204, 401), {"password": PASSWORD})
    assert {*done} == {*OPERATIONS}


def test_token_survives_a_reload_and_is_refreshed(browser: Chrome, service: str) -> None:
    sign_in(browser, service, "button[name=register]")
    browser.refresh()
    assert twice(browser, "getAccount", (200, 200))[1]["email"] == EMAIL
    kept = json.loads(script(browser, "return sessionStorage.getItem('task-api-session')"))
    expired = json.dumps(kept | {"expires_at": 0, "access_token": "expired"})
    script(browser, "sessionStorage.setItem('task-api-session', arguments[0])", expired)
    browser.refresh()
    assert twice(browser, "getAccount", (200, 200))[1]["email"] == EMAIL
    assert json.loads(script(browser, "return sessionStorage.getItem('task-api-session')"))["access_token"] != "expired"


def test_dry_run_starts_empty(browser: Chrome, service: str) -> None:
    """Whoever presses Execute without a look at it means the write."""
    browser.get(f"{service}/api/v1/ui/")
    Block(browser, "createTask")
    choice = soon(browser, '#operations-tasks-createTask tr[data-param-name="dry_run"] select')
    assert choice.get_attribute("value") == ""


def test_optional_parameters_start_empty(browser: Chrome, service: str) -> None:
    browser.get(f"{service}/api/v1/ui/")
    Block(browser, "listTasks")
    soon(browser, "#operations-tasks-listTasks .btn.execute")
    drawn(browser)
    fields = browser.find_elements(By.CSS_SELECTOR, "#operations-tasks-listTasks tr[data-param-name] input")
    found = {field.find_element(By.XPATH, "ancestor::tr").get_attribute("data-param-name"): field for field in fields}
    assert {name: field.get_attribute("value") for name, field in found.items() if field.get_attribute("value")} == {
        "user_id": "me"
    }
