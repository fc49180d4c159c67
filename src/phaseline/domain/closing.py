"""How operations end that their attempt has left open."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec
from msgspec.structs import replace

from phaseline.domain.execution import EndedBy, Ending, Execution, Operation, Phase
from phaseline.domain.report import ERROR_LENGTH


class Closing(msgspec.Struct, frozen=True):
    """The end of all operations that an attempt has left open."""

    epoch: int
    #: How many there are.
    count: int
    completed_at: datetime
    #: None if the attempt completed: then nobody knows.
    success: bool | None
    error_message: str


def closings(
    before: Execution | None, after: Execution, now: datetime
) -> Iterator[tuple[int, Closing]]:
    """Yield position and closing of the attempts that have ended since *before*, if any is due."""
    for position, phase in enumerate(after.phases):
        ending = phase.ending
        if ending is None or not ending.open_operations:
            continue
        if before is None or before.phases[position].ending != ending:
            yield position, _closing(phase, ending, now)


def closed(operation: Operation, closing: Closing) -> Operation:
    """Return *operation* as its attempt's end leaves it: the same, if its own was told."""
    told = operation.reported
    if not told.goes_on:
        return operation
    ended = replace(
        told,
        success=closing.success,
        # Its beginning was told by another clock.
        completed_at=max(closing.completed_at, told.timestamp or closing.completed_at),
        error_message=closing.error_message,
    )
    return replace(operation, reported=ended)


def _closing(phase: Phase, ending: Ending, now: datetime) -> Closing:
    count = ending.open_operations
    if ending.how is EndedBy.COMPLETED:
        return Closing(ending.epoch, count, now, None, "")
    why = "it had not ended when its attempt did"
    if ending.how is EndedBy.RELEASED:
        # The failure that a phase shows then is that of an attempt before.
        why = "it had not ended when its attempt was given back"
    elif phase.failure is not None and phase.failure.message:
        why = f"{why}: {phase.failure.message}"
    return Closing(ending.epoch, count, now, False, why[:ERROR_LENGTH])
