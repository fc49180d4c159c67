"""Putting together what a worker needs to run a phase that it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from phaseline.app import prompts
from phaseline.app.leasing import Granted, LeaseRef, LeaseTokens
from phaseline.app.limits import Limits
from phaseline.app.ports import Clock, Reads, Slot
from phaseline.app.tokens import Signer
from phaseline.domain.execution import NO_CONTENT, Content, Execution, Phase
from phaseline.domain.failure import Failure, FailureKind
from phaseline.domain.payload import Payload
from phaseline.domain.report import Failed
from phaseline.domain.timing import heartbeat_interval, lease_end, run_deadline
from phaseline.domain.workflow import PhaseSpec

# Of a lease in an answer, besides what is counted: ids, times, the phase and its usage.
_FRAME = 4 * 1024


class Assigned(msgspec.Struct, frozen=True):
    """A leased phase with all that is needed to run it."""

    lease_token: str
    fencing_token: int
    time_to_live: timedelta
    heartbeat_interval: timedelta
    execution: Execution
    position: int
    content: Content
    prompt: str
    timeout: timedelta | None
    #: Of the phases it depends on directly, by phase_id. One without data or uri was left out.
    outputs: Mapping[str, Payload]
    checkpoint: Payload | None
    remaining_budget_nanos: int | None

    @property
    def phase(self) -> Phase:
        return self.execution.phases[self.position]

    @property
    def spec(self) -> PhaseSpec:
        return self.execution.spec_of(self.position)


class Made(msgspec.Struct, frozen=True):
    """What became of leases on the way to a worker."""

    assigned: Sequence[Assigned]
    #: Does not fit into the same answer.
    left_over: Sequence[Granted]
    #: Cannot run at all.
    impossible: Sequence[tuple[Granted, Failed]]


class Assignments:
    """Makes assignments from leases."""

    def __init__(self, reads: Reads, *, clock: Clock, signer: Signer, limits: Limits) -> None:
        self._reads, self._clock = reads, clock
        self._tokens = LeaseTokens(signer)
        self._limits = limits

    def ref(self, granted: Granted) -> LeaseRef:
        """Return the reference of a lease."""
        return LeaseRef(granted.slot, granted.lease.epoch)

    async def make(self, granted: Sequence[Granted]) -> Made:
        """Return what the worker gets of *granted*, in the same order."""
        assigned: list[Assigned] = []
        left_over: list[Granted] = []
        impossible: list[tuple[Granted, Failed]] = []
        room = self._limits.answer
        for one in granted:
            content = NO_CONTENT
            if one.execution.spec.has_content:
                content = await self._reads.content(one.slot.key)
            size = prompts.filled_size(one.execution, one.slot.position, content)
            if size > self._limits.prompt:
                impossible.append((one, _too_large(size, self._limits.prompt)))
                continue
            checkpoint = await self._checkpoint(one)
            size += content.size + _size_of(one, checkpoint)
            if assigned and size > room:
                left_over.append(one)
                continue
            made, room = await self._assigned(one, content, checkpoint, room - size)
            assigned.append(made)
        return Made(assigned, left_over, impossible)

    async def _assigned(
        self, granted: Granted, content: Content, checkpoint: Payload | None, room: int
    ) -> tuple[Assigned, int]:
        execution, position, lease = granted.execution, granted.slot.position, granted.lease
        outputs = await self._outputs(granted)
        now = self._clock.now()
        given: dict[str, Payload] = {}
        for other in execution.workflow.dependencies[position]:
            output = outputs.get(other)
            if output is not None:
                if output.size > room:
                    output = Payload(media_type=output.media_type)
                room -= output.size
                given[execution.phases[other].phase_id] = output
        made = Assigned(
            lease_token=self._tokens.write(granted.slot, lease.epoch),
            fencing_token=lease.epoch,
            time_to_live=max(lease_end(lease) - now, timedelta()),
            heartbeat_interval=heartbeat_interval(lease),
            execution=execution,
            position=position,
            content=content,
            prompt=prompts.filled(execution, position, content, outputs),
            timeout=_time_left(execution, lease.deadline, now),
            outputs=given,
            checkpoint=checkpoint,
            remaining_budget_nanos=granted.budget_left_nanos,
        )
        return made, room

    async def _checkpoint(self, granted: Granted) -> Payload | None:
        if not granted.execution.phases[granted.slot.position].has_checkpoint:
            return None
        return await self._reads.checkpoint(granted.slot)

    async def _outputs(self, granted: Granted) -> Mapping[int, Payload]:
        """Return the outputs that the prompt or the worker asks for."""
        execution, position = granted.execution, granted.slot.position
        named = prompts.outputs_named(execution, position)
        wanted = {
            other
            for other in (*named, *execution.workflow.dependencies[position])
            if execution.phases[other].output_size is not None
        }
        if not wanted:
            return {}
        slots = [Slot(granted.slot.key, other) for other in wanted]
        found = await self._reads.outputs(slots)
        return {slot.position: output for slot, output in found.items()}


def _size_of(granted: Granted, checkpoint: Payload | None) -> int:
    """Return the bytes that a lease takes in an answer besides its prompt and content, roughly."""
    spec = granted.execution.spec
    texts = (*spec.repos, *spec.labels, *spec.labels.values())
    config = granted.execution.spec_of(granted.slot.position).config
    kept = 0 if checkpoint is None else checkpoint.size
    return _FRAME + kept + len(config.encode()) + sum(len(text.encode()) for text in texts)


def _time_left(execution: Execution, deadline: datetime | None, now: datetime) -> timedelta | None:
    ends = [end for end in (deadline, run_deadline(execution)) if end is not None]
    return max(min(ends) - now, timedelta()) if ends else None


def _too_large(size: int, longest: int) -> Failed:
    message = f"the filled prompt has {size} bytes, at most {longest} are allowed"
    return Failed(Failure(FailureKind.ERROR, "PROMPT_TOO_LARGE", message, retryable=False))
