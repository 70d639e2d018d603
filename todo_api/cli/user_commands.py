"""The commands on users, `todo-api users ...`: list, show, reset, verify, sign out and delete.

Their statements run as the service's two roles, under row-level security.
"""

import argparse
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, NamedTuple

import orjson

from todo_api.accounts import Administration, ShownUser
from todo_api.cli.commands import CommandError, load
from todo_api.cli.database_commands import with_database

LIST_LINE = "{:36}  {:30}  {:20}  {:20}  {}"

Command = Callable[[argparse.Namespace], None]


def administers(command: Callable[[argparse.Namespace, Administration], None]) -> Command:
    """Return the command with the users of the configured database."""

    @wraps(command)
    def run(options: argparse.Namespace) -> None:
        with_database(lambda database: command(options, Administration(database)))

    return run


@administers
def list_users(options: argparse.Namespace, administration: Administration) -> None:
    """Print every user, by id."""
    for number, user in enumerate(administration.list()):
        if options.json:
            print(_json(user))
        else:
            if number == 0:
                print(LIST_LINE.format("ID", "E-MAIL", "VERIFIED", "CREATED", "NAME"))
            told = (user.id, user.email, user.email_verified_at, user.created_at, user.name)
            print(LIST_LINE.format(*map(_text, told)).rstrip())


@administers
def show_user(options: argparse.Namespace, administration: Administration) -> None:
    """Print what there is of a user."""
    user = _found(administration, options.user)
    print(_json(user) if options.json else _shown(user))


@administers
def reset_password(options: argparse.Namespace, administration: Administration) -> None:
    """Print a token for `resetPassword`. The password and the sessions stay until it is used."""
    user = _found(administration, options.user)
    if user.email is None:
        raise CommandError(f"{_text(user.id)} has no password here: there is no account with an e-mail address.")
    token = administration.issue_reset_token(user)
    if token is None:
        raise CommandError("the account has just changed. Run the command once more.")
    page = load().password_reset_url
    link = None if page is None else page.replace("{token}", token)
    print(orjson.dumps({"token": token, "link": link}).decode() if options.json else link or token)


@administers
def verify_email(options: argparse.Namespace, administration: Administration) -> None:
    """Note that a user's e-mail address is verified, by the operator's word."""
    user = _found(administration, options.user)
    if user.email is None:
        raise CommandError(f"{_text(user.id)} has no address here: there is no account with an e-mail address.")
    if not administration.verify_email(user.id, user.email):
        raise CommandError("the account has just changed. Run the command once more.")
    print(orjson.dumps({"verified": user.email}).decode() if options.json else f"Verified {_text(user.email)}.")


@administers
def sign_out(options: argparse.Namespace, administration: Administration) -> None:
    """End a user's sessions. Access tokens last until they expire."""
    ended = administration.sign_out(_found(administration, options.user), revoke_keys=options.revoke_keys)
    if options.json:
        print(_json(ended))
    else:
        sessions, keys = _counted(ended.sessions, "session"), _counted(ended.api_keys, "API key")
        print(f"Ended {sessions}, and revoked {keys}.")


@administers
def delete_user(options: argparse.Namespace, administration: Administration) -> None:
    """Delete a user, if `--yes` says so."""
    user = _found(administration, options.user)
    who = f"{_text(user.id)}, with {_counted(user.tasks, 'task')} and {_counted(user.api_keys, 'API key')}"
    if not options.yes:
        raise CommandError(f"this deletes {who}, for good: add --yes.")
    administration.delete(user)
    print(orjson.dumps({"deleted": user.id}).decode() if options.json else f"Deleted {who}.")


def _found(administration: Administration, name: str) -> ShownUser:
    user = administration.show(name)
    if user is None:
        raise CommandError("there is no such user: give an e-mail address or an id, as `todo-api users list` has them.")
    return user


def _shown(user: ShownUser) -> str:
    return "\n".join(f"{name.replace('_', ' '):17}  {_text(value)}" for name, value in user._asdict().items())


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _json(value: NamedTuple) -> str:
    return orjson.dumps(value._asdict(), option=orjson.OPT_UTC_Z).decode()


def _text(value: Any) -> str:
    """Return a value as people read it. What a terminal would act on is no part of it."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return "-" if value is None else "".join(one if one.isprintable() else "?" for one in str(value))
