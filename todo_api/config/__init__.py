"""The configuration: settings, read once, and the secrets that are made from them."""

from todo_api.config.config import (
    DEFAULT_PUBLIC_ALGORITHMS,
    PUBLIC_ALGORITHMS,
    SECRET_ALGORITHMS,
    Config,
    ConfigurationError,
    check_secret,
    check_url,
    is_handed_a_socket,
    load_config,
    unknown_settings,
)

__all__ = [
    "DEFAULT_PUBLIC_ALGORITHMS",
    "PUBLIC_ALGORITHMS",
    "SECRET_ALGORITHMS",
    "Config",
    "ConfigurationError",
    "check_secret",
    "check_url",
    "is_handed_a_socket",
    "load_config",
    "unknown_settings",
]
