"""Enum values: those of the domain, and the numbers that stand for them on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol, TypeVar

from phaseline.app.queries import Order
from phaseline.domain.failure import FailureKind
from phaseline.domain.lifecycle import ExecutionStatus, PhaseStatus
from phaseline.domain.report import AbandonReason, DirectiveAction, RetryDecision
from phaseline.v1 import execution_pb2, execution_service_pb2, worker_service_pb2

E = TypeVar("E", bound=StrEnum)
V = TypeVar("V", bound=int, covariant=True)


class _Numbered(Protocol[V]):
    def Value(self, name: str) -> V: ...


def _numbers(kind: type[E], numbered: _Numbered[V], prefix: str) -> Mapping[E, V]:
    """Return the number of each member of *kind*: the value of the same name."""
    return {each: numbered.Value(f"{prefix}_{each.name}") for each in kind}


EXECUTION_STATUS = _numbers(ExecutionStatus, execution_pb2.ExecutionStatus, "EXECUTION_STATUS")
PHASE_STATUS = _numbers(PhaseStatus, execution_pb2.PhaseStatus, "PHASE_STATUS")
FAILURE_KIND = _numbers(FailureKind, execution_pb2.FailureKind, "FAILURE_KIND")
DIRECTIVE_ACTION = _numbers(DirectiveAction, worker_service_pb2.DirectiveAction, "DIRECTIVE_ACTION")
ABANDON_REASON = _numbers(AbandonReason, worker_service_pb2.AbandonReason, "ABANDON_REASON")
RETRY_DECISION = _numbers(RetryDecision, worker_service_pb2.RetryDecision, "RETRY_DECISION")
ORDER = _numbers(Order, execution_service_pb2.ExecutionOrder, "EXECUTION_ORDER")

EXECUTION_STATUSES: Mapping[int, ExecutionStatus] = {
    n: each for each, n in EXECUTION_STATUS.items()
}
FAILURE_KINDS: Mapping[int, FailureKind] = {n: each for each, n in FAILURE_KIND.items()}
ORDERS: Mapping[int, Order] = {n: each for each, n in ORDER.items()}
