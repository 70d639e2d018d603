"""Accounts: registration, sign-in, sessions, e-mail address and password, export and deletion.

A tag of the contract. `handlers` has a function per operation. `service` changes an account;
`sessions` signs in, refreshes and signs out; `export` also reads `tasks` and `api_keys`.
`passwords` hashes passwords; `statements` and `session_statements` have the SQL.
"""

from todo_api.accounts import one_time_tokens, recovery, sessions
from todo_api.accounts.administration import Administration, ShownUser
from todo_api.accounts.passwords import Passwords
from todo_api.accounts.schemas import dump_account
from todo_api.accounts.service import Account, register

__all__ = [
    "Account",
    "Administration",
    "Passwords",
    "ShownUser",
    "dump_account",
    "one_time_tokens",
    "recovery",
    "register",
    "sessions",
]
