"""What callers ask for when they list, and the pages they get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from phaseline.domain.execution import Execution, Operation
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ACTIVE, ExecutionStatus


class Order(StrEnum):
    """Order of a list; the execution_id breaks ties."""

    CREATED_AT_DESC = "created_at_desc"
    CREATED_AT_ASC = "created_at_asc"
    UPDATED_AT_DESC = "updated_at_desc"
    COST_USD_DESC = "cost_usd_desc"
    TOTAL_TOKENS_DESC = "total_tokens_desc"


class ExecutionFilter(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which executions. All that is set must match; a list matches any of its values."""

    statuses: tuple[ExecutionStatus, ...] = ()
    active_only: bool = False
    workflow_ids: tuple[str, ...] = ()
    responder_ids: tuple[str, ...] = ()
    session_ids: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    chat_message_id: str = ""
    batch_id: str = ""
    parent_execution_id: str = ""
    root_execution_id: str = ""
    queue_names: tuple[str, ...] = ()
    repos: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    created_after: datetime | None = None
    created_before: datetime | None = None
    id_prefix: str = ""

    def wanted_statuses(self) -> frozenset[ExecutionStatus] | None:
        """Return the statuses that can match, or None when any can."""
        wanted = frozenset(self.statuses) or None
        if self.active_only:
            return ACTIVE if wanted is None else wanted & ACTIVE
        return wanted

    def matches_spec(self, execution: Execution) -> bool:
        """Whether all matches but the status, which is all that can change."""
        spec = execution.spec
        return (
            (not self.workflow_ids or execution.workflow.workflow_id in self.workflow_ids)
            and (not self.responder_ids or spec.responder_id in self.responder_ids)
            and (not self.session_ids or spec.session_id in self.session_ids)
            and (not self.user_ids or spec.user_id in self.user_ids)
            and self.chat_message_id in ("", spec.chat_message_id)
            and self.batch_id in ("", spec.batch_id)
            and self.parent_execution_id in ("", spec.parent_execution_id)
            and self.root_execution_id in ("", spec.root_execution_id)
            and (not self.queue_names or spec.queue_name in self.queue_names)
            and (not self.repos or not set(self.repos).isdisjoint(spec.repos))
            and all(spec.labels.get(name) == value for name, value in self.labels.items())
            and (self.created_after is None or spec.created_at >= self.created_after)
            and (self.created_before is None or spec.created_at < self.created_before)
            and spec.execution_id.startswith(self.id_prefix)
        )

    def matches_status(self, status: ExecutionStatus | None) -> bool:
        """Whether *status* matches; None, before an execution existed, never does."""
        wanted = self.wanted_statuses()
        return status is not None and (wanted is None or status in wanted)


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the value that orders the list, and the id."""

    value: int
    execution_id: str


class ExecutionQuery(msgspec.Struct, frozen=True):
    """One page of executions."""

    workspace_id: str
    filter: ExecutionFilter
    order: Order
    limit: int
    after: Position | None = None
    offset: int = 0


class ExecutionPage(msgspec.Struct, frozen=True):
    """The page, and the moment it shows."""

    executions: Sequence[Execution]
    total_size: int
    total_size_capped: bool
    #: None on the last page.
    next: Position | None
    revision: int


class OperationQuery(msgspec.Struct, frozen=True):
    """One page of operations."""

    key: Key
    position: int | None
    limit: int
    after: int = -1
    full: bool = False
    #: Bytes that it may have, besides its first operation; None for any.
    room: int | None = None


class OperationPage(msgspec.Struct, frozen=True):
    """The page, and the place in the order where it ended."""

    operations: Sequence[Operation]
    total_size: int
    #: None on the last page.
    next: int | None


class Nesting(msgspec.Struct, frozen=True):
    """An execution and those below it, without phases, as of one moment."""

    top: Execution
    #: Parents before children, and of one parent the older first.
    below: Sequence[Execution]
    #: There are more below than were asked for.
    truncated: bool
    revision: int
