"""Rate limits, and the throttle of sign-ins.

`limits` puts the middlewares of one deployment together; `rate_limit` counts requests, `login_throttle` failed passwords.
`counters` and `attempts` count in one process or machine, `redis` in several; `client_address` finds out who sent a request.
"""

from todo_api.throttling.attempts import FamiliarPairs
from todo_api.throttling.client_address import Addresses
from todo_api.throttling.limits import Limits

__all__ = ["Addresses", "FamiliarPairs", "Limits"]
