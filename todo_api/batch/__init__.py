"""Several operations on tasks, projects and labels, all of them or none. A tag of the contract.

`handlers` has the function of the operation; `service` runs the operations one after the other, in
one transaction and under one number; `creations` creates many tasks by one statement; `statements`
has the SQL; `schemas` converts bodies.
"""

__all__: list[str] = []
