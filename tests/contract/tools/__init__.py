"""Tools that check the contract. They need Node (`npm ci`).

`make lint` and `make contract-diff` run them; the plain test run does not.
"""
