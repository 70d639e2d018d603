"""Undo: a task as it was, and a write taken back. A tag of the contract.

`handlers` has a function per operation; `service` has the rules, bound to a user; `walking` reads
changes backwards; `writing` puts members back, with `statements`, many objects at once.
"""

__all__: list[str] = []
