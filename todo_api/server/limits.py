"""Limits for clients of one worker: bytes, seconds and connections."""

from typing import NamedTuple

LINE_BYTES = 8192
"""Maximum size of a request line. RFC 9112, section 3, recommends at least 8,000."""

METHOD_BYTES = 32
"""Maximum size of a method. A longer one is none that anybody has (RFC 9112, section 3)."""

FIELD_BYTES = 17 * 1024
"""Maximum size of a header field: the longest token fits, with the rest of its field."""

FIELDS = 64
"""Maximum number of header fields."""

HEAD_BYTES = 64 * 1024
"""Maximum size of a head. Framing of chunks and trailers count alike, between bytes of a body."""

RATE_BYTES, RATE_SECONDS = 1024, 10
"""Minimum rate of a body: so many bytes in so many seconds."""

DISCARDED_BYTES, DISCARDED_SECONDS = 16 * 1024 * 1024, 10
"""Maximum bytes and seconds of a body that is discarded after an early reply.

Until then the sender can read the reply.
"""

LINGER = 1
"""Seconds between the last reply and the close: an earlier close could lose the reply."""

QUIET = 1.5
"""Seconds that a stopping worker waits for a further request on an idle connection.

Only a reply can ask the client to send no more (RFC 9112, section 9.6). A connection in use has one
within that time.
"""

LIVENESS = b"/health/live"
"""The path that is answered on connections over the limit, too."""

SWEEP_SECONDS = 0.25
"""Seconds between checks of the connections that wait for their client."""

HELD_BYTES = 64 * 1024 * 1024
"""Maximum size of unread replies and queued requests of a worker."""

STALLED_SECONDS = 1.0
"""Seconds without progress after which a client that holds bytes may be dropped for another."""

RESERVE = 128
"""Connections over the limit that are read all the same, for LIVENESS and to refuse with 503."""


class ConnectionLimits(NamedTuple):
    """Seconds for a head, for a body and idle, and the maximum of connections of a worker."""

    head_seconds: float
    body_seconds: float
    idle_seconds: float
    connections: int

    @property
    def per_address(self) -> int:
        """Return the maximum number of connections of one address, half of all."""
        return max(1, self.connections // 2)
