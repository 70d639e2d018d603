"""Health, readiness and metrics, for whoever runs the service. The tag of the operations contract.

`handlers` has one function an operation, as in every tag.
`readiness` runs the checks of readiness, at most one round at a time, whoever asks.
"""

from todo_api.operations.readiness import Readiness

__all__ = ["Readiness"]
