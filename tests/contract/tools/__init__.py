"""Tools that hold the contract to its promises. They need Node (`npm ci`), and so are no part of the plain test run: `make lint`
and `make contract-diff` run them."""
