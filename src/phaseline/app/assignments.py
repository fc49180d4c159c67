"""Putting together what a worker needs to run a phase that it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from phaseline.app.leasing import Granted, LeaseRef, LeaseTokens
from phaseline.app.limits import Limits
from phaseline.app.ports import Clock, Reads, Slot
from phaseline.app.tokens import Signer
from phaseline.domain import prompt
from phaseline.domain.execution import NO_CONTENT, Content, Execution, Phase
from phaseline.domain.failure import Failure, FailureKind
from phaseline.domain.payload import Payload
from phaseline.domain.report import Failed
from phaseline.domain.timing import lease_end, run_deadline
from phaseline.domain.workflow import PhaseSpec

# A third of the lease: two heartbeats may be lost before the lease is.
_HEARTBEATS = 3
# A worker learns with its next report that it is to stop, so it must not be silent for long.
_LONGEST_SILENCE = timedelta(seconds=5)


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
        outputs = await self._outputs(granted)
        assigned: list[Assigned] = []
        left_over: list[Granted] = []
        impossible: list[tuple[Granted, Failed]] = []
        room = self._limits.answer
        for one in granted:
            content = NO_CONTENT
            if one.execution.spec.has_content:
                content = await self._reads.content(one.slot.key)
            text = _prompt(one, content, outputs)
            size = len(text.encode())
            if size > self._limits.prompt:
                impossible.append((one, _too_large(size, self._limits.prompt)))
            elif assigned and size + content.size > room:
                left_over.append(one)
            else:
                room -= size + content.size
                made, room = await self._assigned(one, content, text, outputs, room)
                assigned.append(made)
        return Made(assigned, left_over, impossible)

    async def _assigned(
        self,
        granted: Granted,
        content: Content,
        text: str,
        outputs: Mapping[Slot, Payload],
        room: int,
    ) -> tuple[Assigned, int]:
        execution, position = granted.execution, granted.slot.position
        lease, phase = granted.lease, granted.execution.phases[granted.slot.position]
        now = self._clock.now()
        given: dict[str, Payload] = {}
        for other in execution.workflow.dependencies[position]:
            output = outputs.get(Slot(granted.slot.key, other))
            if output is not None:
                if output.size > room:
                    output = Payload(media_type=output.media_type)
                room -= output.size
                given[execution.phases[other].phase_id] = output
        checkpoint = await self._reads.checkpoint(granted.slot) if phase.has_checkpoint else None
        made = Assigned(
            lease_token=self._tokens.write(granted.slot, lease.epoch),
            fencing_token=lease.epoch,
            time_to_live=max(lease_end(lease) - now, timedelta()),
            heartbeat_interval=min(lease.duration / _HEARTBEATS, _LONGEST_SILENCE),
            execution=execution,
            position=position,
            content=content,
            prompt=text,
            timeout=_time_left(execution, lease.deadline, now),
            outputs=given,
            checkpoint=checkpoint,
            remaining_budget_nanos=granted.budget_left_nanos,
        )
        return made, room

    async def _outputs(self, granted: Sequence[Granted]) -> Mapping[Slot, Payload]:
        """Return all outputs that the prompts or the workers ask for, in one read."""
        wanted = {
            Slot(one.slot.key, other) for one in granted for other in _wanted(one.execution, one)
        }
        return await self._reads.outputs(tuple(wanted)) if wanted else {}


def _wanted(execution: Execution, granted: Granted) -> set[int]:
    position = granted.slot.position
    named = prompt.names(execution.spec_of(position).prompt)
    positions = execution.workflow.positions
    wanted = {positions[name] for name in named if name in positions}
    wanted.update(execution.workflow.dependencies[position])
    return {other for other in wanted if execution.phases[other].output_size is not None}


def _prompt(granted: Granted, content: Content, outputs: Mapping[Slot, Payload]) -> str:
    execution = granted.execution
    template = execution.spec_of(granted.slot.position).prompt
    if not template:
        return ""

    def value_of(name: str) -> str:
        if name == "execution_id":
            return execution.spec.execution_id
        if name == "workflow_id":
            return execution.workflow.workflow_id
        position = execution.workflow.positions.get(name)
        if position is None:
            return content.inputs.get(name, "")
        output = outputs.get(Slot(granted.slot.key, position))
        return "" if output is None else output.text()

    return prompt.fill(template, task=content.task, value_of=value_of)


def _time_left(execution: Execution, deadline: datetime | None, now: datetime) -> timedelta | None:
    ends = [end for end in (deadline, run_deadline(execution)) if end is not None]
    return max(min(ends) - now, timedelta()) if ends else None


def _too_large(size: int, longest: int) -> Failed:
    message = f"the filled prompt has {size} bytes, at most {longest} are allowed"
    return Failed(Failure(FailureKind.ERROR, "PROMPT_TOO_LARGE", message, retryable=False))
