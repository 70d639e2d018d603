"""`todo-api demo`: an account to look around with. It has tasks of every kind, and an API key."""

import argparse
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from todo_api import contract
from todo_api.accounts import Administration, Passwords, register
from todo_api.api_keys import KeyService
from todo_api.cli.banner import address
from todo_api.cli.commands import CommandError, load
from todo_api.cli.database_commands import with_database
from todo_api.database import Database
from todo_api.errors import EmailTaken
from todo_api.guards import SYSTEM
from todo_api.projects import ProjectService
from todo_api.task_labels import by_key
from todo_api.tasks import TaskService

TASKS: tuple[tuple[str, str | None, str], ...] = (
    ("Buy oat milk", None, "pending"),
    ("Pay the rent", "Due on the first. The landlord has a new account:\nDE00 1234 5678 9012 3456 00", "pending"),
    ("Call the dentist", None, "pending"),
    ("Water the plants", "The fern twice a week, the cactus once a month.", "pending"),
    ("Reply to Grace about Saturday", None, "pending"),
    ("Renew the passport", "Two photos, the old passport, and an hour of patience.", "pending"),
    ("Mend the bicycle", "- new inner tube\n- brake pads\n- oil the chain", "in_progress"),
    ("Write the quarterly report", "Figures are in the shared folder. Ask Alan for the last table.", "in_progress"),
    ("Learn the second movement", "Slowly. With the metronome.", "in_progress"),
    ('Read "The Art of Computer Programming"', "Volume 1, up to page 120.", "in_progress"),
    ("Plan the summer holiday", None, "in_progress"),
    ("Sort the photographs of 2019", "4,312 of them.", "in_progress"),
    ("Einkaufen: Äpfel, Brötchen, Käse", None, "pending"),
    ("Répondre à l'invitation de Zoë", None, "pending"),
    ("買い物リストを作る", "牛乳、卵、豆腐", "pending"),
    ("Позвонить бабушке", None, "pending"),
    ("تجديد رخصة القيادة", None, "pending"),
    ("לקנות מתנה ליום ההולדת", None, "pending"),
    ("Order a cake 🎂 for Thursday 🎉", "Chocolate. No nuts: Linus is allergic.", "pending"),
    ("10 % off until Sunday: look at winter tyres", None, "pending"),
    ("Search for the_key under C:\\temp\\*", "Wildcards and backslashes are ordinary characters here.", "pending"),
    ("<b>Not bold</b> & not markup", "A title is text, whatever it looks like.", "pending"),
    ("a" * 120 + " is a long word", None, "pending"),
    (" ".join(["Read", "every", "line", "of", "the", "contract", "twice,"] * 5), None, "pending"),
    ("Sketch the new kitchen", "\n\n".join(f"{n}. Measure wall {n}, twice." for n in range(1, 41)), "pending"),
    ("Back up the laptop", None, "completed"),
    ("Send the invoice to Babbage & Co.", None, "completed"),
    ("Return the library books", "Three of them, one was overdue.", "completed"),
    ("Change the light bulb in the hall", None, "completed"),
    ("Book the train to Vienna", "Seat 42, quiet coach.", "completed"),
    ("Thank Ada for the algorithm", None, "completed"),
    ("Descale the coffee machine", None, "completed"),
    ("Vote", None, "completed"),
    ("Register for the marathon", None, "completed"),
    ("Run the marathon", "Next year, perhaps.", "cancelled"),
    ("Build a shed", "The neighbours lend theirs.", "cancelled"),
    ("Buy a second bicycle", None, "cancelled"),
    ("Watch the eclipse", "Clouds.", "cancelled"),
    ("Learn Esperanto", None, "cancelled"),
    ("Delete this account when you are done", "todo-api users delete", "pending"),
)
"""Title, description and status of each, the newest last."""

