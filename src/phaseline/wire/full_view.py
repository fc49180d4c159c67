"""An execution with all that Get shows, within the size of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from google.protobuf.message import Message

from phaseline.app.ports import Detail
from phaseline.domain.execution import Execution
from phaseline.domain.payload import Payload
from phaseline.v1 import execution_pb2
from phaseline.wire.executions import add_figures, add_texts, fill_basic, payload_in
from phaseline.wire.operations import operation_message
from phaseline.wire.payloads import payload_message
from phaseline.wire.phases import add_attempts, fill_phase

# Clients of gRPC accept 4 MiB by default.
ANSWER_SIZE = 3 * 1024 * 1024

# Around each message in a list: its tag and its length.
_FRAMING = 6


def full_message(
    detail: Detail, now: datetime, phase_ids: Sequence[str] = (), *, size: int = ANSWER_SIZE
) -> execution_pb2.Execution:
    """
    Return an execution with its phases and their operations; only *phase_ids* of them if any.

    What would take it past *size* bytes is left out: payloads come without their bytes first.
    """
    message = execution_pb2.Execution()
    fill_full(message, detail, now, phase_ids, size=size)
    return message


def fill_full(
    message: execution_pb2.Execution,
    detail: Detail,
    now: datetime,
    phase_ids: Sequence[str] = (),
    *,
    size: int = ANSWER_SIZE,
) -> None:
    """Fill the new *message* with what `full_message` returns."""
    execution = detail.execution
    fill_basic(message, execution, now)
    add_figures(message, execution)
    add_texts(message, detail.content)
    phases = _add_phases(message, execution, now, phase_ids)
    room = _Room(size - message.ByteSize())
    for operation in detail.operations:
        phase = phases.get(operation.position)
        if phase is not None:
            made = operation_message(operation)
            if not room.takes(made):
                break
            phase.operations.append(made)
    if phase_ids:
        _add_outputs(phases, detail.outputs, room)
        _add_own_payloads(message, detail, room)
    else:
        _add_own_payloads(message, detail, room)
        _add_outputs(phases, detail.outputs, room)


class _Room:
    """What is left of the size of an answer."""

    def __init__(self, size: int) -> None:
        self._left = size

    def takes(self, message: Message) -> bool:
        """Whether *message* fits; if so, its room is taken."""
        size = message.ByteSize() + _FRAMING
        if size > self._left:
            return False
        self._left -= size
        return True

    def put(self, place: execution_pb2.Payload, payload: Payload) -> None:
        """Put *payload* into *place*, without its bytes if they do not fit."""
        message = payload_message(payload)
        if not self.takes(message):
            message = payload_message(Payload(media_type=payload.media_type))
        place.CopyFrom(message)


def _add_phases(
    message: execution_pb2.Execution,
    execution: Execution,
    now: datetime,
    phase_ids: Sequence[str],
) -> Mapping[int, execution_pb2.Phase]:
    """Put in the phases that are asked for, and return them by position."""
    added = {}
    for position, phase in enumerate(execution.phases):
        if not phase_ids or phase.phase_id in phase_ids:
            added[position] = message.phases.add()
            fill_phase(added[position], execution, position, now)
            add_attempts(added[position], phase)
    return added


def _add_own_payloads(message: execution_pb2.Execution, detail: Detail, room: _Room) -> None:
    """Put in what the execution was given, and if it is completed what its last phase produced."""
    execution = detail.execution
    given = payload_in(detail.content)
    result = detail.outputs.get(execution.total_phases - 1)
    completed = execution.done and execution.failure is None and execution.cancellation is None
    if completed and result is not None:
        room.put(message.result, result)
    if given is not None:
        room.put(message.payload, given)


def _add_outputs(
    phases: Mapping[int, execution_pb2.Phase], outputs: Mapping[int, Payload], room: _Room
) -> None:
    for position, phase in phases.items():
        output = outputs.get(position)
        if output is not None:
            room.put(phase.output, output)
