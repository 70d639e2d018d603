"""Check a contract at the start. A mistake is reported with its file and line."""

from pathlib import Path

from connexion.exceptions import ResolverError
from starlette.types import Receive, Scope, Send

from todo_api.contract import ContractError, locate, operations
from todo_api.http.connexion_app import (
    CompiledSpecification,
    InvalidContract,
    TagResolver,
    definition,
    operation_of,
    specification,
)
from todo_api.http.deprecation import announce_deprecation
from todo_api.http.validation import ValidatedOperation

MAX_MESSAGE = 300
"""Maximum length of a library's message, in characters. It may quote half of the contract."""


def check_contract(root: Path) -> None:
    """Raise ContractError if the contract is not valid OpenAPI, or its handlers do not fit it."""
    try:
        document = specification(root)
    except InvalidContract as error:
        raise _contract_error(root, error.steps, error.reason) from error
    names: set[str] = set()
    for path, method, _ in operations(document):
        try:
            name = _compile(document, path, method)
            if name in names:
                raise ValueError(f"{name} is the operationId of another operation too")
        except (ResolverError, TypeError, ValueError) as error:
            raise _contract_error(root, ["paths", path, method], str(error)) from error
        names.add(name)


def _compile(document: CompiledSpecification, path: str, method: str) -> str:
    """Compile an operation and return its operationId."""
    operation = operation_of(document, path, method, TagResolver())
    # Both are made for what they raise if the contract has a mistake.
    announce_deprecation(ValidatedOperation(_no_app, operation), definition(operation))
    unknown = {name for requirement in operation.security for name in requirement} - {*operation.security_schemes}
    if unknown:
        raise ValueError(f"{operation.operation_id}: components/securitySchemes lacks {', '.join(sorted(unknown))}")
    return str(operation.operation_id)


def _contract_error(root: Path, steps: list[str], message: str) -> ContractError:
    line = " ".join(message.split())
    return ContractError(f"{locate(root, *steps)}: {line if len(line) <= MAX_MESSAGE else f'{line[:MAX_MESSAGE]}...'}")


async def _no_app(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotImplementedError
