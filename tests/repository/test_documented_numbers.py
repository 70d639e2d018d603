"""Each number on the pages about limits is the code's, or stands in a list with the reason why it has none there."""

import re
import tomllib

import pytest

from tests.support.pages import BLOCK, ROOT, read, section
from todo_api import contract
from todo_api.accounts import handlers as accounts
from todo_api.accounts import passwords
from todo_api.auth import jwks_cache, jwks_client, public_keys, tokens
from todo_api.batch import service as batch_service
from todo_api.changes import waits
from todo_api.config import Config
from todo_api.database import LONG, connection, database, purging
from todo_api.database.statement import FEW
from todo_api.http import body, compression
from todo_api.idempotency import statements as replies
from todo_api.lists import pages
from todo_api.models import MOST_AT_ONCE, MOST_KEYS, REPLIES_KEPT, TOMBSTONES_KEPT
from todo_api.observability import logs, tracing
from todo_api.operations import readiness
from todo_api.provisioning import checks, epochs, migrations, online
from todo_api.server import limits, worker
from todo_api.tasks import handlers, list_statements
from todo_api.throttling import attempts, counters, login_throttle, rate_limit, redis
from todo_api.trash import service as trash_service
from todo_api.undo import reversion

DEFAULTS = Config()
WORDS = {1: "one", 2: "two", 5: "five", 8: "eight", 10: "ten", 1000: "thousand"}
WORDS_OF_HOURS, WORDS_OF_MINUTES = {1: "an hour"}, {"1min": "a minute"}
KIB, MIB = 1024, 1024 * 1024
LOCK = online.LIMITS["lock_timeout"].removesuffix("ms")
BATCH = contract.load(contract.TASK_API)["paths"]["/{user_id}/batch"]["post"]["requestBody"]
SIGN_IN, REGISTER = login_throttle.ADDRESS_BACKOFF["sign-in"], login_throttle.ADDRESS_BACKOFF["register"]

