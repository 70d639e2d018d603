"""The command line: `todo-api serve | migrate | backup | restore | token | mcp | contract`."""

import argparse
import logging
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import FrameType

import orjson
from sqlalchemy.exc import ArgumentError, DBAPIError

from todo_api import backups, contract, logs, migrating
from todo_api.auth.issuers import description, external_tokens
from todo_api.auth.keys import kept_secret
from todo_api.auth.tokens import TokenIssuer, is_subject
from todo_api.config import Config, ConfigurationError, is_handed_a_socket, load_config
from todo_api.connections import engine_url
from todo_api.embedded import EmbeddedServer, EmbeddedUnavailable
from todo_api.errors import Unavailable

SETTINGS = "Settings come from the environment and from a .env file in the working folder; the README lists them."


_log = logging.getLogger(__name__)


class CommandError(Exception):
    """What stops a command: one line, with the way out."""


def main(arguments: list[str] | None = None) -> int:
    """Runs a command. 0 where all went well, 1 with one line on stderr where not, 2 for a wrong command line."""
    options = _parser().parse_args(arguments)
    try:
        with _stoppable():
            options.run(options)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (
        CommandError,
        backups.BackupError,
        ConfigurationError,
        EmbeddedUnavailable,
        migrating.SchemaTooNewError,
    ) as error:
        print(f"todo-api: {error}", file=sys.stderr)
        return 1
    except Unavailable as error:
        print(f"todo-api: the database does not answer ({error}). Check DATABASE_URL.", file=sys.stderr)
        return 1
    except DBAPIError as error:
        why = str(error.orig).strip().splitlines()[0]
        print(f"todo-api: the database refuses: {why}. Check DATABASE_URL and the rights of its role.", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="todo-api", description="A multi-user task API.", epilog=SETTINGS)
    parser.add_argument("--version", action="version", version=f"todo-api {version('todo-api')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="migrate the database, then serve", epilog=SETTINGS)
    serve.add_argument("--host", help="address to listen on (HOST, default 127.0.0.1)")
    serve.add_argument("--port", help="port to listen on (PORT, default 8000)")
    serve.add_argument("--workers", help="worker processes (WEB_CONCURRENCY, default one a core)")
    serve.set_defaults(run=_serve)

    migrate = commands.add_parser("migrate", help="bring the database to this release's schema", epilog=SETTINGS)
    migrate.set_defaults(run=_migrate)

    backup = commands.add_parser("backup", help="write the embedded database to a file", epilog=SETTINGS)
    backup.add_argument("--overwrite", action="store_true", help="replace FILE where it exists")
    backup.set_defaults(run=_backup)
    restore = commands.add_parser("restore", help="put a backup into the embedded database", epilog=SETTINGS)
    restore.add_argument("--overwrite", action="store_true", help="replace the data that the database holds")
    restore.set_defaults(run=_restore)
    for command in (backup, restore):
        command.add_argument("file", metavar="FILE", type=Path, help="the backup")

    token = commands.add_parser("token", help="print a token for trying things out (own issuer only)", epilog=SETTINGS)
    token.add_argument("user", metavar="USER", help="the user's id, any string")
    token.set_defaults(run=_token)

    mcp = commands.add_parser("mcp", help="serve the task operations as tools for agents (MCP)", epilog=SETTINGS)
    mcp.add_argument("--url", help="address of the service (MCP_URL, default http://localhost:8000)")
    mcp.add_argument(
        "--http", metavar="PORT", type=int, help="streamable HTTP on this port of 127.0.0.1, instead of stdio"
    )
    mcp.set_defaults(run=_mcp)

    published = commands.add_parser("contract", help="print the OpenAPI contract")
    published.add_argument("--format", choices=("yaml", "json"), default="yaml", help="default: yaml, as written")
    published.set_defaults(run=_contract)
    return parser


def _serve(options: argparse.Namespace) -> None:
    config = load_config(host=options.host, port=options.port, web_concurrency=options.workers)
    if not is_handed_a_socket():
        _refuse_taken(config.host, config.port, "--host, --port")
    if config.otel_exporter_otlp_endpoint:
        _need_traces()
    log = logs.configure(config.log_level, config.log_format)
    if not config.own_accounts:
        external_tokens(config)  # for what it refuses: here it is told in one line
        _say(description(config))
    with _database(config) as (ready, keep):
        migrating.migrate(ready.database_url or "", _say)
        from todo_api.server import serve  # noqa: PLC0415  # gunicorn and Connexion take a second to import

        address = f"http://{'localhost' if config.host in ('127.0.0.1', '::1') else config.host}:{config.port}"
        serving = f"Serving {address}/api/v1 - documentation at {address}/api/v1/ui/"
        serve(ready, log, lambda: _say(serving), keep)


def _need_traces() -> None:
    try:
        import_module("todo_api.traces")  # by the master, so that what it imports is there once for all workers
    except ModuleNotFoundError as error:
        raise CommandError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and {error.name} is missing. Install the extra: pip install 'todo-api[otel]'"
        ) from error


