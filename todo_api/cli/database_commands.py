"""Commands on the database: `todo-api serve | migrate | backup | restore | new-epochs`."""

import argparse
import asyncio
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import psycopg2
from sqlalchemy.exc import DBAPIError

from todo_api import contract
from todo_api.auth import describe_issuer, external_token_verifier
from todo_api.cli import banner
from todo_api.cli.commands import CommandError, load, refuse_taken, say, warn_of_unknown_settings, with_secret
from todo_api.cli.reload import serve_and_reload
from todo_api.config import Config, ConfigurationError, garbage, has_inherited_socket
from todo_api.database import Database, UrlError, ignore_environment, parameters, reason, spawn
from todo_api.embedded import EmbeddedServer, EmbeddedUnavailable
from todo_api.embedded import backup as backups
from todo_api.errors import Unavailable
from todo_api.observability import logs
from todo_api.provisioning import DatabaseUnfitError, epochs, migrations
from todo_api.throttling import check_counters

T = TypeVar("T")


@contextmanager
def command_errors() -> Iterator[None]:
    """Turn errors of the database into CommandError."""
    try:
        yield
    except (backups.BackupError, EmbeddedUnavailable, migrations.SchemaTooNewError, DatabaseUnfitError) as error:
        raise CommandError(str(error)) from error
    except Unavailable as error:
        if missing := re.search('database "([^"]+)" does not exist', str(error)):
            raise CommandError(
                f"the database {missing[1]} does not exist: CREATE DATABASE {missing[1]}, with an owner, as docs/database.md says."
            ) from error
        raise CommandError(f"the database does not answer ({error}). Check DATABASE_URL.") from error
    except (psycopg2.Error, DBAPIError) as error:
        raise CommandError(
            f"the database refuses: {reason(error)}. Check DATABASE_URL and the rights of its role."
        ) from error


@command_errors()
def serve(options: argparse.Namespace) -> None:
    """Migrate the database, then serve until stopped."""
    config = load(host=options.host, port=options.port, web_concurrency=options.workers)
    if options.reload:
        with database_of(config):  # an embedded database outlives the restarts
            serve_and_reload(options)
        return
    if not has_inherited_socket():
        refuse_taken(config.host, config.port, "--host, --port")
    if config.otel_exporter_otlp_endpoint:
        _need_traces()
    log = logs.configure(config.log_level, config.log_format)
    warn_of_unknown_settings()
    check_counters(config)
    if not config.builtin_issuer:
        external_token_verifier(config)  # checks the settings: a mistake is one line here
        say(describe_issuer(config))
    garbage.postpone()  # until there is an application
    server = import_server()
    from todo_api.http import check_contract  # noqa: PLC0415  # it imports what the server does

    for root in (contract.TASK_API, contract.OPS_API):
        check_contract(root)  # before a database is started
    master = os.getpid()
    try:
        with database_of(config) as (ready, on_tick):
            migrations.migrate(ready.database_url or "", say, role_prefix=ready.database_role_prefix)
            server.Server(ready, log=log, ready=partial(_welcome, config, log), on_tick=on_tick).run()
    except SystemExit as end:
        if not end.code and os.getpid() == master:  # workers are forked in this block, and leave it here too
            say("Stopped.")
        raise


def _welcome(config: Config, log: logs.LogConfig) -> None:
    """Write the service's address to the log, and for people a banner."""
    say(f"Serving {banner.local(config)}/api/v1")
    if config.log_format == "text":
        log.writer.write(banner.banner(banner.address(config)).encode())


def import_server() -> ModuleType:
    """Return `todo_api.server`. gunicorn and Connexion take half a second to import."""
    return import_module("todo_api.server")


def _need_traces() -> None:
    try:
        from todo_api.observability import Traces  # noqa: F401, PLC0415  # imported before workers are forked
    except ModuleNotFoundError as error:
        raise CommandError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and {error.name} is missing. Install the extra: pip install 'todo-api[otel]'"
        ) from error