FACTS = {
    "limits": [
        f"| {waits.MOST_OF_USER} of a user, and {waits.MOST:,} in all, in each worker | 429 `rate_limited`; beyond {waits.MOST:,} the",
        f"`HEAD_TIMEOUT`, {DEFAULTS.head_timeout} s",
        f"{limits.HEAD_BYTES // KIB} KiB with its request line, which has {limits.LINE_BYTES:,} bytes;"
        f" {limits.FIELDS} fields of {limits.FIELD_BYTES // KIB} KiB",
        f"`BODY_TIMEOUT`, {DEFAULTS.body_timeout} s, {limits.RATE_BYTES // KIB} KiB in {limits.RATE_SECONDS} s at least,"
        f" and {body.MAX_BODY // KIB} KiB, for `runBatch` {BATCH['x-max-bytes'] // MIB} MiB; {contract.MAX_VALUES:,} values",
        f"`IDLE_TIMEOUT`, {DEFAULTS.idle_timeout} s",
        f"`CLIENT_CONNECTIONS`, {DEFAULTS.client_connections}",
        f"replies of a worker that are not read yet | {limits.HELD_BYTES // MIB} MiB",
        f"`QUEUE_LIMIT`, {DEFAULTS.queue_limit} ms",
        f"{connection.CONNECT_TIMEOUT} s, or the `connect_timeout` of `DATABASE_URL`",
        f"a pause of {connection.CONNECT_PAUSE} s after each",
        f"a free connection of the pool | {connection.POOL_TIMEOUT} s",
        f"a lock in the database | {connection.LOCK_TIMEOUT} s",
        f"a statement | {connection.STATEMENT_TIMEOUT} s",
        f"of subtasks | {MOST_AT_ONCE:,} tasks",
        f"another time zone of it | {LONG} s",
        f"a batch | its last operation begins within {batch_service.SECONDS} s",
        f"the reversion of a write | its last step begins within {reversion.SECONDS} s",
        f"a restoration from the trash | its last step begins within {trash_service.SECONDS} s",
        f"a search (`q`) | {list_statements.SEARCH_SECONDS} s",
        f"a database that is silent, because it or its machine is frozen | {database.READ_TIMEOUT} s,"
        f" or {database.READ_TIMEOUT + LONG - connection.STATEMENT_TIMEOUT} s for a write of more than {FEW:,} tasks",
        f"the checks of readiness | {readiness.DEADLINE:.0f} s",
        f"by default {DEFAULTS.rate_limit.partition('/')[0]} requests a {DEFAULTS.rate_limit.partition('/')[2]}",
        f"a limit of their own, {rate_limit.PAGES.requests} a minute for each address",
        f"Every 429 of this limit comes after {rate_limit.REFUSAL_DELAY} seconds",
        f"If Redis does not answer within {redis.TIMEOUT} seconds",
        f"remembers {counters.MAX_KEYS:,} users and addresses",
        f"replies of {compression.MIN_SIZE // KIB} KiB and more",
    ],
    "passwords": [
        f"{login_throttle.ACCOUNT_BACKOFF.free} failures of an account and {SIGN_IN.free} of an address are free",
        f"has to wait {login_throttle.ACCOUNT_BACKOFF.delay(login_throttle.ACCOUNT_BACKOFF.free)} second,"
        f" then {login_throttle.ACCOUNT_BACKOFF.delay(login_throttle.ACCOUNT_BACKOFF.free + 1)},"
        f" {login_throttle.ACCOUNT_BACKOFF.delay(login_throttle.ACCOUNT_BACKOFF.free + 2)} and so on",
        f"up to {login_throttle.ACCOUNT_BACKOFF.longest // 60} minutes",
        f"{REGISTER.free} registrations from one address are free",
        f"with Redis all machines know them, for {attempts.KNOWN_LOGIN_TTL // 86400} days",
        f"A worker lets {WORDS[login_throttle.MAX_CONCURRENT]} requests check a password at once,"
        f" and {WORDS[login_throttle.MAX_CONCURRENT]} more from familiar addresses,"
        f" and hashes {WORDS[passwords.AT_ONCE]} at a time",
        f"{login_throttle.MAX_WAITING} wait for their turn, for {login_throttle.WAIT_TIMEOUT:.0f} seconds",
    ],
    "operations": [
        f"on which no request comes within {limits.QUIET} seconds",
        f"After {worker.STOP_SECONDS - worker.ABORT_SECONDS} seconds it cuts the connections",
        f"after {worker.STOP_SECONDS} seconds (`STOP_SECONDS`)",
        f"is kept for {REPLIES_KEPT} in",
        f"the newest {replies.MOST_REPLIES:,} are kept",
        f"every {WORDS[purging.EVERY // 60]} minutes or so",
        f"a {WORDS[purging.AT_ONCE]} rows in a statement",
        f"A round of checks ends after {WORDS[int(readiness.DEADLINE)]} second",
    ],
    "observability": [
        f"up to {logs.MAX_QUEUED_LINES:,} wait",
        f"the lines of its last {logs.FLUSH_INTERVAL * 1000:.0f} milliseconds",
        f"waits {WORDS[tracing.SHUTDOWN_TIMEOUT]} second for its last ones",
    ],
    "database": [
        f"PostgreSQL {checks.OLDEST} or newer",
        f"cuts its connection after {database.READ_TIMEOUT} seconds",
        f"`Retry-After` after {connection.CONNECT_TIMEOUT} seconds",
        f"PostgreSQL older than {checks.OLDEST}",
        f"They are purged after {TOMBSTONES_KEPT}",
    ],
    "upgrading": [
        f"waits at most {LOCK} ms for a table",
        f"give up after {WORDS_OF_HOURS[online.TURN_TRIES * online.TURN_PAUSE / 3600]}",
        f"waits up to {WORDS_OF_MINUTES[online.BUILD_LIMITS['lock_timeout']]} for transactions",
        f"and tries again, {migrations.LOCK_TRIES} times",
        f"`RATE_LIMIT` is on by default, {DEFAULTS.rate_limit.partition('/')[0]} requests a minute",
        f"`JWT_LIFETIME` is {DEFAULTS.jwt_lifetime} seconds by default",
        f"raises the numbers of all users by 2^{epochs.JUMP.bit_length() - 1}",
    ],
    "issuers": [
        f"At most {tokens.MAX_TOKEN_LENGTH // KIB} KiB, three parts",
        f"`sub` a string of 1 to {tokens.MAX_SUBJECT_LENGTH} characters",
        f"At most {jwks_cache.MAX_WAITING} requests wait",
        f"{jwks_client.MAX_BYTES // KIB} KiB, follows no redirect",
        f"Up to {public_keys.MAX_KEYS} keys are taken",
    ],
    "sync": [
        f"The service tells of deletions for {TOMBSTONES_KEPT}",
        f"At most {WORDS[waits.MOST_OF_USER]} of your requests wait",
    ],
    "api-keys": [f"A user has at most {MOST_KEYS} keys"],
    "retries": [f"keeps a 2xx reply for {REPLIES_KEPT}", f"the newest {replies.MOST_REPLIES:,} replies of each user"],
    "guide": [
        f"it has at most {pages.MAX_PAGE // MIB} MiB of JSON",
        f"A search has at most {WORDS[handlers.MAX_WORDS]} words",
    ],
    "accounts": [f"a token from the last {WORDS[accounts.FRESH // 60]} minutes"],
}

