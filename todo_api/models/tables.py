"""The tables, their constraints, and the roles that use them.

Each user-owned table has the user's id as the first column of every key, so it can be partitioned
by user over several servers. `migrations/` makes all this, row-level security and the functions of
check constraints; `alembic check` compares the tables.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from todo_api.config import ROLE_PREFIX, Roles
from todo_api.domains import (
    KEY_NAME,
    LABEL_KEY,
    LABEL_LIST,
    LABEL_NAME,
    POSITION_KEY,
    PROJECT_DESCRIPTION,
    PROJECT_NAME,
    TASK_DATE,
    TASK_DESCRIPTION,
    TASK_LINKS,
    TASK_PRIORITY,
    TASK_TITLE,
    TIME_ZONE,
    USER_ID,
    USER_NAME,
    WEEK_DAY,
)

USER_ROLE, LOGIN_ROLE = Roles.named(ROLE_PREFIX)
"""The default roles, with which migrations are written."""

REPLIES_KEPT = "24 hours"
"""How long a reply is kept for a retry, as an interval of PostgreSQL."""

TOMBSTONES_KEPT = "90 days"
"""Time for which the feed tells of a deletion, as an interval of PostgreSQL."""

KEY_SCOPES = ("tasks:read", "tasks:write", "account", "account:write")
"""Scopes that an API key can have."""

MOST_KEYS = 100
"""Maximum number of API keys of a user."""

MOST_PROJECTS = 500
"""Maximum number of projects of a user."""

MOST_AT_ONCE = 100_000
"""Maximum number of tasks that one write changes or deletes."""

STATUSES = ("pending", "in_progress", "completed", "cancelled")

PRIORITIES = ("none", "low", "medium", "high", "urgent")
"""The words of a task's priority, by the number that is stored."""

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


CLOCK_KEY = (
    "(('m'::text || lpad(to_hex(((EXTRACT(epoch FROM clock_timestamp()) * (1000000)::numeric))::bigint), 13, '0'::text)))"
    "::position_key"
)
"""The position of what the release before 1.2 writes beside this one."""

EPOCH = "((random() * ('9007199254740991'::bigint)::double precision))::bigint"
"""A new epoch: unlike any other but by a chance of one in 2^53."""

users = Table(
    "users",
    metadata,
    Column("id", USER_ID, nullable=False),
    Column("epoch", BigInteger, nullable=False, server_default=text(EPOCH), comment="another after a restore"),
    Column("seq", BigInteger, nullable=False, server_default=text("0"), comment="the number of the user's last write"),
    # Counts of tasks by status, so that a list's total costs the same for ten tasks or a million.
    *(Column(status, BigInteger, nullable=False, server_default=text("0")) for status in STATUSES),
    Column("name", USER_NAME),
    Column("version", BigInteger, nullable=False, server_default=text("0"), comment="seq at the account's last write"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.statement_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.statement_timestamp()),
    Column("api_keys", BigInteger, nullable=False, server_default=text("0"), comment="how many there are"),
    Column("time_zone", TIME_ZONE, comment="null: Etc/UTC"),
    Column("week_start", WEEK_DAY, comment="null: monday"),
    Column("projects", SmallInteger, nullable=False, server_default=text("0"), comment="how many there are"),
    Column(
        "zone_data",
        BigInteger,
        comment="the oldest time zone data with which instants of the user's tasks were computed; null: there are none",
    ),
    Column(
        "horizon",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="the highest version of a tombstone that was purged",
    ),
    PrimaryKeyConstraint("id"),
    # Whose instants are to be computed anew is asked over all users.
    Index("users_by_zone_data", "zone_data", postgresql_where=text("zone_data IS NOT NULL")),
)

