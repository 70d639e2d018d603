"""The contracts as data: where they are, what they say, and what JSON Schema has for it."""

from todo_api.contract.files import OPS_API, TASK_API, as_json, load, resolve, shipped, snake_case

__all__ = ["OPS_API", "TASK_API", "as_json", "load", "resolve", "shipped", "snake_case"]