@command_errors()
def migrate(_: argparse.Namespace) -> None:
    """Migrate the database to this release's schema."""
    config = load()
    warn_of_unknown_settings()
    with database_of(config) as (ready, __):
        migrations.migrate(ready.database_url or "", say, role_prefix=ready.database_role_prefix)
        say(f"The database is at revision {migrations.head()}.")


@command_errors()
def backup(options: argparse.Namespace) -> None:
    """Back up the embedded database to a file."""
    folder = _embedded_folder("back it up with pg_dump")
    if not (folder / "cluster").exists():
        raise CommandError(f"There is no database in DATA_DIR {folder.parent}: nothing to back up.")
    server = EmbeddedServer.start(folder, say)
    try:
        rows = backups.backup(server, options.file, overwrite=options.overwrite, progress=say)
    finally:
        server.stop()
    say(f"{options.file} holds {rows} rows, {options.file.stat().st_size} bytes.")


@command_errors()
def restore(options: argparse.Namespace) -> None:
    """Restore the embedded database from a file."""
    folder = _embedded_folder("restore it with pg_restore")
    backups.check(options.file)
    server = EmbeddedServer.start(folder, say, alone=True)
    try:
        backups.restore(server, options.file, overwrite=options.overwrite, progress=say)
    finally:
        server.stop()
    say(f"{options.file} is restored into {folder}.")


@command_errors()
def new_epochs(_: argparse.Namespace) -> None:
    """Renew every user's epoch, after a restore by other means than `todo-api restore`."""
    with database_of(load()) as (ready, _keep):
        epochs.renew(ready.database_url or "")
    say("Every user has a new epoch; sessions and kept replies are gone.")


def _embedded_folder(alternative: str) -> Path:
    """Return the folder of the embedded database. Name the alternative if there is another one."""
    config = load()
    warn_of_unknown_settings()
    if config.database_url:
        raise CommandError(
            f"DATABASE_URL is set, and this is for the embedded database: {alternative}, as docs/backups.md says."
        )
    return config.data_dir / "postgresql"


@contextmanager
def database_of(config: Config) -> Iterator[tuple[Config, Callable[[], None]]]:
    """Yield the configuration completed by a database and a secret, and a function.

    Called every second, the function restarts an embedded server that has died. The server stops
    with the block.
    """
    config = with_secret(config)
    if config.database_url:
        ignore_environment(keep_secrets=True)
        try:
            timeout = parameters(config.database_url).get("connect_timeout", "2")
        except UrlError as error:
            raise ConfigurationError(str(error)) from error
        if not re.fullmatch("[2-9]|[1-5][0-9]|60", timeout):  # to libpq, 0 and negative numbers are no limit
            raise ConfigurationError("connect_timeout in DATABASE_URL must be a whole number from 2 to 60, of seconds.")
        yield config, lambda: None
        return
    server = EmbeddedServer.start(config.data_dir / "postgresql", say)
    try:
        yield replace(config, database_url=server.url), server.keep_running
    finally:
        server.stop()


@command_errors()
def with_database(function: Callable[[Database], T]) -> T:
    """Return the result of a function of the configured database. It runs as the service's roles.

    A new embedded database is migrated first, since `todo-api demo` may be the first command.
    """
    config = load()
    warn_of_unknown_settings()
    with database_of(config) as (ready, _):
        if not migrations.is_migrated(ready.database_url or ""):
            if config.database_url:
                raise CommandError("the database has no tables yet. Make them: todo-api migrate.")
            migrations.migrate(ready.database_url or "", say, role_prefix=ready.database_role_prefix)
        database = Database(ready.database_url or "", pool_size=1, role_prefix=ready.database_role_prefix)

        def run() -> T:
            try:
                return function(database)
            finally:
                database.close()

        return asyncio.run(spawn(run))
