"""Projects, which tasks can be in: create, list, change and delete them. A tag of the contract.

`handlers` has a function per operation; `service` has the rules, bound to a user; `statements` has
the SQL. `schemas` converts bodies.
"""

from todo_api.projects.schemas import dump_project, load_project_input, load_project_patch
from todo_api.projects.service import Project, ProjectService

__all__ = [
    "Project",
    "ProjectService",
    "dump_project",
    "load_project_input",
    "load_project_patch",
]
