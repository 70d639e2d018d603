"""Admission control: a limit on concurrent requests, and a queue with a deadline for the others.

It knows no HTTP. `control` has the rule: slots, the queue, and reservations of slots.
`server` has requests wait at its gate, and `http` has the others wait inside.
"""

from todo_api.admission.control import ANONYMOUS, AdmissionControl, Reservation, Waiter

__all__ = ["ANONYMOUS", "AdmissionControl", "Reservation", "Waiter"]
