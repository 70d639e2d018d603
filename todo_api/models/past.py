"""The tables of what was: of what is deleted, and of what has changed. Triggers write them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from todo_api.models.tables import metadata

tombstones = Table(
    "tombstones",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("version", BigInteger, nullable=False, comment="the user's seq at the deletion"),
    Column("deleted_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("user_id", "kind", "id"),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    CheckConstraint("kind IN ('project', 'task')", "kind_known"),
    Index("tombstones_by_version", "user_id", "kind", "version", "id"),
    # What is old is so over all users: the purge asks for no user's.
    Index("tombstones_by_deleted_at", "deleted_at"),
)

trash = Table(
    "trash",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("root_kind", Text, nullable=False),
    Column("root_id", Uuid, nullable=False, comment="what it went to the trash with: itself, or what it belonged to"),
    Column("version", BigInteger, nullable=False, comment="the user's seq at the deletion"),
    Column("title", Text(collation="C"), nullable=False),
    Column("trashed_at", DateTime(timezone=True), nullable=False),
    Column("content", JSONB, nullable=False, comment="the row as it was, without nulls"),
    Column(
        "actor",
        Text,
        comment="of what was deleted by itself: kind, id and name of the credential; null: none, or not known",
    ),
    PrimaryKeyConstraint("user_id", "kind", "id"),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    CheckConstraint("kind IN ('project', 'task') AND root_kind IN ('project', 'task')", "kind_known"),
    # What was deleted by itself, and what went along with that.
    Index("trash_of_roots", "user_id", "version", "id", postgresql_where=text("root_id = id AND root_kind = kind")),
    Index("trash_by_root", "user_id", "root_id", postgresql_where=text("root_id <> id OR root_kind <> kind")),
    # What is old is so over all users: the purge asks for no user's.
    Index("trash_by_trashed_at", "trashed_at"),
)

history = Table(
    "history",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False, comment="the user's seq at the change"),
    Column("kind", Text, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("version_before", BigInteger, nullable=False, comment="the version that the object had before"),
    Column("action", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, comment="kind and id of the credential; null: none, or not known"),
    Column("actor_name", Text),
    Column("changes", JSONB, nullable=False, comment="by member: its values before and after"),
    Column(
        "cut", Boolean, nullable=False, server_default=text("false"), comment="whether a value of changes is not whole"
    ),
    Column(
        "day",
        Date,
        nullable=False,
        server_default=text("CURRENT_DATE"),
        comment="by which it is purged: an index of times would be taken for that of a user's",
    ),
    PrimaryKeyConstraint("user_id", "seq", "kind", "id"),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    Index("history_by_object", "user_id", "id", "seq"),
    Index("history_by_time", "user_id", "at", "seq", "kind", "id"),
    # What is old is so over all users: the purge asks for no user's.
    Index("history_by_day", "day"),
)
