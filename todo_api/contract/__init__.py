"""The contracts as data: their files, bundled to one document each, and what they make of a request.

`files` finds and loads them, `bundling` makes one document of their files, and any mistake is one of `errors`, in one line.
`openapi31` converts them for clients that want OpenAPI 3.1.
`rules` compiles schemas, `parameters` converts and judges path, query and headers by them, `media_types` reads `Content-Type`.
`times` parses date-times of RFC 3339, as the contracts mean them.
"""

from todo_api.contract import openapi31
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
from todo_api.contract.media_types import MediaTypes, is_encoded
from todo_api.contract.parameters import Parameters
from todo_api.contract.rules import Rules
from todo_api.contract.times import is_date_time, parse_date_time

__all__ = [
    "OPS_API",
    "PROBLEMS",
    "TASK_API",
    "ContractError",
    "MediaTypes",
    "Parameters",
    "Rules",
    "as_json",
    "as_yaml",
    "is_date_time",
    "is_encoded",
    "load",
    "openapi31",
    "parse_date_time",
    "place",
    "problem_text",
    "problem_texts",
    "resolve",
    "shipped",
    "snake_case",
]
