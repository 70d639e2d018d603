"""For operators: each function is the operation of the same name in `openapi/ops-api.yaml`."""

from todo_api.errors import Unavailable
from todo_api.handlers.spaces import SECRET, parts
from todo_api.pipeline.bridge import Reply


def check_liveness() -> Reply:
    """200 from a process that answers."""
    return {"status": "pass"}, 200, SECRET


def check_readiness() -> Reply:
    """200 where the database answers with the schema of this release. Raises Unavailable."""
    if parts().database.ping() != parts().schema_revision:
        raise Unavailable("The schema of the database is not the one that this release needs.")
    return {"status": "pass"}, 200, SECRET
