"""Lists with the filters and sorts of 1.2, of a user with few tasks and one with many, asked in turn."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from closed_loop import HOME
from figures import User
from prepare import databases, execute, unwalled
from servers import running

FEW = 100
LIMIT = 10
WARMUP = 5
PROJECTS = {"reader-few": 5, "reader-many": 500}

SORTS = (
    "position",
    *(sign + name for name in ("created_at", "updated_at", "title", "priority", "due") for sign in ("", "-")),
)
FILTERS = (
    *("status=pending", "completed=false", "priority=high", "updated_since=2026-01-01T00:00:00Z"),
    *("due=overdue", "due=today", "due=tomorrow", "due=week", "due=any", "due=none", "due_from=2026-01-01"),
    *("startable=true", "startable=false", "project_id=none", "project_id={project}", "q=task"),
    *("label=common", "label=label%201", "label=common,label%201", "parent_id=none", "parent_id={parent}"),
)
WHOLE = ("labels", "projects")

# Deadlines are within eight days before and after now, a quarter of the tasks has none.
DATES = """
UPDATE tasks SET priority = version % 5,
    due_date = (at AT TIME ZONE 'UTC')::date, due_time = date_trunc('minute', at AT TIME ZONE 'UTC')::time, due_zone = 'Etc/UTC',
    due_at = date_trunc('minute', at),
    start_date = CASE WHEN version % 3 = 0 THEN (at AT TIME ZONE 'UTC')::date END,
    start_at = CASE WHEN version % 3 = 0 THEN date_trunc('day', at, 'UTC') END,
    project_id = CASE WHEN version % 2 = 1
        THEN md5(user_id || ':' || version / 2 % CASE user_id WHEN 'reader-few' THEN 5 ELSE 500 END)::uuid END
FROM (SELECT user_id AS owner, id AS task, now() + (version * 7 % 100 - 50) * interval '4 hours' AS at FROM tasks) made
WHERE owner = user_id AND task = id AND user_id LIKE 'reader-%'
"""
NO_DATES = """
UPDATE tasks SET due_date = NULL, due_time = NULL, due_zone = NULL, due_at = NULL
WHERE version % 4 = 0 AND user_id LIKE 'reader-%'
"""
# A fifth of the tasks is below another, twenty below each. Half have the label that is common, half one of the others.
CHILDREN = """
UPDATE tasks SET parent_id = parent.id, project_id = parent.project_id FROM tasks parent
WHERE parent.user_id = tasks.user_id AND parent.version = tasks.version / 100 * 100 + 1
    AND tasks.version % 100 BETWEEN 2 AND 21 AND tasks.user_id LIKE 'reader-%'
"""
PARENTS = "UPDATE tasks SET children = 20 WHERE version % 100 = 1 AND user_id LIKE 'reader-%'"
MAKE_LABELS = """
INSERT INTO task_labels SELECT user_id, id, lower(label), label, version FROM tasks, unnest(ARRAY[
    CASE WHEN version / 2 % 2 = 0 THEN 'Common' END,
    CASE WHEN version % 2 = 1 THEN 'Label ' || 1 + version / 2 % CASE user_id WHEN 'reader-few' THEN 4 ELSE 499 END END]) label
WHERE label IS NOT NULL AND user_id LIKE 'reader-%'
"""
LABELS = """
UPDATE tasks SET labels = listed FROM (
    SELECT user_id AS owner, task_id, json_agg(name ORDER BY label_key)::text AS listed FROM task_labels GROUP BY 1, 2) made
WHERE owner = user_id AND task_id = id
"""
MAKE_PROJECTS = """
INSERT INTO projects SELECT owner, md5(owner || ':' || n)::uuid, 'Project ' || n, NULL, NULL,
    'm' || lpad(to_hex(n), 13, '0'), now(), now(), 1
