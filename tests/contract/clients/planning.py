"""Projects, dates, labels, order, batches and the feed with openapi-python-client: `python planning.py URL`.

mypy --strict reads it, as it does `lifecycle.py`.
"""

import sys
from datetime import date
from uuid import uuid4

from lifecycle import sign_in
from task_api_client import AuthenticatedClient
from task_api_client.api.batch import run_batch
from task_api_client.api.changes import list_changes
from task_api_client.api.labels import list_labels, rename_label
from task_api_client.api.projects import create_project, list_projects
from task_api_client.api.tasks import complete_task, create_task, list_tasks, move_task
from task_api_client.models import (
    Batch,
    BatchOperation,
    BatchOutcome,
    BatchProblem,
    ChangePage,
    LabelChange,
    LabelList,
    LabelPatch,
    OpenSubtasks,
    Project,
    ProjectInput,
    ProjectList,
    Task,
    TaskCompletion,
    TaskDeletion,
    TaskDestination,
    TaskInput,
    TaskMove,
    TaskPage,
    TaskPatch,
    TaskPriority,
    TaskSort,
    TaskUpdate,
    WrittenMomentType0,
)
from task_api_client.types import UNSET


def feed(api: AuthenticatedClient, since: str) -> ChangePage:
    """Return what has changed since."""
    page = list_changes.sync("me", client=api, since=since or UNSET)
    assert isinstance(page, ChangePage), page
    return page


def batch(api: AuthenticatedClient, *operations: BatchOperation, dry_run: bool = False) -> BatchOutcome:
    """Return what the operations did, or would do."""
    done = run_batch.sync("me", client=api, body=Batch([*operations]), dry_run=dry_run or UNSET)
    assert isinstance(done, BatchOutcome), done
    return done


def listed(api: AuthenticatedClient, project: Project) -> list[Task]:
    """Return the tasks of a project, in their order."""
    page = list_tasks.sync("me", client=api, project_id=str(project.id), sort=TaskSort.POSITION)
    assert isinstance(page, TaskPage), page
    return page.items


def plan(api: AuthenticatedClient) -> tuple[Project, Task]:
    """Create a project, and a task in it with a date, a label and a priority."""
    house = create_project.sync("me", client=api, body=ProjectInput("Move house", color="#2f6f4e"))
    assert isinstance(house, Project), house
    day = WrittenMomentType0(date(2126, 11, 20), time="17:30", time_zone="Europe/Berlin")
    parent = create_task.sync(
        "me",
        client=api,
        body=TaskInput("Boxes", project_id=house.id, due=day, labels=["home"], priority=TaskPriority.HIGH),
    )
    assert isinstance(parent, Task), parent
    assert (parent.labels, parent.project_id) == (["home"], house.id)
    assert parent.due is not None
    assert (parent.due.date, parent.due.time) == (day.date, "17:30")
    return house, parent


def main(url: str) -> None:
    """Plan a move of house, and follow it in the feed."""
    api = sign_in(url, "planner@example.com")
    begin = feed(api, "").next_
    house, parent = plan(api)
    rug = uuid4()
    operations = [
        BatchOperation(create_task=TaskInput("Books", parent_id=parent.id)),
        BatchOperation(create_task=TaskInput("Rug", id=rug, project_id=house.id)),
        BatchOperation(update_task=TaskUpdate(parent.id, TaskPatch(title="All boxes"), version=parent.version)),
        BatchOperation(move_task=TaskMove(rug, before=parent.id)),
    ]
    tried = batch(api, *operations, dry_run=True)
    assert [task.title for task in listed(api, house)] == ["Boxes"]
    done = batch(api, *operations)
    assert done.seq == tried.seq
    assert [each.task.title for each in done.results if each.task] == ["Books", "Rug", "All boxes", "Rug"]
    assert [task.title for task in listed(api, house)][:2] == ["Rug", "All boxes"]
    refused = run_batch.sync("me", client=api, body=Batch(operations))
    assert isinstance(refused, BatchProblem), refused
    assert (refused.status, refused.operation) in ((409, 1), (412, 2)), refused

    moved = move_task.sync("me", rug, client=api, body=TaskDestination(after=parent.id))
    assert isinstance(moved, Task), moved
    renamed = rename_label.sync("me", "home", client=api, body=LabelPatch("house"))
    assert isinstance(renamed, LabelChange), renamed
    labels = list_labels.sync("me", client=api)
    assert isinstance(labels, LabelList), labels
    assert [(label.name, label.open_tasks) for label in labels.items] == [("house", 1)]
    completion = TaskCompletion(completed=True, subtasks=OpenSubtasks.COMPLETE)
    assert isinstance(complete_task.sync("me", parent.id, client=api, body=completion), Task)
    batch(api, BatchOperation(delete_task=TaskDeletion(rug)))

    page = feed(api, begin)
    assert {task.title for task in page.tasks} == {"All boxes", "Books"}
    assert [(each.kind, each.id) for each in page.deleted] == [("task", rug)]
    projects = list_projects.sync("me", client=api)
    assert isinstance(projects, ProjectList), projects
    assert page.projects == projects.items == [house]
    print("openapi-python-client: a plan, each reply of its type")


if __name__ == "__main__":
    main(sys.argv[1])
