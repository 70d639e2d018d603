"""API keys: credentials of a user for scripts and agents, with scopes and an end. A tag of the contract.

`handlers` has one function an operation; `service` has the rules, and finds the user of a key that was sent; `statements` has the SQL.
`secret` makes the text of a key and the digest by which it is found: the key itself is not stored.
"""

from todo_api.api_keys.schemas import dump_api_key
from todo_api.api_keys.secret import PREFIX, digest
from todo_api.api_keys.service import ApiKey, KeyService, KeysLeft, count, find

__all__ = ["PREFIX", "ApiKey", "KeyService", "KeysLeft", "count", "digest", "dump_api_key", "find"]
