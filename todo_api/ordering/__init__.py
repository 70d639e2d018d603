"""Position keys: texts that are sorted by byte and give things the order that a user chose.

A new thing goes last by the key of the database's clock. A moved one gets a key between its
neighbours. If there is none, those near it get new keys (`docs/decisions/0014`).
"""

from todo_api.ordering.destination import LAST, Destination
from todo_api.ordering.keys import MAX_LENGTH, evenly_spaced, key_after, key_before, key_between, keys_between
from todo_api.ordering.sql import clock_key

__all__ = [
    "LAST",
    "MAX_LENGTH",
    "Destination",
    "clock_key",
    "evenly_spaced",
    "key_after",
    "key_before",
    "key_between",
    "keys_between",
]
