"""What can be wrong with a contract."""


class ContractError(Exception):
    """A mistake in a contract, in one line: file, line number, and what is wrong."""
