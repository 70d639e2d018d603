"""Commands without a database (`settings | token | mcp | contract`), and shared functions.

They import only what they need, so help and contract appear at once.
"""

import argparse
import logging
import socket
import sys
from dataclasses import replace
from pathlib import Path

import orjson

from todo_api import contract
from todo_api.config import (
    Config,
    ConfigurationError,
    load_config,
    load_or_create_secret,
    shown_settings,
    unknown_settings,
)

_log = logging.getLogger(__name__)


class CommandError(Exception):
    """A command cannot go on. The message is one line with a remedy."""


def load(**flags: str | None) -> Config:
    """Return the configuration. If it is refused, first warn of misspelt names, a likely reason."""
    try:
        return load_config(None, Path(".env"), **flags)
    except ConfigurationError:
        warn_of_unknown_settings()
        raise


def warn_of_unknown_settings() -> None:
    """Warn of unknown names in `.env`: in the log if there is one, else on stderr."""
    for line in unknown_settings():
        if _log.hasHandlers():
            _log.warning(line)
        else:
            say(f"todo-api: {line}")


def token(options: argparse.Namespace) -> None:
    """Print a token of the service's own issuer."""
    from todo_api.auth import TokenIssuer, is_subject  # noqa: PLC0415  # cryptography takes a while to import

    config = load()
    warn_of_unknown_settings()
    if not config.builtin_issuer:
        raise CommandError("JWT_ISSUER is set: tokens come from that issuer, not from this service.")
    if not is_subject(options.user):
        raise CommandError("USER must have 1 to 255 characters, no control characters, no blanks around it.")
    secret = with_secret(config).jwt_secret
    issuer = TokenIssuer(
        secret=secret, issuer=config.issuer, audience=config.own_audience, lifetime=config.jwt_lifetime
    )
    print(issuer.issue(options.user))


def mcp(options: argparse.Namespace) -> None:
    """Serve the tools until stopped."""
    config = load(mcp_url=options.url)
    warn_of_unknown_settings()
    if options.http is not None:
        if config.mcp_token:
            raise CommandError(
                "MCP_TOKEN is for stdio alone: with --http everybody on this machine could use it. Unset it; every"
                " caller sends a token of their own."
            )
        refuse_taken("127.0.0.1", options.http, "--http")
    try:
        from todo_api.mcp import serve  # noqa: PLC0415  # an extra, and slow to import
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is missing. Install it: python -m pip install 'fastmcp>=4.1,<5'") from error
    serve(config.mcp_url, config.mcp_token, options.http)


def settings(options: argparse.Namespace) -> None:
    """Print every setting, and refuse them as a start would."""
    flags = {"host": options.host, "port": options.port, "web_concurrency": options.workers}
    shown = shown_settings(**flags)
    if options.json:
        print(orjson.dumps([setting._asdict() for setting in shown], option=orjson.OPT_INDENT_2).decode())
    else:
        width = max(len(setting.name) for setting in shown)
        for name, text, source in shown:
            print(f"{name:{width}}  {source:11}  {text}".rstrip())
    load(**flags)
    warn_of_unknown_settings()


def publish(options: argparse.Namespace) -> None:
    """Print the contract."""
    if options.format == "yaml":
        print(contract.as_yaml(contract.TASK_API).decode(), end="")
    else:
        print(orjson.dumps(contract.load(contract.TASK_API), option=orjson.OPT_INDENT_2).decode())


def with_secret(config: Config) -> Config:
    """Return the configuration with its secret: the given one, or that of the data folder."""
    if config.jwt_secret or (config.database_url and not config.builtin_issuer):
        return config
    if config.database_url:
        raise ConfigurationError("JWT_SECRET is missing. Make one: openssl rand -base64 48")
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        kept = load_or_create_secret(config.data_dir)
        if config.builtin_issuer:
            return replace(config, jwt_secret=kept)
        return replace(config, cursor_secret=config.cursor_secret or kept)
    except OSError as error:
        raise CommandError(f"DATA_DIR {config.data_dir} cannot be used: {error.strerror}.") from error


def refuse_taken(host: str, port: int, flags: str) -> None:
    """Raise CommandError if the address is in use. `flags` change it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", "a port is 0 to 65535")
            raise CommandError(f"{host}:{port} cannot be used ({why}). Choose another: {flags}.") from error


def say(line: str) -> None:
    """Report progress: in the log if there is one, else on stderr."""
    if _log.hasHandlers():
        _log.info(line)
    else:
        print(line, file=sys.stderr, flush=True)
