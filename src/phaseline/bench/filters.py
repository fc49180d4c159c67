"""A filter of each kind, by values that executions have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from phaseline.v1 import execution_pb2
from phaseline.v1 import execution_service_pb2 as pb2

#: Field of an execution to the field of the filter that takes many of its values.
_MANY = {
    "status": "statuses",
    "workflow_id": "workflow_ids",
    "responder_id": "responder_ids",
    "session_id": "session_ids",
    "user_id": "user_ids",
    "queue_name": "queue_names",
}
_ONE = ("chat_message_id", "batch_id", "parent_execution_id", "root_execution_id")
_PREFIX = 10


def filters(executions: Sequence[execution_pb2.Execution]) -> Mapping[str, pb2.ExecutionFilter]:
    """Return a filter of each kind that matches one of the *executions* at least, by its name."""
    found: dict[str, Any] = {}
    for one in executions:
        for name, fields in _fields(one):
            found.setdefault(name, fields)
    return {name: pb2.ExecutionFilter(**fields) for name, fields in found.items()}


def _fields(one: execution_pb2.Execution) -> Iterable[tuple[str, dict[str, Any]]]:
    for field, filtered in _MANY.items():
        if value := getattr(one, field):
            yield field, {filtered: [value]}
    for field in _ONE:
        # An execution is its own root, which says nothing of how a tree is found.
        if (value := getattr(one, field)) and value != one.execution_id:
            yield field, {field: value}
    if one.repos:
        yield "repo", {"repos": one.repos[:1]}
    for name, value in sorted(one.labels.items())[:1]:
        yield "label", {"labels": {name: value}}
    yield "created_before", {"created_before": one.created_at}
    yield "id_prefix", {"id_prefix": one.execution_id[:_PREFIX]}
