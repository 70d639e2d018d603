"""The business: statements and rules, bound to a user. Knows no HTTP."""
