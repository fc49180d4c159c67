"""
The tables, the same on both databases.

Times are integer microseconds since 1970 UTC and money is integer nano-dollars, so that both
databases sort and compare them alike. What SQL asks about is a column; the rest of a state is one
JSON text. Unset text is NULL where an index leaves it out.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

from phaseline.domain.lifecycle import (
    ACTIVE,
    PHASE_TERMINAL,
    TERMINAL,
    ExecutionStatus,
    PhaseStatus,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _string(length: int) -> String:
    """Return a type of text that both databases compare by its bytes, whatever their locale."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _one_of(column: str, values: frozenset[ExecutionStatus] | frozenset[PhaseStatus]) -> str:
    return f"{column} IN (" + ", ".join(f"'{value}'" for value in sorted(values)) + ")"


IS_ACTIVE = _one_of("status", ACTIVE)

#: One row: which database this is, how far it has come, and what its tokens are signed with.
identity = Table(
    "identity",
    metadata,
    Column("number", Integer, autoincrement=False, nullable=False),
    Column("epoch", _string(36), nullable=False),
    Column("secret", LargeBinary, nullable=False),
    #: Revision of the newest commit.
    Column("head", BigInteger, nullable=False),
    #: Transactions of the writer so far. Some make nothing new to see, and no revision.
    Column("commits", BigInteger, nullable=False),
    #: Newest revision whose changes are no longer kept.
    Column("trimmed", BigInteger, nullable=False),
    PrimaryKeyConstraint("number"),
    CheckConstraint("number = 1", name="is_alone"),
    CheckConstraint("trimmed BETWEEN 0 AND head", name="trimmed_is_past"),
)

