"""Errors of a contract."""


class ContractError(Exception):
    """A mistake in a contract. The message is one line: file, line number, and what is wrong."""
