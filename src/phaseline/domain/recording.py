"""Taking in what a running attempt tells of itself, its operations first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from phaseline.domain.advance import KEPT_TOOL_NAMES
from phaseline.domain.execution import Execution, Lease, Operation, Phase
from phaseline.domain.report import OperationReport, Report

_MODEL_CALL = "model"


class Recorded(msgspec.Struct, frozen=True):
    """What an operation that is on record already counts for."""

    ordinal: int
    has_tool: bool
    is_model_call: bool
    goes_on: bool

    @classmethod
    def of(cls, ordinal: int, told: OperationReport) -> Recorded:
        """Return what *told* counts for at its place."""
        is_model_call = told.operation_type == _MODEL_CALL
        return cls(ordinal, bool(told.tool_name), is_model_call, told.goes_on)


def absorb(phase: Phase, lease: Lease, told: Report) -> Phase:
    """Return *phase* with the news of *told*, its operations left out."""
    news = replace(
        lease,
        sequence=max(lease.sequence, told.sequence),
        usage_by_model=(
            lease.usage_by_model if told.usage_by_model is None else told.usage_by_model
        ),
        credits_nanos=(lease.credits_nanos if told.credits_nanos is None else told.credits_nanos),
    )
    return replace(
        phase,
        lease=news,
        session_id=told.session_id or phase.session_id,
        progress=told.progress or phase.progress,
        has_checkpoint=phase.has_checkpoint or told.checkpoint is not None,
    )


def says_something(told: Report) -> bool:
    """Whether *told* is more than a heartbeat."""
    return bool(
        told.operations
        or told.usage_by_model is not None
        or told.credits_nanos is not None
        or told.checkpoint is not None
        or told.progress is not None
        or told.session_id
    )


def record(
    execution: Execution,
    position: int,
    reports: tuple[OperationReport, ...],
    recorded: Mapping[str, Recorded],
    now: datetime,
) -> tuple[Phase, tuple[Operation, ...]]:
    """
    Return the leased phase with the counts of its operations, and the operations to store.

    *recorded* holds those of *reports* that this attempt has reported before.
    """
    phase = execution.phases[position]
    lease = phase.lease
    assert lease is not None, "only a leased phase has an attempt that reports"
    ordinal = sum(other.operation_count for other in execution.phases)
    known = dict(recorded)
    stored: dict[str, Operation] = {}
    new = tools = models = going = 0
    for told in reports:
        before = known.get(told.operation_id)
        now_counts = Recorded.of(before.ordinal if before else ordinal + new, told)
        known[told.operation_id] = now_counts
        new += before is None
        tools += now_counts.has_tool - (before is not None and before.has_tool)
        models += now_counts.is_model_call - (before is not None and before.is_model_call)
        going += now_counts.goes_on - (before is not None and before.goes_on)
        stored[told.operation_id] = Operation(
            key=execution.key,
            phase_id=phase.phase_id,
            position=position,
            epoch=lease.epoch,
            attempt=phase.attempt,
            ordinal=now_counts.ordinal,
            reported=told if told.timestamp else replace(told, timestamp=now),
            is_new=told.operation_id not in recorded,
        )
    names = {told.tool_name for told in reports if told.tool_name}
    phase = replace(
        phase,
        lease=replace(
            lease,
            tool_call_count=lease.tool_call_count + tools,
            open_operations=lease.open_operations + going,
        ),
        operation_count=phase.operation_count + new,
        model_call_count=phase.model_call_count + models,
        tool_names=tuple(sorted(names.union(phase.tool_names))[:KEPT_TOOL_NAMES]),
    )
    return phase, tuple(stored.values())
