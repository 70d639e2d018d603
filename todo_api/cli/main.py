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
    """A parser of a command, which `run` runs, or of several. It names the nearest command."""

    def __init__(
        self, run: Callable[[argparse.Namespace], None] | None = None, epilog: str | None = SETTINGS, **options: Any
    ) -> None:
        super().__init__(epilog=epilog, **options)
        self.set_defaults(parser=self, run=run)

    def error(self, message: str) -> NoReturn:
        """Print the usage of the command and what is wrong, and exit with 2."""
        if found := re.match(r"argument COMMAND: invalid choice: '([^']*)' \(choose from (.*)\)", message):
            near = difflib.get_close_matches(found[1], re.findall(r"[\w-]+", found[2]), n=1)
            message = f"there is no command {found[1]}{f'; did you mean {near[0]}?' if near else '.'}"
        super().error(message)


def _parser() -> Parser:
    parser = Parser(prog="todo-api", description="A multi-user task API.")
    parser.add_argument("--version", action="version", version=f"todo-api {version('todo-api')}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    serve = subparsers.add_parser("serve", run=_on_database("serve"), help="migrate the database, then serve")
    _add_flags_of_settings(serve)
    serve.add_argument("--reload", action="store_true", help="restart when the code or the contract changes")

    subparsers.add_parser("migrate", run=_on_database("migrate"), help="bring the database to this release's schema")

    backup = subparsers.add_parser("backup", run=_on_database("backup"), help="write the embedded database to a file")
    backup.add_argument("--overwrite", action="store_true", help="replace FILE where it exists")
    restore = subparsers.add_parser(
        "restore", run=_on_database("restore"), help="put a backup into the embedded database"
    )
    restore.add_argument("--overwrite", action="store_true", help="replace the data that the database holds")
    for command in (backup, restore):
        command.add_argument("file", metavar="FILE", type=Path, help="the backup")
    renew = "make the database new to clients, after a pg_restore"
    subparsers.add_parser("new-epochs", run=_on_database("new_epochs"), help=renew)

    _add_users(subparsers)

    made = "make an account with forty tasks and an API key"
    demo = subparsers.add_parser("demo", run=_on_database("demo", "demo"), help=made)
    demo.add_argument("--email", default="demo@example.com", help="its e-mail address (default demo@example.com)")

    settings = subparsers.add_parser(
        "settings", run=commands.settings, help="list the settings, and where each comes from"
    )
    _add_flags_of_settings(settings)
    settings.add_argument("--json", action="store_true", help="print JSON, for programs")

    _add_small(subparsers)
    return parser


def _add_flags_of_settings(command: Parser) -> None:
    command.add_argument("--host", help="address to listen on (HOST, default 127.0.0.1)")
    command.add_argument("--port", help="port to listen on (PORT, default 8000)")
    command.add_argument("--workers", help="worker processes (WEB_CONCURRENCY, default one a core)")


def _add_small(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    tried = "print a token for trying things out (own issuer only)"
    token = subparsers.add_parser("token", run=commands.token, help=tried)
    token.add_argument("user", metavar="USER", help="the user's id, any string")

    mcp = subparsers.add_parser("mcp", run=commands.mcp, help="serve the task operations as tools for agents (MCP)")
    mcp.add_argument("--url", help="address of the service (MCP_URL, default http://localhost:8000)")
    mcp.add_argument(
        "--http", metavar="PORT", type=int, help="streamable HTTP on this port of 127.0.0.1, instead of stdio"
    )

    published = subparsers.add_parser("contract", run=commands.publish, help="print the OpenAPI contract", epilog=None)
    published.add_argument("--format", choices=("yaml", "json"), default="yaml", help="default: yaml")


def _add_users(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    users = subparsers.add_parser("users", help="list, show, help back in, sign out and delete users")
    commands = users.add_subparsers(metavar="COMMAND", required=True)
    for name, function, told in (
        ("list", "list_users", "every user, one a line"),
        ("show", "show_user", "one user, and how much is theirs"),
        ("reset-password", "reset_password", "print a token that sets a new password, once and within an hour"),
        ("verify", "verify_email", "note that a user's e-mail address is verified"),
        ("sign-out", "sign_out", "end every session of a user"),
        ("delete", "delete_user", "delete a user and everything that is theirs"),
    ):
        command = commands.add_parser(name, run=_on_database(function, "user_commands"), help=told)
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