FROM unnest(%(names)s::text[], %(counts)s::int[]) AS wanted(owner, count), generate_series(0, count - 1) n
"""
SCANS = (
    "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN ('tasks', 'projects', 'task_labels') ORDER BY 1"
)


@contextmanager
def two_users(options: Namespace, url: str) -> Iterator[str]:
    """The URL of a database with a user who has few tasks and one who has many, among others."""
    counts = {"reader-few": FEW, "reader-many": options.many}
    counts |= {f"other-{one:04}": 1000 for one in range(max(options.rows - options.many, 0) // 1000)}
    with databases(url, ["ours"], counts) as data:
        ours = data.urls["ours"]
        with unwalled(ours):
            for table in ("projects", "task_labels"):
                execute(ours, f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            execute(ours, MAKE_PROJECTS, names=list(PROJECTS), counts=list(PROJECTS.values()))
            for statement in (DATES, NO_DATES, CHILDREN, PARENTS, MAKE_LABELS, LABELS):
                execute(ours, statement)
            for table in ("projects", "task_labels"):
                execute(ours, f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        execute(ours, "VACUUM (FULL, ANALYZE) tasks")
        execute(ours, "VACUUM (ANALYZE)")
        yield ours


def lists(options: Namespace, url: str) -> dict[str, Any]:
    """Median latency of the first page and of one from the middle, by each sort and with each filter."""
    with two_users(options, url) as ours:
        before = dict(execute(ours, SCANS))
        with running("ours", ours, 1) as server:
            users = {name: User(server, name) for name in PROJECTS}
            told = {name: _whole(users, name, options.repeats) for name in WHOLE}
            told |= {query: _compared(users, query, options.repeats) for query in _queries()}
        scans = {name: scanned - before[name] for name, scanned in execute(ours, SCANS)}
    return {"few": FEW, "many": options.many, "lists": told, "scans": scans}


def _queries() -> list[str]:
    return [f"sort={sort}" for sort in SORTS] + list(FILTERS) + [f"{one}&sort=due" for one in FILTERS]


def _whole(users: dict[str, User], name: str, repeats: int) -> dict[str, float]:
    """Milliseconds of the whole list of labels or projects of both users, and how many the one with many has."""
    path, ms = HOME.replace("tasks", name), {user: [] for user in users}
    for number in range(WARMUP + repeats):
        for user in sorted(users, reverse=bool(number % 2)):
            spent, reply = users[user].ask("GET", path)
            if number >= WARMUP:
                ms[user].append(spent)
    few, many = (median(spent) for spent in ms.values())
    print(f"{name:40} first few {few:.1f} first many {many:.1f}", flush=True)
    return {"first few": few, "first many": many, "total": len(reply["items"])}


def _compared(users: dict[str, User], query: str, repeats: int) -> dict[str, float]:
    """Milliseconds of the first page and the deep one of both users, and how many tasks the list of many has."""
    asked = {}
    for name, user in users.items():
        project = user.ask("GET", "/api/v1/me/projects")[1]["items"][0]["id"]
        parent = user.ask("GET", f"{HOME}?limit=1&sort=position")[1]["items"][0]["id"]
        first = f"{HOME}?limit={LIMIT}&{query}".replace("{project}", project).replace("{parent}", parent)
        page = user.ask("GET", first)[1]
        deep, left = first, page["total"] // 2
        while left > LIMIT and page["next_cursor"]:
            step = min(1000, left)
            page = user.ask("GET", f"{first.replace(f'limit={LIMIT}', f'limit={step}')}&cursor={page['next_cursor']}")[
                1
            ]
            left -= len(page["items"])
            if page["next_cursor"]:
                deep = f"{first}&cursor={page['next_cursor']}"
        asked[name] = {"first": first, "deep": deep, "total": page["total"]}
    ms: dict[str, list[float]] = {}
    for number in range(WARMUP + repeats):
        for name in sorted(users, reverse=bool(number % 2)):
            for place in ("first", "deep"):
                spent = users[name].ask("GET", asked[name][place])[0]
                if number >= WARMUP:
                    ms.setdefault(f"{place} {name.removeprefix('reader-')}", []).append(spent)
    told = {name: median(spent) for name, spent in ms.items()} | {"total": asked["reader-many"]["total"]}
    ratios = [told[f"{place} many"] / told[f"{place} few"] for place in ("first", "deep")]
    print(
        f"{query:40} " + " ".join(f"{key} {value:.1f}" for key, value in told.items()),
        [f"{r:.2f}" for r in ratios],
        flush=True,
    )
    return told
