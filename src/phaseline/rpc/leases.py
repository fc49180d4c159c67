"""A leased phase as a message, with all that its worker needs."""

from __future__ import annotations

from datetime import datetime

from phaseline.app.assignments import Assigned
from phaseline.domain.money import format_amount
from phaseline.v1 import execution_pb2, worker_service_pb2
from phaseline.wire.executions import add_content, basic_message
from phaseline.wire.payloads import payload_message
from phaseline.wire.phases import phase_message
from phaseline.wire.scalars import duration, optional_duration
from phaseline.wire.structs import object_message


def lease_message(assigned: Assigned, now: datetime) -> worker_service_pb2.PhaseLease:
    """Return *assigned* as a message."""
    spec, budget = assigned.spec, assigned.remaining_budget_nanos
    message = worker_service_pb2.PhaseLease(
        lease_token=assigned.lease_token,
        fencing_token=assigned.fencing_token,
        time_to_live=duration(assigned.time_to_live),
        heartbeat_interval=duration(assigned.heartbeat_interval),
        phase=phase_message(assigned.execution, assigned.position, now),
        execution=_execution(assigned, now),
        prompt=assigned.prompt,
        model=spec.model,
        config=object_message(spec.config) if spec.config else None,
        timeout=optional_duration(assigned.timeout),
        checkpoint=None if assigned.checkpoint is None else payload_message(assigned.checkpoint),
        remaining_budget_usd="" if budget is None else format_amount(budget),
        traceparent=assigned.execution.spec.traceparent,
    )
    for phase_id, output in assigned.outputs.items():
        message.outputs[phase_id].CopyFrom(payload_message(output))
    return message


def _execution(assigned: Assigned, now: datetime) -> execution_pb2.Execution:
    message = basic_message(assigned.execution, now)
    add_content(message, assigned.content)
    return message
