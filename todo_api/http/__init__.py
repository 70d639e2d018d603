"""The contract-driven ASGI pipeline, from a request to its handler and back. It knows no task.

Middlewares from the outside in: `request_id`, `compression`, `cors`, `problems`, `routing`, `authentication`, `validation`, `dispatch`.
`validation` checks what the contract says: `authorization`, the parameters and the `body`.
`admission` gives out the slots that requests wait for; `errors` are of HTTP, and `problems` is where any error becomes a reply.
`connexion_app` is how Connexion takes a contract and finds the handlers; `checking` refuses a contract that they do not fit.
"""

from todo_api.http.admission import AdmissionControl
from todo_api.http.authentication import BearerHandler, Lookups
from todo_api.http.checking import check
from todo_api.http.compression import Compression
from todo_api.http.connexion_app import ContractApp, TagResolver
from todo_api.http.cors import Cors
from todo_api.http.dispatch import Bridge, Reply
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
from todo_api.http.paths import normalized
from todo_api.http.problems import INTERNAL_ERROR, KINDS, Kind, Problems, problem
from todo_api.http.request_id import SAFE_TYPE, Envelope
from todo_api.http.routing import METHODS, Routing
from todo_api.http.validation import ARGUMENTS, Validation

__all__ = [
    "ARGUMENTS",
    "INTERNAL_ERROR",
    "KINDS",
    "METHODS",
    "SAFE_TYPE",
    "AdmissionControl",
    "BadRequest",
    "BearerHandler",
    "Bridge",
    "Compression",
    "ContractApp",
    "Cors",
    "Envelope",
    "HeaderFieldsTooLarge",
    "Kind",
    "Lookups",
    "MethodNotAllowed",
    "NotImplementedByServer",
    "Overloaded",
    "Problems",
    "RateLimited",
    "Reply",
    "RequestTimeout",
    "Routing",
    "TagResolver",
    "UriTooLong",
    "Validation",
    "check",
    "normalized",
    "problem",
]
