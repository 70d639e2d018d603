"""Labels of tasks: names without case, which stand on the task and in a table of their own.

`names` says which names are the same label, and how a task's row has them. `labels` writes the rows
of a task, with `statements`, in the transaction that writes the task.
"""

from todo_api.task_labels.labels import TaskLabels
from todo_api.task_labels.names import as_json, by_key, composed, key_of, violations
from todo_api.task_labels.statements import label_keys

__all__ = ["TaskLabels", "as_json", "by_key", "composed", "key_of", "label_keys", "violations"]