def _migrate(_: argparse.Namespace) -> None:
    with _database(load_config()) as (ready, __):
        migrating.migrate(ready.database_url or "", _say)
        _say(f"The database is at revision {migrating.head()}.")


def _backup(options: argparse.Namespace) -> None:
    folder = _embedded_folder("back it up with pg_dump")
    if not (folder / "cluster").exists():
        raise CommandError(f"There is no database in DATA_DIR {folder.parent}: nothing to back up.")
    server = EmbeddedServer.start(folder, _say)
    try:
        rows = backups.backup(server, options.file, overwrite=options.overwrite, progress=_say)
    finally:
        server.stop()
    _say(f"{options.file} holds {rows} rows, {options.file.stat().st_size} bytes.")


def _restore(options: argparse.Namespace) -> None:
    folder = _embedded_folder("restore it with pg_restore")
    backups.check(options.file)
    server = EmbeddedServer.start(folder, _say, alone=True)
    try:
        backups.restore(server, options.file, overwrite=options.overwrite, progress=_say)
    finally:
        server.stop()
    _say(f"{options.file} is restored into {folder}.")


def _embedded_folder(way: str) -> Path:
    config = load_config()
    if config.database_url:
        raise CommandError(f"DATABASE_URL is set, and this is for the embedded database: {way}, as the README says.")
    return config.data_dir / "postgresql"


def _token(options: argparse.Namespace) -> None:
    config = load_config()
    if not config.own_accounts:
        raise CommandError("JWT_ISSUER is set: tokens come from that issuer, not from this service.")
    if not is_subject(options.user):
        raise CommandError("USER must have 1 to 255 characters, no control characters, no blanks around it.")
    secret = _with_secret(config).jwt_secret
    issuer = TokenIssuer(
        secret=secret, issuer=config.issuer, audience=config.own_audience, lifetime=config.jwt_lifetime
    )
    print(issuer.issue(options.user))


def _mcp(options: argparse.Namespace) -> None:
    config = load_config(mcp_url=options.url)
    if options.http is not None:
        _refuse_taken("127.0.0.1", options.http, "--http")
    try:
        from todo_api.mcp import serve  # noqa: PLC0415  # an extra, and slow to import
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is missing. Install the extra: pip install 'todo-api[mcp]'") from error
    serve(config.mcp_url, config.mcp_token, options.http)


def _contract(options: argparse.Namespace) -> None:
    if options.format == "yaml":
        print(contract.TASK_API.read_text(encoding="utf-8"), end="")
    else:
        print(orjson.dumps(contract.load(contract.TASK_API), option=orjson.OPT_INDENT_2).decode())


def _with_secret(config: Config) -> Config:
    """The configuration with the secret it needs: the one given, or, where the database is embedded, the one kept in the data folder."""
    if config.jwt_secret or (config.database_url and not config.own_accounts):
        return config
    if config.database_url:
        raise ConfigurationError("JWT_SECRET is missing. Make one: openssl rand -base64 48")
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        kept = kept_secret(config.data_dir)
        if config.own_accounts:
            return replace(config, jwt_secret=kept)
        return replace(config, cursor_secret=config.cursor_secret or kept)
    except OSError as error:
        raise CommandError(f"DATA_DIR {config.data_dir} cannot be used: {error.strerror}.") from error


@contextmanager
def _database(config: Config) -> Iterator[tuple[Config, Callable[[], None]]]:
    """The configuration with a database that answers and a secret, and what keeps that database running.

    An embedded server stops with the block.
    """
    config = _with_secret(config)
    if config.database_url:
        try:
            given = engine_url(config.database_url).query.get("connect_timeout", "2")
        except (ArgumentError, ValueError) as error:
            raise ConfigurationError("DATABASE_URL is not a URL: postgresql://user:password@host:port/name") from error
        if not re.fullmatch("[2-9]|[1-5][0-9]|60", str(given)):  # to libpq, 0 and negative numbers are no limit
            raise ConfigurationError("connect_timeout in DATABASE_URL must be a whole number from 2 to 60, of seconds.")
        yield config, lambda: None
        return
    server = EmbeddedServer.start(config.data_dir / "postgresql", _say)
    try:
        yield replace(config, database_url=server.url), server.keep
    finally:
        server.stop()


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turns SIGTERM into SystemExit, so that what was started is stopped; gunicorn sets its own handlers later."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse_taken(host: str, port: int, flags: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", "a port is 0 to 65535")
            raise CommandError(f"{host}:{port} cannot be used ({why}). Choose another: {flags}.") from error


def _say(line: str) -> None:
    """Tells how it goes: in the log where there is one, and as it is where not."""
    if _log.hasHandlers():
        _log.info(line)
    else:
        print(line, file=sys.stderr, flush=True)
