"""Contract-driven ASGI pipeline, from a request to its handler and back. It knows no task.

Middlewares, outermost first: `request_id`, `compression`, `cors`, `problems`, `routing`,
`authentication`, `validation`, `dispatch`.
Validation applies `authorization`, the parameters and the `body`. `problems` renders `errors`.
`connexion_app` loads a contract; `contract_check` refuses one that its handlers do not fit.
"""

from todo_api.http.authentication import BearerHandler, Security, TokenLookup, bearer_token
from todo_api.http.compression import Compression
from todo_api.http.connexion_app import ContractApp, OperationMiddleware, TagResolver, definition
from todo_api.http.contract_check import check_contract
from todo_api.http.cors import Cors, CorsFields
from todo_api.http.dispatch import HandlerDispatch, Reply
from todo_api.http.errors import (
    BadRequest,
    HeaderFieldsTooLarge,
    MethodNotAllowed,
    NotImplementedByServer,
    RateLimited,
    RequestTimeout,
    RouteNotFound,
    UriTooLong,
)
from todo_api.http.paths import normalize_path
from todo_api.http.problems import (
    INTERNAL_ERROR,
    PROBLEM_TYPES,
    Problems,
    ProblemType,
    render_problem,
    set_public_path,
)
from todo_api.http.request_id import BY_TOKEN, SAFE_TYPE, RequestIdMiddleware, read_headers
from todo_api.http.routing import Routes, Routing
from todo_api.http.validation import ARGUMENTS, Validation

__all__ = [
    "ARGUMENTS",
    "BY_TOKEN",
    "INTERNAL_ERROR",
    "PROBLEM_TYPES",
    "SAFE_TYPE",
    "BadRequest",
    "BearerHandler",
    "Compression",
    "ContractApp",
    "Cors",
    "CorsFields",
    "HandlerDispatch",
    "HeaderFieldsTooLarge",
    "MethodNotAllowed",
    "NotImplementedByServer",
    "OperationMiddleware",
    "ProblemType",
    "Problems",
    "RateLimited",
    "Reply",
    "RequestIdMiddleware",
    "RequestTimeout",
    "RouteNotFound",
    "Routes",
    "Routing",
    "Security",
    "TagResolver",
    "TokenLookup",
    "UriTooLong",
    "Validation",
    "bearer_token",
    "check_contract",
    "definition",
    "normalize_path",
    "read_headers",
    "render_problem",
    "set_public_path",
]
