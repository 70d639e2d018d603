"""Accounts: registration, sign-in, sessions, e-mail address and password, export and deletion. A tag of the contract.

`handlers` has one function an operation; `service` changes an account, `sessions` signs in, refreshes and signs out.
`export` collects all that a user has, from `tasks` and `api_keys` as well: the one product package that imports others.
`passwords` hashes and judges passwords; `statements` and `session_statements` have the SQL.
"""

from todo_api.accounts import sessions
from todo_api.accounts.passwords import Passwords
from todo_api.accounts.schemas import dump_account
from todo_api.accounts.service import Account

__all__ = ["Account", "Passwords", "dump_account", "sessions"]
