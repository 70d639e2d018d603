"""API keys: credentials for scripts and agents, with scopes and an expiry. A tag of the contract.

`handlers` has a function per operation; `service` has the rules and authenticates keys;
`statements` has the SQL; `secret` makes a key and the digest that is stored in its place.
"""

from todo_api.api_keys.schemas import dump_api_key
from todo_api.api_keys.secret import PREFIX, digest
from todo_api.api_keys.service import ApiKey, KeyService, KeysLeft, count_or_revoke, find

__all__ = ["PREFIX", "ApiKey", "KeyService", "KeysLeft", "count_or_revoke", "digest", "dump_api_key", "find"]
