"""The contracts as data: their files, bundled to one document each, and what JSON Schema has for it."""

from todo_api.contract.errors import ContractError
from todo_api.contract.files import (
    OPS_API,
    PROBLEMS,
    TASK_API,
    as_json,
    as_yaml,
    load,
    place,
    problem_text,
    problem_texts,
    resolve,
    shipped,
    snake_case,
)

__all__ = [
    "OPS_API",
    "PROBLEMS",
    "TASK_API",
    "ContractError",
    "as_json",
    "as_yaml",
    "load",
    "place",
    "problem_text",
    "problem_texts",
    "resolve",
    "shipped",
    "snake_case",
]
