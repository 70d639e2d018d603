"""Parents, projects and order of the tasks of a user.

A rule over several tasks cannot be checked by the statement that writes: a statement that waits
for the user's row sees the other tasks as they were before. So lock the row, look, and write, in
one transaction (`docs/decisions/0009`). All writes of a user wait for that row.
"""

from todo_api.task_tree.schemas import load_destination
from todo_api.task_tree.statements import counts_without
from todo_api.task_tree.tree import DEEPEST, MOST_CHILDREN, Branch, Descendant, Node, TaskTree

__all__ = ["DEEPEST", "MOST_CHILDREN", "Branch", "Descendant", "Node", "TaskTree", "counts_without", "load_destination"]
