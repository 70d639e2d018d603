"""Python's garbage collector: off while modules are imported, then set for a service."""

import gc

GC_THRESHOLD = 20_000
"""New objects per collection of the youngest generation.

Python's 700 are those of a few requests. If hundreds wait, each collection visits them all: with
it, an overloaded service answered half as many.
"""


def postpone() -> None:
    """Stop collections while modules are imported: they would take a fifth of a start."""
    gc.disable()


def resume(*, collect: bool = False) -> None:
    """Start collections, and exempt existing objects: the workers share the memory of the master's.

    First `collect` what is left of making the application, or it would stay for good.
    """
    if collect:
        gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(GC_THRESHOLD)
