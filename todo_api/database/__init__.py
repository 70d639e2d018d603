"""PostgreSQL: connections, roles, transactions, statements and migrations."""
