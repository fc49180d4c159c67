"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _string(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "artifacts",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("artifact_id", _string(128), nullable=False),
        sa.Column("execution_id", _string(128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("phase_id", _string(64), nullable=False),
        sa.Column("name", _string(256), nullable=False),
        sa.Column("media_type", _string(128), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", "artifact_id", name=op.f("pk_artifacts")),
    )
    op.create_index(
        "ix_artifacts_execution_id",
        "artifacts",
        ["workspace_id", "execution_id", "artifact_id"],
        unique=False,
    )
    op.create_table(
        "changes",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("execution_id", _string(128), nullable=False),
        sa.Column("root_execution_id", _string(128), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("status_before", _string(16), nullable=True),
        sa.Column("status_after", _string(16), nullable=False),
        sa.Column("execution", sa.LargeBinary(), nullable=False),
        sa.Column("parts", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint(
            "workspace_id", "revision", "execution_id", name=op.f("pk_changes")
        ),
    )
    op.create_index(
        "ix_changes_execution_id",
        "changes",
        ["workspace_id", "execution_id", "revision", "status_before", "status_after"],
        unique=False,
    )
    op.create_index("ix_changes_revision", "changes", ["revision", "changed_at"], unique=False)
    op.create_index(
        "ix_changes_root_execution_id",
        "changes",
        ["workspace_id", "root_execution_id", "revision"],
        unique=False,
        sqlite_where=sa.text("root_execution_id IS NOT NULL"),
        postgresql_where=sa.text("root_execution_id IS NOT NULL"),
    )
    op.create_table(
        "contents",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("execution_id", _string(128), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "execution_id", name=op.f("pk_contents")),
    )
    op.create_table(
        "erasures",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("execution_id", _string(128), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("blanked_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "execution_id", name=op.f("pk_erasures")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "execution_counts",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("workflow_id", _string(128), nullable=False),
        sa.Column("status", _string(16), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("total >= 0", name=op.f("ck_execution_counts_total_not_negative")),
        sa.PrimaryKeyConstraint(
            "workspace_id", "workflow_id", "status", name=op.f("pk_execution_counts")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "execution_labels",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("name", _string(64), nullable=False),
        sa.Column("value", _string(256), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("execution_id", _string(128), nullable=False),
        sa.PrimaryKeyConstraint(
            "workspace_id",
            "name",
            "value",
            "created_at",
            "execution_id",
            name=op.f("pk_execution_labels"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "execution_repos",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("repo", _string(256), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("execution_id", _string(128), nullable=False),
        sa.PrimaryKeyConstraint(
            "workspace_id", "repo", "created_at", "execution_id", name=op.f("pk_execution_repos")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "executions",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("execution_id", _string(128), nullable=False),
        sa.Column("workflow_id", _string(128), nullable=False),
        sa.Column("workflow_version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("parent_execution_id", _string(128), nullable=True),
        sa.Column("root_execution_id", _string(128), nullable=True),
        sa.Column(
            "path", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=True
        ),
        sa.Column("step_key", _string(128), nullable=True),
        sa.Column("batch_id", _string(128), nullable=True),
        sa.Column("session_id", _string(128), nullable=True),
        sa.Column("user_id", _string(128), nullable=True),
        sa.Column("responder_id", _string(128), nullable=True),
        sa.Column("chat_message_id", _string(128), nullable=True),
        sa.Column("queue_name", _string(128), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("status", _string(16), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=False),
        sa.Column("is_purged", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(status IN ('cancelled', 'completed', 'failed')) = (completed_at IS NOT NULL)",
            name=op.f("ck_executions_terminal_completed"),
        ),
        sa.CheckConstraint(
            "status IN ('cancelled', 'cancelling', 'completed', 'failed', 'paused', 'pending', 'running')",
            name=op.f("ck_executions_status_known"),
        ),
        sa.CheckConstraint(
            "(parent_execution_id IS NULL) = (path IS NULL)",
            name=op.f("ck_executions_child_has_path"),
        ),
        sa.CheckConstraint(
            "(parent_execution_id IS NULL) = (root_execution_id IS NULL)",
            name=op.f("ck_executions_child_has_root"),
        ),
        sa.CheckConstraint(
            "completed_at IS NOT NULL OR NOT is_purged",
            name=op.f("ck_executions_purged_is_terminal"),
        ),
        sa.CheckConstraint(
            "due_at IS NULL OR completed_at IS NULL", name=op.f("ck_executions_terminal_not_due")
        ),
        sa.CheckConstraint(
            "total_tokens >= 0 AND cost_nanos >= 0", name=op.f("ck_executions_totals_not_negative")
        ),
        sa.PrimaryKeyConstraint("workspace_id", "execution_id", name=op.f("pk_executions")),
    )
    op.create_index(
        "ix_executions_active",
        "executions",
        ["workspace_id", "created_at", "execution_id"],
        unique=False,
        sqlite_where=sa.text("status IN ('cancelling', 'paused', 'pending', 'running')"),
        postgresql_where=sa.text("status IN ('cancelling', 'paused', 'pending', 'running')"),
    )
    op.create_index(
        "ix_executions_batch_id",
        "executions",
        ["workspace_id", "batch_id", "created_at", "execution_id"],
        unique=False,
        sqlite_where=sa.text("batch_id IS NOT NULL"),
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_chat_message_id",
        "executions",
        ["workspace_id", "chat_message_id", "created_at", "execution_id"],
        unique=False,
        sqlite_where=sa.text("chat_message_id IS NOT NULL"),
        postgresql_where=sa.text("chat_message_id IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_completed_at",
        "executions",
        ["is_purged", "completed_at"],
        unique=False,
        sqlite_where=sa.text("completed_at IS NOT NULL"),
        postgresql_where=sa.text("completed_at IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_cost_nanos",
        "executions",
        ["workspace_id", "cost_nanos", "execution_id"],
        unique=False,
    )
    op.create_index(
        "ix_executions_created_at",
        "executions",
        ["workspace_id", "created_at", "execution_id"],
        unique=False,
    )
    op.create_index(
        "ix_executions_parent_execution_id",
        "executions",
        ["workspace_id", "parent_execution_id", "created_at", "execution_id"],
        unique=False,
        sqlite_where=sa.text("parent_execution_id IS NOT NULL"),
        postgresql_where=sa.text("parent_execution_id IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_queue_name",
        "executions",
        ["workspace_id", "queue_name", "created_at", "execution_id"],
        unique=False,
    )
    op.create_index(
        "ix_executions_responder_id",
        "executions",
        ["workspace_id", "responder_id", "created_at", "execution_id"],
        unique=False,
        sqlite_where=sa.text("responder_id IS NOT NULL"),
        postgresql_where=sa.text("responder_id IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_revision",
        "executions",
        ["workspace_id", "revision", "execution_id"],
        unique=False,
    )
    op.create_index(
        "ix_executions_root_execution_id",
        "executions",
        ["workspace_id", "root_execution_id", "created_at", "execution_id"],
        unique=False,
        sqlite_where=sa.text("root_execution_id IS NOT NULL"),
        postgresql_where=sa.text("root_execution_id IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_session_id",
        "executions",
        ["workspace_id", "session_id", "created_at", "execution_id"],
        unique=False,
        sqlite_where=sa.text("session_id IS NOT NULL"),
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_status",
        "executions",
        ["workspace_id", "status", "created_at", "execution_id"],
        unique=False,
    )
    op.create_index(
        "ix_executions_step_key",
        "executions",
        ["workspace_id", "parent_execution_id", "step_key"],
        unique=True,
        sqlite_where=sa.text("step_key IS NOT NULL"),
        postgresql_where=sa.text("step_key IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_total_tokens",
        "executions",
        ["workspace_id", "total_tokens", "execution_id"],
        unique=False,
    )
    op.create_index(
        "ix_executions_user_id",
        "executions",
        ["workspace_id", "user_id", "created_at", "execution_id"],
        unique=False,
        sqlite_where=sa.text("user_id IS NOT NULL"),
        postgresql_where=sa.text("user_id IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_workflow_id",
        "executions",
        ["workspace_id", "workflow_id", "created_at", "execution_id"],
        unique=False,
    )
    op.create_table(
        "identity",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", _string(36), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("commits", sa.BigInteger(), nullable=False),
        sa.Column("trimmed", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("number = 1", name=op.f("ck_identity_is_alone")),
        sa.CheckConstraint("trimmed BETWEEN 0 AND head", name=op.f("ck_identity_trimmed_is_past")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_identity")),
    )
    op.create_table(
        "operations",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("execution_id", _string(128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("operation_id", _string(128), nullable=False),
        sa.Column("phase_id", _string(64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("operation_type", _string(64), nullable=False),
        sa.Column("tool_name", _string(128), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("input", sa.LargeBinary(), nullable=True),
        sa.Column("output", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint(
            "workspace_id",
            "execution_id",
            "position",
            "epoch",
            "operation_id",
            name=op.f("pk_operations"),
        ),
    )
    op.create_index(
        "ix_operations_ordinal",
        "operations",
        ["workspace_id", "execution_id", "ordinal"],
        unique=True,
    )
    op.create_table(
        "payloads",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("execution_id", _string(128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", _string(16), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("media_type", _string(128), nullable=False),
        sa.CheckConstraint("kind IN ('output', 'checkpoint')", name=op.f("ck_payloads_kind_known")),
        sa.PrimaryKeyConstraint(
            "workspace_id", "execution_id", "position", "kind", name=op.f("pk_payloads")
        ),
    )
    op.create_table(
        "phases",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("execution_id", _string(128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("phase_id", _string(64), nullable=False),
        sa.Column("status", _string(16), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker_id", _string(128), nullable=True),
        sa.Column("lease_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(status = 'running') = (lease_expires_at IS NOT NULL)",
            name=op.f("ck_phases_running_has_lease"),
        ),
        sa.CheckConstraint(
            "(status IN ('cancelled', 'completed', 'failed', 'skipped')) = (completed_at IS NOT NULL)",
            name=op.f("ck_phases_terminal_completed"),
        ),
        sa.CheckConstraint(
            "status IN ('cancelled', 'completed', 'failed', 'pending', 'ready', 'running', 'skipped')",
            name=op.f("ck_phases_status_known"),
        ),
        sa.CheckConstraint("attempt >= 0", name=op.f("ck_phases_attempt_not_negative")),
        sa.CheckConstraint(
            "total_tokens >= 0 AND cost_nanos >= 0", name=op.f("ck_phases_totals_not_negative")
        ),
        sa.PrimaryKeyConstraint("workspace_id", "execution_id", "position", name=op.f("pk_phases")),
    )
    op.create_table(
        "requests",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("request_id", _string(128), nullable=False),
        sa.Column("method", _string(64), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "request_id", name=op.f("pk_requests")),
    )
    op.create_index("ix_requests_created_at", "requests", ["created_at"], unique=False)
    op.create_table(
        "touched",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_touched")),
    )
    op.create_table(
        "workflows",
        sa.Column("workspace_id", _string(128), nullable=False),
        sa.Column("workflow_id", _string(128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "workspace_id", "workflow_id", "version", name=op.f("pk_workflows")
        ),
    )
