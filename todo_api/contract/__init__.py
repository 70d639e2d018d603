"""The contracts as data, and the validation rules compiled from them.

`files` finds and loads the contracts, `bundling` makes one document of their files; mistakes are
`errors` of one line. `openapi31` converts them to OpenAPI 3.1. `rules` compiles schemas.
`parameters` converts and validates path, query and headers. `media_types` parses `Content-Type`,
`times` date-times.
"""

from todo_api.contract import openapi31
from todo_api.contract.errors import ContractError
from todo_api.contract.extent import MAX_VALUES, excess
from todo_api.contract.files import (
    METHODS,
    OPS_API,
    PROBLEMS,
    TASK_API,
    as_json,
    as_yaml,
    load,
    locate,
    operations,
    problem_text,
    problem_texts,
    resolve,
    shipped,
    snake_case,
)
from todo_api.contract.media_types import MediaTypes, is_encoded
from todo_api.contract.parameters import DRY_RUN, Parameters
from todo_api.contract.rules import MAX_VIOLATIONS, Rules, first_item
from todo_api.contract.times import is_date_time, parse_date_time

__all__ = [
    "DRY_RUN",
    "MAX_VALUES",
    "MAX_VIOLATIONS",
    "METHODS",
    "OPS_API",
    "PROBLEMS",
    "TASK_API",
    "ContractError",
    "MediaTypes",
    "Parameters",
    "Rules",
    "as_json",
    "as_yaml",
    "excess",
    "first_item",
    "is_date_time",
    "is_encoded",
    "load",
    "locate",
    "openapi31",
    "operations",
    "parse_date_time",
    "problem_text",
    "problem_texts",
    "resolve",
    "shipped",
    "snake_case",
]