ELSEWHERE = {
    "limits": {
        r"HTTP/[\d.]+": "a name",
        r"`THREADS=1`": "an example",
        r"Of IPv6, a /64": "in test_addresses",
        r"status 499": "of log lines, in test_metrics",
    },
    "passwords": {},
    "operations": {
        "ends with 0": "an exit status",
        "timeout of 3 seconds": "advice",
        "Allow 10 seconds": "advice: more than STOP_SECONDS, in test_deployment",
    },
    "observability": {
        "2,048 of them": "OpenTelemetry's default",
        r"\| 1 \|": "a value",
        "500 is|5xx|; 499 if": "statuses",
        "W3C": "a name",
    },
    "database": {
        r"On PostgreSQL 15 a user": "a fact about PostgreSQL 15",
        r"from 2 to 60|connect_timeout=10": "in test_cli, which tries what is beyond",
        r"UTF-?8": "a name",
        r"`THREADS` \+ 1 connections": "in test_metrics",
    },
}
"""Numbers that no constant of the code has, with the reason, on the pages whose every number is looked at."""


def prose(page: str) -> str:
    """Return the text of a page on one line, without code."""
    return " ".join(re.sub(r"^ {4}.*$", "", BLOCK.sub("", read(f"docs/{page}.md")), flags=re.MULTILINE).split())


@pytest.mark.parametrize(("page", "fact"), [(page, fact) for page, facts in FACTS.items() for fact in facts])
def test_page_has_the_number_of_the_code(page: str, fact: str) -> None:
    assert fact in prose(page)


@pytest.mark.parametrize("page", ELSEWHERE)
def test_page_has_no_number_that_nobody_looked_at(page: str) -> None:
    text = prose(page)
    if page == "limits":  # what the limits cost is a measurement
        text = text.replace(" ".join(section(read("docs/limits.md"), "Cost").split()), "")
    for fact in FACTS[page]:
        text = text.replace(fact, "")
    statuses = "|".join({str(problem.status) for problem in contract.problem_texts().values()} | {"429"})
    known = [*ELSEWHERE[page], rf"\b(?:{statuses})\b", r"`[^`]*`", r"\[[^\]]*\]\([^)]*\)"]
    assert re.findall(r".{0,40}\d.{0,40}", re.sub("|".join(known), "", text)) == []


def test_pages_name_the_oldest_python_and_postgresql() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    python = project["requires-python"].removeprefix(">=").partition(",")[0]
    for page in ("README.md", "docs/deployment.md"):
        assert f"Python {python} or newer" in read(page)
    assert f"{checks.OLDEST} or newer" in read("docs/configuration.md")


def test_program_has_the_version_of_its_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == contract.load(contract.TASK_API)["info"]["version"].replace("-dev", ".dev0")


def test_a_day_without_an_attempt_forgets_the_failures() -> None:
    assert "A day without an attempt forgets" in prose("passwords")
    assert attempts.ATTEMPT_TTL == 86400


def test_every_attempt_has_one_longest_wait() -> None:
    assert {login_throttle.ACCOUNT_BACKOFF.longest, SIGN_IN.longest, REGISTER.longest} == {300}


def test_waits_of_a_second_are_one_second() -> None:
    assert "looks every second whether Redis is back" in prose("limits")
    assert "that have taken nothing for a second are ended" in prose("limits")
    assert (redis.PROBE_INTERVAL, limits.STALLED_SECONDS) == (1, 1)


def test_an_address_has_half_of_the_connections() -> None:
    assert "half of `CLIENT_CONNECTIONS`" in prose("limits")
    assert (
        limits.ConnectionLimits(10, 30, 75, DEFAULTS.client_connections).per_address * 2 == DEFAULTS.client_connections
    )


def test_migration_waits_for_a_lock_shorter_than_requests_wait_for_a_slot() -> None:
    assert int(LOCK) < DEFAULTS.queue_limit


@pytest.mark.parametrize("release", sorted((ROOT / "openapi" / "released").glob("*.yaml")), ids=lambda path: path.stem)
def test_upgrading_names_the_schema_of_each_release(release: object) -> None:
    name = getattr(release, "stem", "")
    found = re.search(rf"^\| {re.escape(name)} \| (\d+) \|$", read("docs/upgrading.md"), re.MULTILINE)
    assert found is not None
    assert found[1] in migrations.known()
    assert f"-c setup.cfg downgrade {found[1]}\n" in read("docs/upgrading.md")
