"""Which executions a list or a watch is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, TypeVar

from phaseline.app.queries import ExecutionFilter
from phaseline.domain.ids import ID_LENGTH
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.v1 import execution_pb2, execution_service_pb2
from phaseline.wire.enums import EXECUTION_STATUSES
from phaseline.wire.reading import Checks

T = TypeVar("T", bound=str)

_MOST_VALUES = 100
_LONG_NAME = 256


def read_filter(message: execution_service_pb2.ExecutionFilter, checks: Checks) -> ExecutionFilter:
    """Read which executions are asked for; an unknown status is wrong, and never matches none."""
    labels = dict(message.labels)
    if labels:
        _check_labels(labels, checks)

    def names(field: str, values: Sequence[str], longest: int = ID_LENGTH) -> tuple[str, ...]:
        if not values:
            return ()
        return _once(checks.texts(field, values, most=_MOST_VALUES, longest=longest))

    return ExecutionFilter(
        statuses=_statuses(message.statuses, checks),
        active_only=message.active_only,
        workflow_ids=names("workflow_ids", message.workflow_ids),
        responder_ids=names("responder_ids", message.responder_ids),
        session_ids=names("session_ids", message.session_ids),
        user_ids=names("user_ids", message.user_ids),
        chat_message_id=checks.text("chat_message_id", message.chat_message_id, ID_LENGTH),
        batch_id=checks.text("batch_id", message.batch_id, ID_LENGTH),
        parent_execution_id=checks.text(
            "parent_execution_id", message.parent_execution_id, ID_LENGTH
        ),
        root_execution_id=checks.text("root_execution_id", message.root_execution_id, ID_LENGTH),
        queue_names=names("queue_names", message.queue_names),
        repos=names("repos", message.repos, _LONG_NAME),
        labels=labels,
        created_after=(
            checks.moment("created_after", message.created_after)
            if message.HasField("created_after")
            else None
        ),
        created_before=(
            checks.moment("created_before", message.created_before)
            if message.HasField("created_before")
            else None
        ),
        id_prefix=checks.text("id_prefix", message.id_prefix, ID_LENGTH),
    )


class _Filtered(Protocol):
    @property
    def filter(self) -> execution_service_pb2.ExecutionFilter: ...
    def HasField(self, field_name: Literal["filter"], /) -> bool: ...


def read_optional_filter(message: _Filtered, checks: Checks) -> ExecutionFilter:
    """Read the filter of a request; without one all executions are asked for."""
    if not message.HasField("filter"):
        return ExecutionFilter()
    known = len(checks.found)
    matching = read_filter(message.filter, checks)
    checks.within(known, "filter")
    return matching


def _statuses(
    values: Sequence[execution_pb2.ExecutionStatus.ValueType], checks: Checks
) -> tuple[ExecutionStatus, ...]:
    if len(values) > _MOST_VALUES:
        checks.note("statuses", f"must be at most {_MOST_VALUES}, there are {len(values)}")
        return ()
    found = (
        checks.choice(f"statuses[{at}]", value, EXECUTION_STATUSES)
        for at, value in enumerate(values)
    )
    return _once(found)


def _once(values: Iterable[T]) -> tuple[T, ...]:
    """Return each value once and in one order, so that what means the same has the same tokens."""
    return tuple(sorted(set(values)))


def _check_labels(labels: dict[str, str], checks: Checks) -> None:
    if len(labels) > _MOST_VALUES:
        checks.note("labels", f"must be at most {_MOST_VALUES}, there are {len(labels)}")
        return
    for key, value in labels.items():
        checks.text(f"labels[{key[:64]}]", key, _LONG_NAME, required=True)
        checks.text(f"labels[{key[:64]}]", value, _LONG_NAME)
