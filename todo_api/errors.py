"""Errors of the domain. They know no HTTP; `http/problems.py` renders them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple


class Violation(NamedTuple):
    """A violated rule of the contract.

    `location` and JSON `pointer` say where, `code` says which, `detail` says what to do.
    """

    location: str
    pointer: str
    code: str
    detail: str


class TaskApiError(Exception):
    """An error that the reply describes.

    Its text is the detail for people, and repeats nothing that they sent.
    """

    detail = "The request failed."
    commit_on_error = False
    """Whether to commit what the request changed before it failed."""
    members: Mapping[str, Any] = MappingProxyType({})
    """Further members of the problem document."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.detail)


class ConstraintViolated(Exception):
    """A statement violated a constraint. Services expect some; any other is a bug."""

    def __init__(self, constraint: str | None) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class ValidationFailed(TaskApiError):
    """The request violates the contract. `violations` has the broken rules.

    `operation` is the place of the first operation of a batch with one of them.
    """

    def __init__(self, violations: list[Violation], operation: int | None = None) -> None:
        count = len(violations)
        super().__init__(f"The request breaks the contract in {count} place{'s' if count != 1 else ''}.")
        self.violations = violations
        place = {} if operation is None else {"operation": operation}
        self.members = {"errors": [violation._asdict() for violation in violations], **place}


class InvalidCursor(TaskApiError):
    """The cursor was not made for this user, filters and sort."""

    detail = (
        "The cursor is not valid for this list. Keep the user, the filters and the sort of the page that it came from."
    )


class ResyncRequired(TaskApiError):
    """The token of the feed is of another epoch, or older than what is kept of deletions."""

    detail = "Nothing can be said of the time since. Ask without since, and begin anew."


class Unauthorized(TaskApiError):
    """The token is missing (`token_sent` False) or invalid.

    `cause` is a word for operators, if PyJWT's error does not give one.
    """

    detail = "This operation needs a bearer token."

    def __init__(self, detail: str | None = None, *, token_sent: bool = False, cause: str | None = None) -> None:
        super().__init__(detail)
        self.token_sent = token_sent
        self.cause = cause


class InvalidCredentials(TaskApiError):
    """The e-mail address is unknown or the password is wrong. The caller cannot tell which."""

    detail = "The e-mail address or the password is wrong."


class EmailUnverified(TaskApiError):
    """The password is right, but the e-mail address has to be verified first."""

    detail = "The e-mail address is not verified yet. Open the link in the mail, or ask for another mail."


class InvalidRefreshToken(TaskApiError):
    """The refresh token's session has ended, perhaps by this request, or never existed."""

    detail = "The session has ended. Sign in again."
    commit_on_error = True


class InvalidOneTimeToken(TaskApiError):
    """The one-time token is unknown, used, expired, or older than the address or password."""

    detail = "The token is invalid: it was used, or has expired. Ask for another."


class WrongPassword(TaskApiError):
    """The token is valid, but the password that confirms the request is wrong."""

    detail = "The password is wrong."


class StaleToken(TaskApiError):
    """The token is valid, but too old for an irreversible operation (RFC 9470)."""

    detail = "This operation needs a token that was issued in the last 5 minutes."


class Forbidden(TaskApiError):
    """The address is in another user's space."""

    detail = "The address is in another user's space. Use me, or the id of your token."


