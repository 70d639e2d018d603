"""Labels of tasks as a whole: list them, rename one or remove it everywhere. A tag of the contract.

`handlers` has a function per operation; `service` has the rules, bound to a user; `statements` has
the SQL. `todo_api.task_labels` has the labels of one task.
"""

from todo_api.labels.service import Label, LabelService

__all__ = ["Label", "LabelService"]
