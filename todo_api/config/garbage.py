"""Python's garbage collector: off while modules are imported, then set for a service."""

import gc

GC_THRESHOLD = 20_000
"""New objects per collection of the youngest generation.

Python's 700 are those of a few requests. If hundreds wait, each collection visits them all: with
it, an overloaded service answered half as many.
"""


def postpone() -> None:
    """Stop collections: nothing that is imported is ever garbage, and looking for it is a fifth of the start."""
    gc.disable()


def resume() -> None:
    """Start collections, which from now on exempt existing objects, and so copy no memory that workers share."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(GC_THRESHOLD)