class InsufficientScope(TaskApiError):
    """The token is valid, but lacks one of `scope`, names separated by blanks."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"The API key lacks a scope. This operation needs: {scope}.")
        self.scope = scope


class NotFound(TaskApiError):
    """The user has no such task or other resource, whether another user has it or not."""

    detail = "There is no such task in your space."


class AccountsDisabled(TaskApiError):
    """The service accepts tokens of an external issuer and has no accounts."""

    detail = "This service has no accounts of its own. Register and sign in with its external issuer."


class MailDisabled(TaskApiError):
    """The service has no mail server to send with."""

    detail = "This service sends no mail. Ask its operator for a token."


class VerificationDisabled(TaskApiError):
    """The service does not verify e-mail addresses."""

    detail = "This service does not verify e-mail addresses. Sign in with your password."


class EmailTaken(TaskApiError):
    """The e-mail address already has an account."""

    detail = "This e-mail address already has an account."


class TooManyKeys(TaskApiError):
    """The user has the maximum number of API keys."""

    detail = "You have 100 API keys, and cannot have more. Revoke one first."


class TooManyProjects(TaskApiError):
    """The user has the maximum number of projects."""

    detail = "You have 500 projects, and cannot have more. Delete one first."


class TooManyLabels(TaskApiError):
    """The user has the maximum number of labels."""

    detail = "You have 500 labels, and cannot have more. Remove one first."


class TooManySubtasks(TaskApiError):
    """The parent has the maximum number of children."""

    detail = "The parent has 200 subtasks, and cannot have more. Delete one first, or choose another parent."


class TooManyTasks(TaskApiError):
    """The write would change or delete more tasks than one write may."""

    detail = "This would change more than 100,000 tasks at once. Change or delete some of them first."


class ParentInTrash(TaskApiError):
    """The parent of a task that is to come back is in the trash."""

    detail = "The parent of the task is in the trash as well. Bring it back first."


class ParentGone(TaskApiError):
    """The parent of a task that is to come back is deleted for good."""

    detail = "The parent of the task is deleted for good."


class TooDeep(TaskApiError):
    """A task that is to come back would be below too many others."""

    detail = "The parent of the task has moved. Tasks can be at most 5 deep."


class LabelExists(TaskApiError):
    """The user has the label that another is to be renamed to."""

    detail = "You have a label of this name. Send merge to make one of both."


class IdTaken(TaskApiError):
    """A task or project of the user has the id that a new one asks for: `current`.

    It is None if that is in the trash.
    """

    detail = "One of your tasks has this id."

    def __init__(self, current: Any, detail: str | None = None) -> None:
        super().__init__(detail)
        self.current = current
        self.members = {} if current is None else {"current": current}


class InvalidTransition(TaskApiError):
    """The status cannot change from `source` to `target`; `allowed` lists possible targets."""

    def __init__(self, source: str, target: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"A task that is {source} cannot become {target}.")
        self.members = {"from": source, "to": target, "allowed": allowed}


class OpenSubtasks(TaskApiError):
    """A task cannot be completed, since `count` tasks below it are still to be done."""

    def __init__(self, count: int) -> None:
        tasks, them = ("subtask is", "it") if count == 1 else ("subtasks are", "them")
        super().__init__(
            f"{count} {tasks} still to be done. Complete {them} first, or send subtasks with completeTask."
        )
        self.members = {"open": count}


class PreconditionFailed(TaskApiError):
    """The resource is at none of the versions that the caller named; `current` is its state."""

    detail = "The task has changed since you read it."

    def __init__(self, current: Any, detail: str | None = None) -> None:
        super().__init__(detail)
        self.current = current
        self.members = {"current": current}


class Conflict(TaskApiError):
    """A patch names members that somebody has changed since its base to something else.

    Or members of a task cannot be what they were. `fields` are their pointers, `current` is the
    task.
    """

    detail = "Somebody has changed the same since."

    def __init__(self, current: Any, fields: Sequence[str], detail: str | None = None) -> None:
        super().__init__(detail)
        self.members = {"fields": fields, "current": current}


class ChangesConflict(TaskApiError):
    """Members that a write changed have other values since, or their values of before are invalid.

    `conflicts` names each task or project with the pointers of its members, at most a hundred.
    """

    detail = "What the write changed has become something else since. Send force to take back the rest."

    def __init__(self, conflicts: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.members = {"conflicts": conflicts[:100]}


class VersionNotKept(TaskApiError):
    """A task cannot go back to a version: it has not had it yet, or the history is not kept."""

    detail = "The history of the task since that version is not kept in full."


class IdempotencyKeyReused(TaskApiError):
    """The `Idempotency-Key` was sent with another request before."""

    detail = "An earlier, different request had this Idempotency-Key. Use a new key for each new request."


class IdempotencyInProgress(TaskApiError):
    """The first request with this `Idempotency-Key` is running. `retry_after` is in seconds."""

    detail = "The first request with this Idempotency-Key is still running. Try again later."
    retry_after = 1


class Overloaded(TaskApiError):
    """The service refused the request before any work on it. `retry_after` is in seconds."""

    detail = "The service has too much to do. Nothing was done. Try again later."
    retry_after = 1


class TooManyWaits(Overloaded):
    """The user has the maximum number of requests that wait for a change."""

    detail = "Ten of your requests wait for a change already. Wait for one of them."


class Unavailable(TaskApiError):
    """The database or an issuer's keys cannot be reached. `retry_after` is in seconds."""

    detail = "The database cannot be reached."

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class NotReady(Unavailable):
    """The checks named in `failed` have failed. `checks` has the results of all."""

    def __init__(self, failed: list[str], checks: dict[str, Any]) -> None:
        super().__init__(f"Not ready: {', '.join(failed)}.")
        self.members = {"checks": checks}