MORE: dict[str, dict[str, Any]] = {
    "Pay the rent": {"priority": "urgent", "labels": by_key(["money"])},
    "Renew the passport": {
        "labels": by_key(["errand"]),
        "priority": "high",
        "links": [{"url": "https://passport.example/renew", "title": "Form"}],
    },
    "Mend the bicycle": {
        "labels": by_key(["bicycle", "Home"]),
        "priority": "medium",
        "links": [{"url": "https://bicycles.example/brakes", "title": None}],
    },
    "Write the quarterly report": {"priority": "high"},
    "Water the plants": {"priority": "low", "labels": by_key(["home"])},
}
"""Further members of some of these tasks, by title."""

WHEN: dict[str, tuple[str, int, str | None, str | None]] = {
    "Pay the rent": ("due", 3, None, None),
    "Call the dentist": ("due", 0, "09:30", None),
    "Reply to Grace about Saturday": ("due", -2, None, None),
    "Order a cake 🎂 for Thursday 🎉": ("due", 5, "16:00", "Europe/Vienna"),
    "Plan the summer holiday": ("start", 14, None, None),
    "Renew the passport": ("start", 1, "08:00", "America/New_York"),
}
"""When some are due or can be started: days from today, and perhaps a time and its zone."""

PROJECTS: dict[tuple[str, str | None], tuple[str, ...]] = {
    ("Home", "#2f6f4e"): ("Water the plants", "Sketch the new kitchen", "Change the light bulb in the hall"),
    ("Work", "#1f4e79"): ("Write the quarterly report", "Send the invoice to Babbage & Co.", "Back up the laptop"),
    ("Vienna", None): ("Plan the summer holiday", "Book the train to Vienna", "Order a cake 🎂 for Thursday 🎉"),
}
"""Name and colour of each project, and the titles of its tasks. The others are in the inbox."""

PARENTS = {"Book the train to Vienna": "Plan the summer holiday"}
"""Titles of subtasks, with that of the task above."""


def demo(options: argparse.Namespace) -> None:
    """Make the account, and print how to sign in."""
    config = load()
    if not config.builtin_issuer:
        raise CommandError(
            "JWT_ISSUER is set: accounts are that issuer's. Sign in there, and create tasks with its token."
        )
    email = contract.load(contract.TASK_API)["components"]["schemas"]["Email"]
    if not re.fullmatch(email["pattern"], options.email) or len(options.email) > email["maxLength"]:
        raise CommandError("--email must be an e-mail address.")
    password = secrets.token_urlsafe(12)
    try:
        key = with_database(lambda database: _fill(database, options.email, password))
    except EmailTaken as error:
        raise CommandError(
            "the address has an account. Delete it (todo-api users delete ADDRESS --yes), or name another: --email."
        ) from error
    at = address(config)
    print(
        f"{options.email} has {len(TASKS)} tasks.\n\n"
        f"  Sign in   {options.email}, password {password}, at {at}/api/v1/ui/\n"
        f"  API key   {key}\n"
        f"  Try it    curl -H 'Authorization: Bearer {key}' '{at}/api/v1/me/tasks?limit=5'"
    )


def _fill(database: Database, email: str, password: str) -> str:
    """Make the account with its tasks, and return its API key."""
    user = register(database, Passwords(), email, password, "Demo").id
    Administration(database).verify_email(user, email.lower())
    tasks, projects = TaskService(database, user, SYSTEM), ProjectService(database, user, SYSTEM)
    project_of: dict[str, str] = {}
    for (name, color), titles in PROJECTS.items():
        project = projects.create(None, name=name, description=None, color=color)
        project_of |= dict.fromkeys(titles, project.id)
    ids: dict[str | None, str] = {}
    today = datetime.now(UTC).date()
    for title, description, status in TASKS:
        members = {"title": title, "description": description, "status": status, **MORE.get(title, {})}
        members |= {"project_id": project_of.get(title), "parent_id": ids.get(PARENTS.get(title))}
        if title in WHEN:
            member, days, time, zone = WHEN[title]
            members[member] = {"date": str(today + timedelta(days)), "time": time, "time_zone": zone}
        ids[title] = tasks.create(members).id
    _, key = KeyService(database, user, SYSTEM).create("Demo", ["tasks:read", "tasks:write"], None)
    return key
