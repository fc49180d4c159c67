"""A leased phase as a message, with all that its worker needs."""

from __future__ import annotations

from datetime import datetime

from phaseline.app.assignments import Assigned
from phaseline.domain.money import format_amount
from phaseline.v1 import worker_service_pb2
from phaseline.wire.executions import add_content, fill_basic
from phaseline.wire.payloads import payload_message
from phaseline.wire.phases import fill_phase
from phaseline.wire.scalars import put_duration
from phaseline.wire.structs import object_message


def fill_lease(message: worker_service_pb2.PhaseLease, assigned: Assigned, now: datetime) -> None:
    """Fill the new *message* with *assigned*."""
    spec, budget = assigned.spec, assigned.remaining_budget_nanos
    message.lease_token = assigned.lease_token
    message.fencing_token = assigned.fencing_token
    put_duration(message.time_to_live, assigned.time_to_live)
    put_duration(message.heartbeat_interval, assigned.heartbeat_interval)
    fill_phase(message.phase, assigned.execution, assigned.position, now)
    fill_basic(message.execution, assigned.execution, now)
    add_content(message.execution, assigned.content)
    message.prompt = assigned.prompt
    message.model = spec.model
    message.traceparent = assigned.execution.spec.traceparent
    if spec.config:
        message.config.CopyFrom(object_message(spec.config))
    if assigned.timeout is not None:
        put_duration(message.timeout, assigned.timeout)
    if assigned.checkpoint is not None:
        message.checkpoint.CopyFrom(payload_message(assigned.checkpoint))
    if budget is not None:
        message.remaining_budget_usd = format_amount(budget)
    for phase_id, output in assigned.outputs.items():
        message.outputs[phase_id].CopyFrom(payload_message(output))