workflows = Table(
    "workflows",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("workflow_id", _string(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("spec", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("workspace_id", "workflow_id", "version"),
)

executions = Table(
    "executions",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("execution_id", _string(128), nullable=False),
    Column("workflow_id", _string(128), nullable=False),
    Column("workflow_version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("parent_execution_id", _string(128)),
    #: NULL for a root, so that only children take room in its index.
    Column("root_execution_id", _string(128)),
    #: All that are above it, the root first, as "/root/parent/"; NULL for a root.
    Column("path", Text().with_variant(Text(collation="C"), "postgresql")),
    Column("step_key", _string(128)),
    Column("batch_id", _string(128)),
    Column("session_id", _string(128)),
    Column("user_id", _string(128)),
    Column("responder_id", _string(128)),
    Column("chat_message_id", _string(128)),
    Column("queue_name", _string(128), nullable=False),
    #: `ExecutionSpec`. Up to here nothing ever changes.
    Column("spec", Text, nullable=False),
    Column("status", _string(16), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("completed_at", BigInteger),
    #: When time alone will change it. Memory knows it, too, and so no index does.
    Column("due_at", BigInteger),
    Column("total_tokens", BigInteger, nullable=False),
    Column("cost_nanos", BigInteger, nullable=False),
    Column("is_purged", Boolean, nullable=False),
    #: `rows.State`.
    Column("state", Text, nullable=False),
    PrimaryKeyConstraint("workspace_id", "execution_id"),
    CheckConstraint(_one_of("status", frozenset(ExecutionStatus)), name="status_known"),
    CheckConstraint(
        f"({_one_of('status', TERMINAL)}) = (completed_at IS NOT NULL)", name="terminal_completed"
    ),
    CheckConstraint("due_at IS NULL OR completed_at IS NULL", name="terminal_not_due"),
    CheckConstraint(
        "(parent_execution_id IS NULL) = (root_execution_id IS NULL)", name="child_has_root"
    ),
    CheckConstraint("(parent_execution_id IS NULL) = (path IS NULL)", name="child_has_path"),
    CheckConstraint("total_tokens >= 0 AND cost_nanos >= 0", name="totals_not_negative"),
    CheckConstraint("completed_at IS NOT NULL OR NOT is_purged", name="purged_is_terminal"),
)


def _index(name: str, *columns: str, unique: bool = False, where: str = "") -> None:
    condition: dict[str, Any] = {}
    if where:
        condition = {"sqlite_where": text(where), "postgresql_where": text(where)}
    # Attached to the table by its columns.
    Index(
        f"ix_executions_{name}",
        *(executions.c[column] for column in columns),
        unique=unique,
        **condition,
    )


_NEWEST = ("created_at", "execution_id")
_index("created_at", "workspace_id", *_NEWEST)
_index("workflow_id", "workspace_id", "workflow_id", *_NEWEST)
_index("status", "workspace_id", "status", *_NEWEST)
_index("queue_name", "workspace_id", "queue_name", *_NEWEST)
_index("revision", "workspace_id", "revision", "execution_id")
_index("cost_nanos", "workspace_id", "cost_nanos", "execution_id")
_index("total_tokens", "workspace_id", "total_tokens", "execution_id")
_index("active", "workspace_id", *_NEWEST, where=IS_ACTIVE)
_index("completed_at", "is_purged", "completed_at", where="completed_at IS NOT NULL")
_index(
    "step_key",
    "workspace_id",
    "parent_execution_id",
    "step_key",
    unique=True,
    where="step_key IS NOT NULL",
)
for _column in (
    "parent_execution_id",
    "root_execution_id",
    "batch_id",
    "session_id",
    "user_id",
    "responder_id",
    "chat_message_id",
):
    _index(_column, "workspace_id", _column, *_NEWEST, where=f"{_column} IS NOT NULL")

execution_labels = Table(
    "execution_labels",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("name", _string(64), nullable=False),
    Column("value", _string(256), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("execution_id", _string(128), nullable=False),
    PrimaryKeyConstraint("workspace_id", "name", "value", "created_at", "execution_id"),
    # The key is all that there is, so a second copy of it in an index would be waste.
    sqlite_with_rowid=False,
)

execution_repos = Table(
    "execution_repos",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("repo", _string(256), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("execution_id", _string(128), nullable=False),
    PrimaryKeyConstraint("workspace_id", "repo", "created_at", "execution_id"),
    # The key is all that there is, so a second copy of it in an index would be waste.
    sqlite_with_rowid=False,
)

#: How many executions there are by workflow and status, kept in the transaction that changes it.
execution_counts = Table(
    "execution_counts",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("workflow_id", _string(128), nullable=False),
    Column("status", _string(16), nullable=False),
    Column("total", BigInteger, nullable=False),
    PrimaryKeyConstraint("workspace_id", "workflow_id", "status"),
    CheckConstraint("total >= 0", name="total_not_negative"),
    sqlite_with_rowid=False,
)

phases = Table(
    "phases",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("execution_id", _string(128), nullable=False),
    Column("position", Integer, nullable=False),
    Column("phase_id", _string(64), nullable=False),
    Column("status", _string(16), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    #: Worker that holds, or last held, its lease.
    Column("worker_id", _string(128)),
    Column("lease_expires_at", BigInteger),
    Column("started_at", BigInteger),
    Column("completed_at", BigInteger),
    Column("total_tokens", BigInteger, nullable=False),
    Column("cost_nanos", BigInteger, nullable=False),
    #: `Phase`.
    Column("state", Text, nullable=False),
    PrimaryKeyConstraint("workspace_id", "execution_id", "position"),
    CheckConstraint(_one_of("status", frozenset(PhaseStatus)), name="status_known"),
    CheckConstraint(
        "(status = 'running') = (lease_expires_at IS NOT NULL)", name="running_has_lease"
    ),
    CheckConstraint(
        f"({_one_of('status', PHASE_TERMINAL)}) = (completed_at IS NOT NULL)",
        name="terminal_completed",
    ),
    CheckConstraint("attempt >= 0", name="attempt_not_negative"),
    CheckConstraint("total_tokens >= 0 AND cost_nanos >= 0", name="totals_not_negative"),
)

#: What an execution was given.
contents = Table(
    "contents",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("execution_id", _string(128), nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("workspace_id", "execution_id"),
)

#: What a phase produced, and from where its next attempt can go on.
payloads = Table(
    "payloads",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("execution_id", _string(128), nullable=False),
    Column("position", Integer, nullable=False),
    Column("kind", _string(16), nullable=False),
    Column("data", LargeBinary),
    Column("uri", Text, nullable=False),
    Column("media_type", _string(128), nullable=False),
    PrimaryKeyConstraint("workspace_id", "execution_id", "position", "kind"),
    CheckConstraint("kind IN ('output', 'checkpoint')", name="kind_known"),
)

operations = Table(
    "operations",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("execution_id", _string(128), nullable=False),
    Column("position", Integer, nullable=False),
    #: Of the lease that reported it: an attempt that was released gives its number to the next.
    Column("epoch", BigInteger, nullable=False),
    Column("operation_id", _string(128), nullable=False),
    Column("phase_id", _string(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    #: Place in the order of first record, in the execution.
    Column("ordinal", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("operation_type", _string(64), nullable=False),
    Column("tool_name", _string(128), nullable=False),
    #: `OperationReport` without input and output.
    Column("body", Text, nullable=False),
    Column("input", LargeBinary),
    Column("output", LargeBinary),
    PrimaryKeyConstraint("workspace_id", "execution_id", "position", "epoch", "operation_id"),
    Index("ix_operations_ordinal", "workspace_id", "execution_id", "ordinal", unique=True),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("artifact_id", _string(128), nullable=False),
    Column("execution_id", _string(128), nullable=False),
    Column("position", Integer, nullable=False),
    Column("phase_id", _string(64), nullable=False),
    Column("name", _string(256), nullable=False),
    Column("media_type", _string(128), nullable=False),
    Column("uri", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("data", LargeBinary),
    PrimaryKeyConstraint("workspace_id", "artifact_id"),
    Index("ix_artifacts_execution_id", "workspace_id", "execution_id", "artifact_id"),
)

#: What each commit did to each execution, ready to be sent.
changes = Table(
    "changes",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("execution_id", _string(128), nullable=False),
    #: NULL for a root.
    Column("root_execution_id", _string(128)),
    Column("changed_at", BigInteger, nullable=False),
    Column("status_before", _string(16)),
    Column("status_after", _string(16), nullable=False),
    #: The version of the execution: `Part`.
    Column("execution", LargeBinary, nullable=False),
    #: Versions of its phases and operations: a list of `Part`.
    Column("parts", LargeBinary),
    PrimaryKeyConstraint("workspace_id", "revision", "execution_id"),
    # What is oldest goes first, of whatever workspace.
    Index("ix_changes_revision", "revision", "changed_at"),
    # With the statuses in it, versions are folded without a look at their bytes.
    Index(
        "ix_changes_execution_id",
        "workspace_id",
        "execution_id",
        "revision",
        "status_before",
        "status_after",
    ),
    Index(
        "ix_changes_root_execution_id",
        "workspace_id",
        "root_execution_id",
        "revision",
        sqlite_where=text("root_execution_id IS NOT NULL"),
        postgresql_where=text("root_execution_id IS NOT NULL"),
    ),
)

#: Writes that were answered, by request_id.
requests = Table(
    "requests",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("request_id", _string(128), nullable=False),
    Column("method", _string(64), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("workspace_id", "request_id"),
    Index("ix_requests_created_at", "created_at"),
)

#: Purged and deleted executions of which there is something left, to be erased little by little.
erasures = Table(
    "erasures",
    metadata,
    Column("workspace_id", _string(128), nullable=False),
    Column("execution_id", _string(128), nullable=False),
    #: Of the commit that purged or deleted it: what is newer belongs to another of that name.
    Column("revision", BigInteger, nullable=False),
    #: Up to and with this revision its changes tell nothing any more.
    Column("blanked_to", BigInteger, nullable=False),
    PrimaryKeyConstraint("workspace_id", "execution_id"),
    sqlite_with_rowid=False,
)

#: What the last transactions changed, for the other processes that share the database. No other
#: process shares that of SQLite, where this stays empty.
touched = Table(
    "touched",
    metadata,
    #: As `identity.commits` was after it.
    Column("number", BigInteger, autoincrement=False, nullable=False),
    #: `Touched`.
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("number"),
)
