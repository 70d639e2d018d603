"""The error of a setting that cannot be used, and checks that raise it."""


class ConfigurationError(Exception):
    """A setting is missing or invalid. The message is one line with its name and a remedy."""


def refuse(name: str, flaw: str | None) -> None:
    """Raise ConfigurationError if the setting has a flaw."""
    if flaw is not None:
        raise ConfigurationError(f"{name} {flaw}")
