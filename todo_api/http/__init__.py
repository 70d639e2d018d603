"""Contract-driven ASGI pipeline, from a request to its handler and back. It knows no task.

Middlewares, outermost first: `request_id`, `compression`, `cors`, `problems`, `routing`,
`authentication`, `validation`, `dispatch`.
Validation applies `authorization`, the parameters and the `body`.
`admission` limits concurrent requests. `errors` has the errors of HTTP; `problems` renders them.
`connexion_app` loads a contract; `contract_check` refuses one that its handlers do not fit.
"""

from todo_api.http.admission import AdmissionControl
from todo_api.http.authentication import BearerHandler, TokenLookup
from todo_api.http.compression import Compression
from todo_api.http.connexion_app import ContractApp, TagResolver
from todo_api.http.contract_check import check_contract
from todo_api.http.cors import Cors
from todo_api.http.dispatch import HandlerDispatch, Reply
from todo_api.http.errors import (
    BadRequest,
    HeaderFieldsTooLarge,
    MethodNotAllowed,
    NotImplementedByServer,
    Overloaded,
    RateLimited,
    RequestTimeout,
    UriTooLong,
)
from todo_api.http.paths import normalize_path
from todo_api.http.problems import INTERNAL_ERROR, PROBLEM_TYPES, Problems, ProblemType, render_problem
from todo_api.http.request_id import SAFE_TYPE, RequestIdMiddleware
from todo_api.http.routing import METHODS, Routing
from todo_api.http.validation import ARGUMENTS, Validation

__all__ = [
    "ARGUMENTS",
    "INTERNAL_ERROR",
    "METHODS",
    "PROBLEM_TYPES",
    "SAFE_TYPE",
    "AdmissionControl",
    "BadRequest",
    "BearerHandler",
    "Compression",
    "ContractApp",
    "Cors",
    "HandlerDispatch",
    "HeaderFieldsTooLarge",
    "MethodNotAllowed",
    "NotImplementedByServer",
    "Overloaded",
    "ProblemType",
    "Problems",
    "RateLimited",
    "Reply",
    "RequestIdMiddleware",
    "RequestTimeout",
    "Routing",
    "TagResolver",
    "TokenLookup",
    "UriTooLong",
    "Validation",
    "check_contract",
    "normalize_path",
    "render_problem",
]
