"""The configuration: settings from the environment and `.env`, read once and passed on.

`config` has the settings, one frozen value; `settings` and `origins` judge their texts before they mean anything.
`secrets` keeps the secret that an embedded service makes for itself, and derives the one that cursors are signed with.
No other module reads the environment.
"""

from todo_api.config.config import (
    PUBLIC_ALGORITHMS,
    SECRET_ALGORITHMS,
    Config,
    ConfigurationError,
    check_url,
    is_handed_a_socket,
    load_config,
    unknown_settings,
)
from todo_api.config.roles import ROLE_PREFIX, Roles
from todo_api.config.secrets import cursor_secret, kept_secret

__all__ = [
    "PUBLIC_ALGORITHMS",
    "ROLE_PREFIX",
    "SECRET_ALGORITHMS",
    "Config",
    "ConfigurationError",
    "Roles",
    "check_url",
    "cursor_secret",
    "is_handed_a_socket",
    "kept_secret",
    "load_config",
    "unknown_settings",
]
