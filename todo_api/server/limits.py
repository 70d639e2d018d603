"""What clients may use of a worker: bytes, seconds, and connections."""

from typing import NamedTuple

LINE_BYTES = 8192
"""Bytes of a request line: RFC 9112, section 3, recommends 8,000 at least."""

FIELD_BYTES = 17 * 1024
"""Bytes of one header field: the longest token, and the rest of its field."""

FIELDS = 64
HEAD_BYTES = 64 * 1024
"""Bytes of a head, its request line and last blank line included; and of what chunks have beside a body, without a byte of it."""

RATE_BYTES, RATE_SECONDS = 1024, 10
"""A body arrives at this rate at least."""

DISCARDED_BYTES, DISCARDED_SECONDS = 16 * 1024 * 1024, 10
"""How much of a body that nobody wants is read and thrown away after the reply, so that its sender gets to read that."""

LINGER = 1
"""Seconds that a connection stays after its last reply, for the same reason: closing it at once would reset it."""

QUIET = 1.5
"""Seconds that a stopping worker waits for one more request on a connection that is kept open.

Only a reply can tell the client to send no more on it (RFC 9112, section 9.6). On a connection in use, one is due within that time.
"""

LIVENESS = b"/health/live"

SWEEP_SECONDS = 0.25
"""Seconds between two looks at the connections that wait for their client."""

HELD_BYTES = 64 * 1024 * 1024
"""Bytes of replies that nobody has read yet, and of requests that wait their turn, that a worker keeps at most."""

STALLED_SECONDS = 1.0
"""Seconds without progress after which a client that holds bytes makes room for the bytes of another."""

RESERVE = 128
"""Connections beyond the limit that are read, so that `/health/live` is answered and the others are told 503."""


class Limits(NamedTuple):
    """What clients may use: seconds for a head, for a body, and without progress; and connections of one worker."""

    head_seconds: float
    body_seconds: float
    idle_seconds: float
    connections: int

    @property
    def of_one_address(self) -> int:
        """Connections that one address may have: half of all."""
        return max(1, self.connections // 2)
