"""Accounts: registration, sessions, the export of all that a user has, and its end."""