accounts = Table(
    "accounts",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("passwords", BigInteger, nullable=False, server_default=text("1"), comment="how many there have been"),
    Column("email_verified_at", DateTime(timezone=True), comment="when the address was last shown to be the user's"),
    Column(
        "registered_again",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="whether the address was registered again before it was verified",
    ),
    PrimaryKeyConstraint("user_id"),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    # An e-mail address is unique over all users: the only key that does not begin with the user.
    UniqueConstraint("email"),
    CheckConstraint("email = lower(email) AND char_length(email) <= 254", "email_form"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("name", KEY_NAME, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("hint", Text, nullable=False, comment="what the key begins with"),
    Column("digest", Text(collation="C"), nullable=False, comment="SHA-256 of the key, in hexadecimal"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("user_id", "id"),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    CheckConstraint(
        f"cardinality(scopes) > 0 AND scopes <@ ARRAY[{', '.join(repr(scope) for scope in KEY_SCOPES)}]", "scopes_known"
    ),
    CheckConstraint("digest ~ '^[0-9a-f]{64}$'", "digest_form"),
    CheckConstraint("expires_at > created_at", "expiry_later"),
    # Not unique: a unique key would have to begin with the user, whom a look-up does not know.
    Index("api_keys_by_digest", "digest"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("family", Text(collation="C"), nullable=False, comment="SHA-256 of what all its refresh tokens begin with"),
    Column("digest", Text(collation="C"), nullable=False, comment="SHA-256 of the refresh token that holds"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("refreshed_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("user_id", "id"),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    CheckConstraint("family ~ '^[0-9a-f]{64}$' AND digest ~ '^[0-9a-f]{64}$'", "digest_form"),
    CheckConstraint("expires_at > refreshed_at AND refreshed_at >= created_at", "time_order"),
    # Not unique: a unique key would have to begin with the user, whom a look-up does not know yet.
    Index("sessions_by_family", "family"),
    # What has expired has done so over all users: the purge asks for no user's.
    Index("sessions_by_expires_at", "expires_at"),
)

one_time_tokens = Table(
    "one_time_tokens",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("digest", Text(collation="C"), nullable=False, comment="SHA-256 of the token, in hexadecimal"),
    Column("email", Text, nullable=False, comment="the address of the account when the token was made"),
    Column("passwords", BigInteger, nullable=False, comment="how many passwords the account had had by then"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("user_id", "id"),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    CheckConstraint("digest ~ '^[0-9a-f]{64}$'", "digest_form"),
    CheckConstraint("purpose IN ('reset', 'verify')", "purpose_known"),
    CheckConstraint("expires_at > created_at", "expiry_later"),
    # Neither begins with the user: a look-up does not know them, and the purge asks for no user's.
    Index("one_time_tokens_by_digest", "digest"),
    Index("one_time_tokens_by_expires_at", "expires_at"),
)

outbox = Table(
    "outbox",
    metadata,
    # Whether an e-mail address has an account is looked up when its mail is sent.
    Column("email", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", DateTime(timezone=True), nullable=False, comment="when it was last asked for"),
    Column("next_attempt_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("email", "purpose"),
    CheckConstraint("email = lower(email) AND char_length(email) <= 254", "email_form"),
    CheckConstraint("purpose IN ('reset', 'verify')", "purpose_known"),
    Index("outbox_by_next_attempt_at", "next_attempt_at"),
)

projects = Table(
    "projects",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("name", PROJECT_NAME, nullable=False),
    Column("description", PROJECT_DESCRIPTION),
    Column("color", Text),
    Column("position", Text(collation="C"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("version", BigInteger, nullable=False, comment="the user's seq at the last write"),
    Column("first_version", BigInteger, comment="the user's seq at the creation; null: not known"),
    PrimaryKeyConstraint("user_id", "id"),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    CheckConstraint("color ~ '^#[0-9A-Fa-f]{6}$'", "color_form"),
    CheckConstraint("octet_length(position) <= 250 AND position ~ '^[0-9A-Za-z]+$'", "position_form"),
    CheckConstraint("version > 0", "version_positive"),
    Index("projects_by_version", "user_id", "version", "id"),
)

_OF_STATUS = ("user_id", "status")
_OF_PROJECT = ("user_id", "project_id", "status", "created_at", "id")
_IS_DATED = text("due_at IS NOT NULL")
_LATEST_FIRST = (text("due_at DESC"), "priority", text("id DESC"))

tasks = Table(
    "tasks",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("title", TASK_TITLE, nullable=False),
    Column("description", TASK_DESCRIPTION),
    Column("status", Text, nullable=False),
    Column("completed_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("version", BigInteger, nullable=False, comment="the user's seq at the last write"),
    # Kept by a trigger.
    Column("title_folded", Text(collation="C"), comment="the title without case; null: it is ASCII"),
    Column(
        "description_folded",
        Text(collation="C"),
        comment="the description without case; null: it is ASCII, or there is none",
    ),
    Column("priority", TASK_PRIORITY, nullable=False, server_default=text("0"), comment="from 0, none, to 4, urgent"),
    Column("links", TASK_LINKS, comment="JSON; null without links"),
    # Written with the columns that follow, and read in their place: one text is read faster.
    Column("dates", Text, comment="JSON: date, time and zone of the deadline and of the start; null without either"),
    Column("due_date", TASK_DATE),
    Column("due_time", Time),
    Column("due_zone", TIME_ZONE),
    Column(
        "due_at",
        DateTime(timezone=True),
        comment="the deadline: computed from the date, the time and the zone, or that of the user",
    ),
    Column("start_date", TASK_DATE),
    Column("start_time", Time),
    Column("start_zone", TIME_ZONE),
    Column("start_at", DateTime(timezone=True), comment="when it can be started: computed likewise"),
    Column(
        "position",
        POSITION_KEY,
        nullable=False,
        server_default=text(CLOCK_KEY),
        comment="the order among siblings: as a user moved the task, by creation at first",
    ),
    Column("project_id", Uuid, comment="null: the inbox"),
    Column("labels", LABEL_LIST, comment="JSON, by their keys; null without labels"),
    Column("parent_id", Uuid, comment="null: none"),
    Column("children", SmallInteger, nullable=False, server_default=text("0"), comment="how many there are"),
    Column("first_version", BigInteger, comment="the user's seq at the creation; null: not known"),
    Column("created_by", Text, comment="kind, id and name of the credential; null: none, or not known"),
    PrimaryKeyConstraint("user_id", "id"),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["user_id", "project_id"], ["projects.user_id", "projects.id"]),
    ForeignKeyConstraint(["user_id", "parent_id"], ["tasks.user_id", "tasks.id"]),
    CheckConstraint("is_valid_state(status, completed_at, version)", "state"),
    # By the last write: the feed of changes.
    Index("tasks_by_version", "user_id", "version", "id"),
    Index("tasks_by_created_at", "user_id", "created_at", "id"),
    Index("tasks_by_status_and_created_at", "user_id", "status", "created_at", "id"),
    Index("tasks_by_status_and_updated_at", "user_id", "status", "updated_at", "id"),
    Index("tasks_by_status_and_title", "user_id", "status", "title", "id"),
    Index("tasks_by_status_and_position", "user_id", "status", "position", "id"),
    # By deadline, the urgent first: `due` and `-due` read these two backwards.
    Index("tasks_by_status_and_due", *_OF_STATUS, *_LATEST_FIRST, postgresql_where=_IS_DATED),
    Index("tasks_by_status_and_latest_due", *_OF_STATUS, "due_at", "priority", "id", postgresql_where=_IS_DATED),
    Index("tasks_by_status_and_start", *_OF_STATUS, "start_at", "id", postgresql_where=text("start_at IS NOT NULL")),
    # A task has one of these two.
    Index("tasks_by_status_and_priority", *_OF_STATUS, "priority", "id", postgresql_where=text("due_at IS NULL")),
    Index("tasks_with_due_by_status_and_priority", *_OF_STATUS, "priority", "id", postgresql_where=_IS_DATED),
    Index("tasks_by_project", *_OF_PROJECT, postgresql_where=text("project_id IS NOT NULL")),
    Index("tasks_by_parent", "user_id", "parent_id", "position", "id", postgresql_where=text("parent_id IS NOT NULL")),
)

task_labels = Table(
    "task_labels",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("task_id", Uuid, nullable=False),
    Column("label_key", LABEL_KEY, nullable=False, comment="the name without case"),
    Column("name", LABEL_NAME, nullable=False),
    Column("version", BigInteger, nullable=False, comment="the user's seq when the task got it in this spelling"),
    PrimaryKeyConstraint("user_id", "task_id", "label_key"),
    ForeignKeyConstraint(["user_id", "task_id"], ["tasks.user_id", "tasks.id"], ondelete="CASCADE"),
    Index("task_labels_by_key", "user_id", "label_key", "version", "task_id"),
)

idempotent_replies = Table(
    "idempotent_replies",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("key", LargeBinary, nullable=False, comment="a digest of the Idempotency-Key"),
    Column("request", LargeBinary, nullable=False, comment="a digest of what was asked"),
    Column("reply", LargeBinary, nullable=False, comment="sealed under the Idempotency-Key and what was asked"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("user_id", "key"),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    CheckConstraint("octet_length(key) = 32 AND octet_length(request) = 32", "digest_length"),
    # What is old is so over all users: the purge asks for no user's.
    Index("idempotent_replies_by_created_at", "created_at"),
)

anonymous_replies = Table(
    "anonymous_replies",
    metadata,
    # Before a user is known, a request is known by what it asks alone, with the key.
    Column(
        "request", Text(collation="C"), nullable=False, comment="a digest of the Idempotency-Key and what was asked"
    ),
    Column("reply", LargeBinary, nullable=False, comment="sealed under the Idempotency-Key and what was asked"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("request"),
    CheckConstraint("request ~ '^[0-9a-f]{64}$'", "digest_form"),
    Index("anonymous_replies_by_created_at", "created_at"),
)
