"""
An execution, its phases and their attempts, as one commit left them.

Values hold values only, so no cycle can come about, and `gc=False` spares each the room and the
time that looking for one takes: a server holds many of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from phaseline.domain.failure import Cancellation, Failure
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import (
    PHASE_TERMINAL,
    TERMINAL,
    ExecutionStatus,
    PhaseStatus,
    is_paused,
)
from phaseline.domain.report import OperationReport, Progress, RetryDecision
from phaseline.domain.timing import next_moment
from phaseline.domain.usage import NO_USAGE, ModelUsage, Usage, merge, total
from phaseline.domain.workflow import PhaseSpec, Workflow

KEPT_ATTEMPTS = 10


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One ended attempt of a phase."""

    attempt: int
    worker_id: str
    started_at: datetime
    completed_at: datetime
    usage: Usage = NO_USAGE
    failure: Failure | None = None


class Lease(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The one running attempt of a phase, and what it has reported so far."""

    #: Rises with every lease of the phase; a report of another epoch does not count.
    epoch: int
    worker_id: str
    #: Of the poll that made it, so that a repeated poll gets it again.
    request_id: str
    request_digest: str
    duration: timedelta
    started_at: datetime
    expires_at: datetime
    #: When the attempt's own timeout is over.
    deadline: datetime | None = None
    #: Since when its worker is to stop, and when the lease ends then at the latest.
    stopped_at: datetime | None = None
    stop_by: datetime | None = None
    #: How long the worker has for it once it has heard of it; None if it has, or goes on.
    untold_grace: timedelta | None = None
    #: The lease ends no earlier, whatever else says so: no server was there to take a report.
    held_until: datetime | None = None
    #: Its worker is in the process of the server that leased it.
    is_embedded: bool = False
    sequence: int = 0
    usage_by_model: tuple[ModelUsage, ...] = ()
    credits_nanos: int = 0
    tool_call_count: int = 0
    #: Operations whose end has yet to be told.
    open_operations: int = 0

    @property
    def has_spent(self) -> bool:
        """Whether anything was reported that counts."""
        return bool(self.usage_by_model or self.credits_nanos or self.tool_call_count)


class EndedBy(StrEnum):
    """What ended a lease."""

    COMPLETED = "completed"  #: a report of that outcome; the same goes for the next two
    FAILED = "failed"
    RELEASED = "released"
    EXPIRED = "expired"  #: it was not renewed
    REVOKED = "revoked"  #: its time limit, or the grace of its worker, was over


class Ending(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How the last lease of a phase ended, to answer a repeated or late report."""

    epoch: int
    how: EndedBy
    retry_decision: RetryDecision | None = None
    next_attempt_at: datetime | None = None
    #: Operations whose end was not told, and which ended with it.
    open_operations: int = 0


class Phase(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One step of an execution. Everything reported is kept, whatever became of the attempt."""

    phase_id: str
    status: PhaseStatus = PhaseStatus.PENDING
    revision: int = 0
    #: Attempts begun; a released one does not count.
    attempt: int = 0
    #: Attempts used up before the last Retry, which grants all of them anew.
    attempts_forgiven: int = 0
    epoch: int = 0
    worker_id: str = ""
    next_attempt_at: datetime | None = None
    lease: Lease | None = None
    ending: Ending | None = None
    session_id: str = ""
    progress: Progress | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    #: Of the attempts that have ended.
    past_usage: Usage = NO_USAGE
    past_usage_by_model: tuple[ModelUsage, ...] = ()
    artifact_ids: tuple[str, ...] = ()
    operation_count: int = 0
    model_call_count: int = 0
    tool_names: tuple[str, ...] = ()
    #: Bytes of the output in a prompt; None while there is no output.
    output_size: int | None = None
    has_checkpoint: bool = False
    failure: Failure | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def done(self) -> bool:
        return self.status in PHASE_TERMINAL

    @property
    def usage(self) -> Usage:
        if self.lease is None or not self.lease.has_spent:
            return self.past_usage
        return self.past_usage + attempt_usage(self.lease)

    @property
    def usage_by_model(self) -> tuple[ModelUsage, ...]:
        if self.lease is None or not self.lease.usage_by_model:
            return self.past_usage_by_model
        return merge(self.past_usage_by_model, self.lease.usage_by_model)


class ExecutionSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What an execution was started with; never changed."""

    workspace_id: str
    execution_id: str
    created_at: datetime
    parent_execution_id: str = ""
    root_execution_id: str = ""
    #: All that are above it in its tree, the root first.
    ancestor_execution_ids: tuple[str, ...] = ()
    step_key: str = ""
    batch_id: str = ""
    session_id: str = ""
    user_id: str = ""
    responder_id: str = ""
    chat_message_id: str = ""
    repos: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    queue_name: str = ""
    concurrency_key: str = ""
    priority: int = 0
    deployment_id: str = ""
    start_at: datetime | None = None
    output_schema_name: str = ""
    traceparent: str = ""
    #: It was given something, which is kept as `Content`.
    has_content: bool = False


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an execution was given; kept apart, since it may be large and is seldom read."""

    inputs: Mapping[str, str] = {}
    task: str = ""
    payload_data: bytes | None = None
    payload_uri: str = ""
    payload_media_type: str = ""
    has_payload: bool = False

    @property
    def size(self) -> int:
        """Bytes that it takes in an answer, roughly."""
        inputs = sum(
            len(name.encode()) + len(value.encode()) for name, value in self.inputs.items()
        )
        return inputs + len(self.task.encode()) + len(self.payload_data or self.payload_uri)


NO_CONTENT = Content()


class Execution(msgspec.Struct, frozen=True, gc=False):
    """
    One run of a workflow.

    The figures in the second part sum up `phases`. They are stored with the execution, so that a
    list need not read phases: `phases` is empty there.
    """

    #: Of what `spec` says, made once: it is what everything finds the execution by.
    key: Key
    spec: ExecutionSpec
    workflow: Workflow
    status: ExecutionStatus
    updated_at: datetime
    phases: tuple[Phase, ...] = ()
    revision: int = 0
    started_at: datetime | None = None
    completed_at: datetime | None = None
    #: When the run began that run_timeout limits: the first phase, again after each Retry.
    run_started_at: datetime | None = None
    paused_at: datetime | None = None
    #: Time PAUSED in this run, ended pauses only.
    paused_for: timedelta = timedelta()
    run_timeout: timedelta | None = None
    max_budget_nanos: int | None = None
    cancellation: Cancellation | None = None
    failure: Failure | None = None
    #: The start_at that lies ahead; None once it has passed.
    waits_until: datetime | None = None
    #: Holds, or needs none of, the slots of its workflow's concurrency limit.
    admitted: bool = True
    is_purged: bool = False
    #: Executions in the tree; counted at its root.
    tree_size: int = 1
    #: Usage of all descendants.
    below: Usage = NO_USAGE

    current_phase: str = ""
    running_phases: tuple[str, ...] = ()
    completed_phases: int = 0
    usage: Usage = NO_USAGE
    retry_count: int = 0
    worker_id: str = ""
    model_call_count: int = 0
    tool_names: tuple[str, ...] = ()
    usage_by_model: tuple[ModelUsage, ...] = ()
    artifact_ids: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        return self.status in TERMINAL

    @property
    def stopping(self) -> bool:
        """Whether its end is decided, and only workers that still run keep it from coming."""
        return (self.cancellation is not None or self.failure is not None) and not self.done

    @property
    def due_at(self) -> datetime | None:
        """The next moment at which time alone changes it."""
        return next_moment(self)

    @property
    def holds_slot(self) -> bool:
        """Whether it counts against the concurrency limit of its workflow."""
        return self.admitted and not self.done

    @property
    def wants_slot(self) -> bool:
        """Whether nothing but a slot of its concurrency limit keeps it from beginning."""
        return (
            not self.admitted
            and not self.done
            and not is_paused(self.status)
            and self.waits_until is None
        )

    @property
    def tree_usage(self) -> Usage:
        return self.usage + self.below

    @property
    def total_phases(self) -> int:
        return len(self.workflow.spec.phases)

    def spec_of(self, position: int) -> PhaseSpec:
        return self.workflow.spec.phases[position]

    def leases(self) -> Iterator[tuple[int, Phase, Lease]]:
        """Yield the position, phase and lease of each running phase."""
        for position, phase in enumerate(self.phases):
            if phase.lease is not None:
                yield position, phase, phase.lease

    def committed(self, before: Execution | None, revision: int) -> Execution:
        """Return it as the commit of *revision* leaves it, which found it as *before*."""
        phases = list(self.phases)
        for position, phase in enumerate(self.phases):
            # A phase that no command has changed is the same object.
            if before is None or before.phases[position] is not phase:
                phases[position] = msgspec.structs.replace(phase, revision=revision)
        return msgspec.structs.replace(self, revision=revision, phases=tuple(phases))

    def with_phase(self, position: int, phase: Phase) -> Execution:
        """Return the execution with *phase* in its place; sums are not made anew."""
        phases = (*self.phases[:position], phase, *self.phases[position + 1 :])
        return msgspec.structs.replace(self, phases=phases)


class Operation(msgspec.Struct, frozen=True):
    """The smallest thing recorded, as stored: what the worker reported, and where it belongs."""

    key: Key
    phase_id: str
    position: int
    epoch: int
    attempt: int
    #: Place in the order of first record, in the execution.
    ordinal: int
    reported: OperationReport
    revision: int = 0
    #: Reported for the first time, by the report at hand; not stored.
    is_new: bool = False


class Artifact(msgspec.Struct, frozen=True):
    """A file that a completed phase left behind; its bytes are kept apart."""

    artifact_id: str
    key: Key
    phase_id: str
    position: int
    name: str
    size_bytes: int
    media_type: str
    uri: str
    created_at: datetime


def attempt_usage(lease: Lease) -> Usage:
    """Return what the running attempt has consumed so far."""
    return total(
        lease.usage_by_model,
        credits_nanos=lease.credits_nanos,
        tool_calls=lease.tool_call_count,
    )
