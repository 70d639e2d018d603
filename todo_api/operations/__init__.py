"""Health, readiness and metrics, for operators. The tag of the operations contract.

`handlers` has a function per operation.
`readiness` runs the checks, one round at a time for all callers.
"""

from todo_api.operations.readiness import Readiness

__all__ = ["Readiness"]
