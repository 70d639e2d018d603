"""Configuration: settings from the environment and `.env`, read once and passed on.

`config` has the configuration as one frozen value, `loading` reads it. `settings` checks the text
of any setting; `issuer`, `mail` and `origins` check the values of some. `shown` shows settings
without secrets. `roles` names the database's roles. `secrets` makes the secret of an embedded
service, and derives the cursor secret. `garbage` sets Python's garbage collector. No other package
reads the environment.
"""

from todo_api.config import garbage
from todo_api.config.config import Config
from todo_api.config.errors import ConfigurationError
from todo_api.config.issuer import PUBLIC_ALGORITHMS, SECRET_ALGORITHMS, check_url
from todo_api.config.loading import has_inherited_socket, load_config, unknown_settings, wants_color
from todo_api.config.mail import SmtpServer
from todo_api.config.roles import ROLE_PREFIX, Roles
from todo_api.config.secrets import cursor_secret, load_or_create_secret
from todo_api.config.shown import shown_settings

__all__ = [
    "PUBLIC_ALGORITHMS",
    "ROLE_PREFIX",
    "SECRET_ALGORITHMS",
    "Config",
    "ConfigurationError",
    "Roles",
    "SmtpServer",
    "check_url",
    "cursor_secret",
    "garbage",
    "has_inherited_socket",
    "load_config",
    "load_or_create_secret",
    "shown_settings",
    "unknown_settings",
    "wants_color",
]
