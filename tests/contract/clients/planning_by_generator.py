"""Projects, dates, labels, order, batches and the feed, by the client that OpenAPI Generator makes: `python planning.py URL`."""

import sys
from datetime import date
from uuid import uuid4

import task_api
from keys import sign_in
from task_api import ApiClient, ApiException, BatchOperation, BatchOutcome, Project, Task


def batch(client: ApiClient, *operations: BatchOperation, dry_run: bool | None = None) -> BatchOutcome:
    """Return what the operations did, or would do."""
    return task_api.BatchApi(client).run_batch("me", task_api.Batch(operations=[*operations]), dry_run=dry_run)


def refusal(client: ApiClient, *operations: BatchOperation) -> ApiException:
    """Return the error with which the operations are refused."""
    try:
        batch(client, *operations)
    except ApiException as error:
        return error
    raise AssertionError("The batch is not refused.")


def titles(client: ApiClient, project: Project) -> list[str]:
    """Return the titles of a project's tasks, in their order."""
    page = task_api.TasksApi(client).list_tasks("me", project_id=str(project.id), sort=task_api.TaskSort.POSITION)
    return [task.title for task in page.items]


def plan(client: ApiClient) -> tuple[Project, Task]:
    """Create a project, and a task in it with a date, a label and a priority."""
    move = task_api.ProjectInput(name="Move house", color="#2f6f4e")
    house = task_api.ProjectsApi(client).create_project("me", move)
    day = task_api.WrittenMoment(date=date(2126, 11, 20), time="17:30", time_zone="Europe/Berlin")
    high = task_api.TaskPriority.HIGH
    boxes = task_api.TaskInput(title="Boxes", project_id=house.id, due=day, labels=["home"], priority=high)
    parent = task_api.TasksApi(client).create_task("me", boxes)
    assert (parent.labels, parent.project_id, parent.priority) == (["home"], house.id, high)
    assert (parent.due.var_date, parent.due.time) == (day.var_date, day.time)
    return house, parent


def main(url: str) -> None:
    """Plan a move of house, and follow it in the feed."""
    with sign_in(url, "maria@example.com") as client:
        tasks, changes = task_api.TasksApi(client), task_api.ChangesApi(client)
        begin = changes.list_changes("me").next
        house, parent = plan(client)
        rug = uuid4()
        renamed = task_api.TaskPatch(title="All boxes")
        operations = [
            BatchOperation(create_task=task_api.TaskInput(title="Books", parent_id=parent.id)),
            BatchOperation(create_task=task_api.TaskInput(title="Rug", id=rug, project_id=house.id)),
            BatchOperation(update_task=task_api.TaskUpdate(id=parent.id, change=renamed, version=parent.version)),
            BatchOperation(move_task=task_api.TaskMove(id=rug, before=parent.id)),
        ]
        tried = batch(client, *operations, dry_run=True)
        assert titles(client, house) == ["Boxes"]
        done = batch(client, *operations)
        assert done.seq == tried.seq
        assert [each.task.title for each in done.results] == ["Books", "Rug", "All boxes", "Rug"]
        assert titles(client, house)[:2] == ["Rug", "All boxes"]
        again = refusal(client, *operations)
        assert isinstance(again.data, task_api.BatchProblem), again
        assert (again.status, again.data.operation) in ((409, 1), (412, 2)), again

        assert tasks.move_task("me", rug, task_api.TaskDestination(after=parent.id)).id == rug
        labels = task_api.LabelsApi(client)
        labels.rename_label("me", "home", task_api.LabelPatch(name="house"))
        assert [(each.name, each.open_tasks) for each in labels.list_labels("me").items] == [("house", 1)]
        completion = task_api.TaskCompletion(completed=True, subtasks=task_api.OpenSubtasks.COMPLETE)
        assert tasks.complete_task("me", parent.id, task_completion=completion).completed
        batch(client, BatchOperation(delete_task=task_api.TaskDeletion(id=rug)))

        page = changes.list_changes("me", since=begin)
        assert {task.title for task in page.tasks} == {"All boxes", "Books"}
        assert [(each.kind, each.id) for each in page.deleted] == [("task", rug)]
        assert page.projects == task_api.ProjectsApi(client).list_projects("me").items == [house]
    print("openapi-generator: a plan, each reply of its type")


if __name__ == "__main__":
    main(sys.argv[1])
