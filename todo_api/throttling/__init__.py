"""Rate limits, and the throttle of sign-ins.

`middlewares` builds them for a deployment. `rate_limit` counts requests, `login_throttle` failed
passwords. `counters` and `attempts` count in one process, `redis` in several. `client_address`
determines who sent a request.
"""

from todo_api.throttling.attempts import KnownLogins
from todo_api.throttling.client_address import ClientAddresses
from todo_api.throttling.middlewares import Throttling, check_counters

__all__ = ["ClientAddresses", "KnownLogins", "Throttling", "check_counters"]
