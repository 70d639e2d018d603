"""Operations on projects of `openapi/task-api.yaml`, one function each."""

from typing import Any

from todo_api.auth import Identity
from todo_api.database import RoleSessions
from todo_api.dry_runs import dry_runnable
from todo_api.etags import is_known, known_in_space, matched_versions, space_tag
from todo_api.http import Reply
from todo_api.idempotency import idempotent
from todo_api.projects.schemas import dump_project, load_project_input, load_project_patch
from todo_api.projects.service import Project, ProjectService
from todo_api.schemas import load_place
from todo_api.services import PRIVATE, address_of, caller, require_owner, services


def list_projects(user_id: str, identity: Identity, if_none_match: str | None = None) -> Reply:
    """Return 200 with every project, 304 if the client knows them."""
    known = known_in_space(if_none_match, identity.subject)
    found = _service(services().database, user_id, identity).list(known)
    tag = space_tag(identity.subject, found.epoch, found.seq)
    headers = PRIVATE | {"ETag": tag}
    if is_known(if_none_match, tag):
        return None, 304, headers
    return {"items": [dump_project(project) for project in found.projects]}, 200, headers


@dry_runnable
@idempotent
def create_project(user_id: str, identity: Identity, body: dict[str, Any], *, database: RoleSessions) -> Reply:
    """Return 201 with the new project and its `Location`."""
    members = load_project_input(body)
    project = _service(database, user_id, identity).create(members.pop("id"), **members)
    location = address_of(user_id, f"/projects/{project.id}")
    return dump_project(project), 201, _tagged(project) | {"Location": location}


def get_project(user_id: str, identity: Identity, project_id: str, if_none_match: str | None = None) -> Reply:
    """Return 200 with the project, 304 if the client knows it."""
    project = _service(services().database, user_id, identity).get(project_id)
    if is_known(if_none_match, project.tag):
        return None, 304, _tagged(project)
    return dump_project(project), 200, _tagged(project)


@dry_runnable
def update_project(
    user_id: str, identity: Identity, project_id: str, body: dict[str, Any], if_match: str | None = None
) -> Reply:
    """Return 200 with the project, after setting the members of the merge patch."""
    changes = load_project_patch(body)
    project = _service(services().database, user_id, identity).change(project_id, changes, matched_versions(if_match))
    return dump_project(project), 200, _tagged(project)


@dry_runnable
@idempotent
def move_project(
    user_id: str,
    identity: Identity,
    project_id: str,
    body: dict[str, str],
    if_match: str | None = None,
    *,
    database: RoleSessions,
) -> Reply:
    """Return 200 with the project, in its new place."""
    destination = load_place(body)
    project = _service(database, user_id, identity).move(project_id, destination, matched_versions(if_match))
    return dump_project(project), 200, _tagged(project)


@dry_runnable
def delete_project(
    user_id: str, identity: Identity, project_id: str, if_match: str | None = None, *, permanent: bool = False
) -> Reply:
    """Return 204."""
    service = _service(services().database, user_id, identity)
    service.delete(project_id, matched_versions(if_match), permanent=permanent)
    return None, 204, PRIVATE


def _service(database: RoleSessions, user_id: str, identity: Identity) -> ProjectService:
    return ProjectService(database, require_owner(user_id, identity.subject), caller(identity))


def _tagged(project: Project) -> dict[str, str]:
    return PRIVATE | {"ETag": project.tag}
