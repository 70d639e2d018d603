"""A multi-user task service: contract first, on Connexion and PostgreSQL."""
