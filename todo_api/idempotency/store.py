"""Store of replies (draft-ietf-httpapi-idempotency-key-header-07).

The reply is stored in the request's transaction, so a crash leaves both or neither. It is encrypted
with a key derived from the server's secret, the `Idempotency-Key` and the request. The table has
only digests of those, so neither the table nor the secret alone reveals a reply.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from todo_api.database import Database, RoleSession, Transaction
from todo_api.errors import IdempotencyInProgress, IdempotencyKeyReused, TaskApiError
from todo_api.idempotency import statements

_NONCE_BYTES = 12


class Request(NamedTuple):
    """A request, its user and its `Idempotency-Key`. `user_id` is None before a user is known."""

    user_id: str | None
    key: str
    content: bytes


class Outcome(NamedTuple):
    """The reply of an operation, and whether it is stored."""

    reply: bytes
    is_kept: bool = True


class IdempotencyStore:
    """Stored replies of all users."""

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._digest_key = hmac.digest(secret, b"task-api idempotent replies: digests", "sha256")
        self._cipher_key = hmac.digest(secret, b"task-api idempotent replies: seals", "sha256")

    def run(
        self,
        request: Request,
        operation: Callable[[Transaction], Outcome],
        is_valid: Callable[[Transaction, bytes], bool] = lambda *_: True,
    ) -> tuple[bytes, bool]:
        """Return the stored reply and True, or the reply of `operation` and False.

        `operation` runs in a transaction that also stores its reply. An error stores nothing and
        rolls back, unless its `commit_on_error` is set. If `is_valid` refuses a stored reply, it is
        deleted and `operation` runs again.

        Raise IdempotencyInProgress while another request with the key runs, IdempotencyKeyReused if
        the key came with another request. Different anonymous requests may have the same key.
        """
        content = b"\0".join([request.key.encode(), request.content])
        digest = self._digest(b"request", content)
        is_known = request.user_id is not None
        key = self._digest(b"key", f"{request.user_id}\0{request.key}".encode()) if is_known else digest
        claim = int.from_bytes(key[:8], "big") >> 1  # 63 bits: PostgreSQL's bigint has a sign
        with self._database.transaction(claim=claim) as transaction:
            session, of_table, row = _place(transaction, request.user_id, key, digest)
            ((claimed, reply, is_same, is_old),) = session.fetch_all(of_table.find, row)
            if reply is not None and not is_old:
                kept = self._opened_if_same(bool(is_same), bytes(reply), content, key)
                if is_valid(transaction, kept):
                    return kept, True
            if not claimed:
                raise IdempotencyInProgress
            if reply is not None:
                session.fetch_all(of_table.forget, row)
            if is_known and key[-1] % statements.TRIMMED_BY == 0:
                session.fetch_all(statements.TRIM, row)
            try:
                outcome = operation(transaction)
            except TaskApiError as error:
                if not error.commit_on_error:
                    raise
                refused = error
            else:
                if outcome.is_kept:
                    sealed = self._sealed(outcome.reply, content, key)
                    session.execute_and_commit(of_table.keep, {**row, "reply": sealed})
                return outcome.reply, False
        raise refused  # after the block: inside of it, it would roll back

    def purge(self) -> int:
        """Delete expired replies, some thousand at most, and return their number.

        Return zero if another process is purging. Raise Unavailable.
        """
        session = self._database.as_purge()
        return sum(row[0] for statement in statements.PURGES for row in session.fetch_all(statement, {}))

    def _digest(self, kind: bytes, content: bytes) -> bytes:
        return hmac.digest(self._digest_key, kind + b"\0" + content, "sha256")

    def _cipher(self, content: bytes) -> AESGCM:
        return AESGCM(hmac.new(self._cipher_key, content, hashlib.sha256).digest())

    def _sealed(self, reply: bytes, content: bytes, key: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher(content).encrypt(nonce, reply, key)

    def _opened_if_same(self, is_same: bool, sealed: bytes, content: bytes, key: bytes) -> bytes:
        """Return the decrypted reply. Raise IdempotencyKeyReused if the request is another one."""
        if not is_same:
            raise IdempotencyKeyReused
        return self._opened(sealed, content, key)

    def _opened(self, sealed: bytes, content: bytes, key: bytes) -> bytes:
        return self._cipher(content).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], key)


def _place(
    transaction: Transaction, user_id: str | None, key: bytes, digest: bytes
) -> tuple[RoleSession, statements.Statements, dict[str, object]]:
    """Return where the reply to a request is kept: session, statements of the table, and row."""
    if user_id is None:
        return transaction.as_request(digest.hex()), statements.OF_ANONYMOUS, {"request": digest.hex()}
    return transaction.as_user(user_id), statements.OF_USER, {"user_id": user_id, "key": key, "request": digest}
