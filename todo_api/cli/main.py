"""The command line, `todo-api COMMAND`."""

import argparse
import difflib
import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from todo_api.cli import commands
from todo_api.config import ConfigurationError, garbage
from todo_api.contract import ContractError

STANDARD_OUTPUT = 1

SETTINGS = (
    "Settings come from the environment and from a .env file in the working folder; docs/configuration.md lists them."
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Return 0 on success, 1 on an error (one line on stderr), 2 on wrong usage."""
    _open_standard_streams()
    try:
        try:
            return _run(arguments)
        finally:
            print(end="", flush=True)
    except BrokenPipeError:
        _leave_output()  # whoever read it has left, as `head` does
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _leave_output()
        print(f"todo-api: the output cannot be written: {error.strerror}.", file=sys.stderr)
        return 1


def _run(arguments: list[str] | None) -> int:
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        with _stoppable():
            options.run(options)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (commands.CommandError, ConfigurationError, ContractError) as error:
        print(f"todo-api: {error}", file=sys.stderr)
        return 1
    return 0


class Parser(argparse.ArgumentParser):
    """A parser that is known to the options of its command, and names the nearest command."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.set_defaults(parser=self)

    def error(self, message: str) -> NoReturn:
        """Print the usage of the command and what is wrong, and exit with 2."""
        if found := re.match(r"argument COMMAND: invalid choice: '([^']*)' \(choose from (.*)\)", message):
            near = difflib.get_close_matches(found[1], re.findall(r"[\w-]+", found[2]), n=1)
            message = f"there is no command {found[1]}{f'; did you mean {near[0]}?' if near else '.'}"
        super().error(message)


def _parser() -> Parser:
    parser = Parser(prog="todo-api", description="A multi-user task API.", epilog=SETTINGS)
    parser.add_argument("--version", action="version", version=f"todo-api {version('todo-api')}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    serve = subparsers.add_parser("serve", help="migrate the database, then serve", epilog=SETTINGS)
    _add_flags_of_settings(serve)
    serve.add_argument("--reload", action="store_true", help="restart when the code or the contract changes")
    serve.set_defaults(run=_on_database("serve"))

    migrate = subparsers.add_parser("migrate", help="bring the database to this release's schema", epilog=SETTINGS)
    migrate.set_defaults(run=_on_database("migrate"))

    backup = subparsers.add_parser("backup", help="write the embedded database to a file", epilog=SETTINGS)
    backup.add_argument("--overwrite", action="store_true", help="replace FILE where it exists")
    backup.set_defaults(run=_on_database("backup"))
    restore = subparsers.add_parser("restore", help="put a backup into the embedded database", epilog=SETTINGS)
    restore.add_argument("--overwrite", action="store_true", help="replace the data that the database holds")
    restore.set_defaults(run=_on_database("restore"))
    renew = subparsers.add_parser(
        "new-epochs", help="make the database new to clients, after a pg_restore", epilog=SETTINGS
    )
    renew.set_defaults(run=_on_database("new_epochs"))
    for command in (backup, restore):
        command.add_argument("file", metavar="FILE", type=Path, help="the backup")

    _add_users(subparsers)

    demo = subparsers.add_parser("demo", help="make an account with forty tasks and an API key", epilog=SETTINGS)
    demo.add_argument("--email", default="demo@example.com", help="its e-mail address (default demo@example.com)")
    demo.set_defaults(run=_on_database("demo", "demo"))

    settings = subparsers.add_parser("settings", help="list the settings, and where each comes from", epilog=SETTINGS)
    _add_flags_of_settings(settings)
    settings.add_argument("--json", action="store_true", help="print JSON, for programs")
    settings.set_defaults(run=commands.settings)

    _add_small(subparsers)
    return parser


def _add_flags_of_settings(command: Parser) -> None:
    command.add_argument("--host", help="address to listen on (HOST, default 127.0.0.1)")
    command.add_argument("--port", help="port to listen on (PORT, default 8000)")
    command.add_argument("--workers", help="worker processes (WEB_CONCURRENCY, default one a core)")


def _add_small(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    token = subparsers.add_parser(
        "token", help="print a token for trying things out (own issuer only)", epilog=SETTINGS
    )
    token.add_argument("user", metavar="USER", help="the user's id, any string")
    token.set_defaults(run=commands.token)

    mcp = subparsers.add_parser("mcp", help="serve the task operations as tools for agents (MCP)", epilog=SETTINGS)
    mcp.add_argument("--url", help="address of the service (MCP_URL, default http://localhost:8000)")
    mcp.add_argument(
        "--http", metavar="PORT", type=int, help="streamable HTTP on this port of 127.0.0.1, instead of stdio"
    )
    mcp.set_defaults(run=commands.mcp)

    published = subparsers.add_parser("contract", help="print the OpenAPI contract")
    published.add_argument("--format", choices=("yaml", "json"), default="yaml", help="default: yaml")
    published.set_defaults(run=commands.publish)


def _add_users(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    users = subparsers.add_parser("users", help="list, show, help back in, sign out and delete users", epilog=SETTINGS)
    commands = users.add_subparsers(metavar="COMMAND", required=True)
    for name, run, told in (
        ("list", "list_users", "every user, one a line"),
        ("show", "show_user", "one user, and how much is theirs"),
        ("reset-password", "reset_password", "print a token that sets a new password, once and within an hour"),
        ("verify", "verify_email", "note that a user's e-mail address is verified"),
        ("sign-out", "sign_out", "end every session of a user"),
        ("delete", "delete_user", "delete a user and everything that is theirs"),
    ):
        command = commands.add_parser(name, help=told, epilog=SETTINGS)
        command.set_defaults(run=_on_database(run, "user_commands"))
        command.add_argument("--json", action="store_true", help="print JSON, for programs")
        if name != "list":
            command.add_argument("user", metavar="USER", help="the user's e-mail address or id")
        if name == "sign-out":
            command.add_argument("--revoke-keys", action="store_true", help="revoke every API key of the user as well")
        if name == "delete":
            command.add_argument("--yes", action="store_true", help="delete, and do not only say what would be deleted")


def _on_database(command: str, module: str = "database_commands") -> Callable[[argparse.Namespace], None]:
    """Return a database command, imported when it runs: SQLAlchemy imports slowly."""

    def run(options: argparse.Namespace) -> None:
        garbage.postpone()
        commands = import_module(f"todo_api.cli.{module}")

        garbage.resume()
        getattr(commands, command)(options)

    return run


def _open_standard_streams() -> None:
    """Open what the caller has closed: a file or connection of ours would become the log."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free number


def _leave_output() -> None:
    """Drop what is not written yet. Python would try once more at its end, and print a trace."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), STANDARD_OUTPUT)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so cleanups run. gunicorn sets its own handlers later."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
