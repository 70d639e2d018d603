"""API keys: credentials of a user for scripts and agents, with scopes and an end."""
