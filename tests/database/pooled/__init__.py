"""What holds behind a pooler in transaction mode."""
