"""What can go wrong, without a word of HTTP. `problems.py` says how each is told."""

from typing import Any, NamedTuple


class Violation(NamedTuple):
    """One broken rule of the contract: where (`location`, JSON `pointer`), which (`code`), and what to do (`detail`)."""

    location: str
    pointer: str
    code: str
    detail: str


class TaskApiError(Exception):
    """Anything that is told to the caller. `str()` is the detail for people, and holds nothing that was sent."""

    detail = "The request failed."
    changes_hold = False
    """Whether what the request changed before it failed is to hold all the same."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.detail)


class ConstraintViolated(Exception):
    """A statement broke a constraint of the database, by its name. Services expect some of them; any other is a fault."""

    def __init__(self, constraint: str | None) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class ValidationFailed(TaskApiError):
    """The request breaks the contract in `violations`, of which there is at least one."""

    def __init__(self, violations: list[Violation]) -> None:
        count = len(violations)
        super().__init__(f"The request breaks the contract in {count} place{'s' if count != 1 else ''}.")
        self.violations = violations


class InvalidCursor(TaskApiError):
    """A cursor that was not made for this user, these filters and this sort."""

    detail = (
        "The cursor is not valid for this list. Keep the user, the filters and the sort of the page that it came from."
    )


class Unauthorized(TaskApiError):
    """No token (`token_sent` False), or one that does not hold. `cause` is a word for operators, where PyJWT's error does not say it."""

    detail = "This operation needs a bearer token."

    def __init__(self, detail: str | None = None, *, token_sent: bool = False, cause: str | None = None) -> None:
        super().__init__(detail)
        self.token_sent = token_sent
        self.cause = cause


class InvalidCredentials(TaskApiError):
    """Unknown e-mail address or wrong password: the caller cannot tell which."""

    detail = "The e-mail address or the password is wrong."


class InvalidRefreshToken(TaskApiError):
    """The session of the refresh token has ended, by this very request perhaps, or there never was one."""

    detail = "The session has ended. Sign in again."
    changes_hold = True


class WrongPassword(TaskApiError):
    """The token holds, and the password that was to confirm the request is not the account's."""

    detail = "The password is wrong."


class StaleToken(TaskApiError):
    """The token holds, and is too old for what cannot be undone (RFC 9470)."""

    detail = "This operation needs a token that was issued in the last 5 minutes."


class Forbidden(TaskApiError):
    """The address is another user's."""

    detail = "The address is in another user's space. Use me, or the id of your token."


class InsufficientScope(TaskApiError):
    """The token is good, but not for this operation: it lacks one of `scope`, names between blanks."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"The API key lacks a scope. This operation needs: {scope}.")
        self.scope = scope


class NotFound(TaskApiError):
    """No such task, or other thing, for this user, whether another has one or not."""

    detail = "There is no such task in your space."


class AccountsDisabled(TaskApiError):
    """The service takes the tokens of an external issuer and keeps no accounts."""

    detail = "This service has no accounts of its own. Register and sign in with its external issuer."


class EmailTaken(TaskApiError):
    """The e-mail address has an account."""

    detail = "This e-mail address already has an account."


class TooManyKeys(TaskApiError):
    """The user has as many API keys as there can be."""

    detail = "You have 100 API keys, and cannot have more. Revoke one first."


class InvalidTransition(TaskApiError):
    """The status cannot change from `source` to `target`; `allowed` is what it can change to."""

    def __init__(self, source: str, target: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"A task that is {source} cannot become {target}.")
        self.source = source
        self.target = target
        self.allowed = allowed


class PreconditionFailed(TaskApiError):
    """What was to be written is at none of the versions that the caller named; `current` is the task or account as it stands."""

    detail = "The task has changed since you read it."

    def __init__(self, current: Any, detail: str | None = None) -> None:
        super().__init__(detail)
        self.current = current


class IdempotencyKeyReused(TaskApiError):
    """The `Idempotency-Key` came with another request before."""

    detail = "An earlier, different request had this Idempotency-Key. Use a new key for each new request."


class IdempotencyInProgress(TaskApiError):
    """The request with this `Idempotency-Key` is still being answered; `retry_after` is in seconds."""

    detail = "The first request with this Idempotency-Key is still running. Try again later."
    retry_after = 1


class Overloaded(TaskApiError):
    """The service has too much to do and did nothing for the request. `retry_after`: seconds."""

    detail = "The service has too much to do. Nothing was done. Try again later."
    retry_after = 1


class Unavailable(TaskApiError):
    """The database, or an issuer's keys, are out of reach. Nothing is wrong with the request; `retry_after` is in seconds."""

    detail = "The database cannot be reached."

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class NotReady(Unavailable):
    """Requests cannot be served: the checks of readiness named in `failed` did not pass. `checks` has all, to be told."""

    def __init__(self, failed: list[str], checks: dict[str, Any]) -> None:
        super().__init__(f"Not ready: {', '.join(failed)}.")
        self.checks = checks
