"""What a worker tells about a phase it leased, and what it is told in return."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from phaseline.domain.failure import Cancellation, Failure
from phaseline.domain.payload import Payload
from phaseline.domain.usage import ModelUsage

#: Most of an operation's error_message.
ERROR_LENGTH = 1024


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """What a running phase says of itself."""

    #: Share of the work done, 0 to 100.
    percent: int = 0
    message: str = ""


class OperationReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """An operation as its worker reports it; a repeated id replaces the whole."""

    operation_id: str
    operation_type: str
    parent_operation_id: str = ""
    #: If set, the operation is a tool call.
    tool_name: str = ""
    tool_use_id: str = ""
    #: None while it goes on.
    success: bool | None = None
    #: Began, by the worker's clock; None means when the report is received.
    timestamp: datetime | None = None
    completed_at: datetime | None = None
    error_message: str = ""
    usage: ModelUsage | None = None
    input: Payload | None = None
    output: Payload | None = None

    @property
    def goes_on(self) -> bool:
        """Whether its end has not been told."""
        return self.success is None and self.completed_at is None


class ArtifactDraft(msgspec.Struct, frozen=True):
    """A file that a completed phase leaves behind, before it has an id."""

    name: str
    content: Payload


class Completed(msgspec.Struct, frozen=True, tag="completed"):
    """The phase is done."""

    output: Payload | None = None
    artifacts: tuple[ArtifactDraft, ...] = ()


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The attempt failed, or stopped because it was told to."""

    failure: Failure
    #: Shortest delay before another attempt.
    retry_delay: timedelta = timedelta()


class Released(msgspec.Struct, frozen=True, tag="released"):
    """The attempt is given back unfinished and does not count."""

    #: Lease it to nobody before.
    delay: timedelta = timedelta()


Outcome = Completed | Failed | Released


class Report(msgspec.Struct, frozen=True):
    """News of one leased phase; with a lease_token alone it is a heartbeat."""

    lease_token: str
    #: Rises with every report of the lease; 0 is always stored.
    sequence: int = 0
    operations: tuple[OperationReport, ...] = ()
    #: Usage of the whole attempt so far; None keeps what was reported before.
    usage_by_model: tuple[ModelUsage, ...] | None = None
    #: Credits of the whole attempt so far; None keeps what was reported before.
    credits_nanos: int | None = None
    checkpoint: Payload | None = None
    progress: Progress | None = None
    session_id: str = ""
    outcome: Outcome | None = None


class DirectiveAction(StrEnum):
    """What a worker must do with a phase it reported on."""

    CONTINUE = "continue"  #: go on, the lease is renewed
    CANCEL = "cancel"  #: stop, then report failed with kind CANCELLED
    ABANDON = "abandon"  #: stop at once and report no more
    ACCEPTED = "accepted"  #: the outcome is stored, the lease has ended


class AbandonReason(StrEnum):
    """Why a lease is lost."""

    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    ENDED = "ended"
    UNKNOWN = "unknown"


class RetryDecision(StrEnum):
    """What follows a failed attempt."""

    RETRY = "retry"
    EXHAUSTED = "exhausted"
    NOT_RETRYABLE = "not_retryable"
    STOPPED = "stopped"


class Rejection(msgspec.Struct, frozen=True):
    """A part of a report that was left out as invalid."""

    #: Its path, such as "operations[3].operation_id".
    field: str
    reason: str
    message: str


class Directive(msgspec.Struct, frozen=True):
    """What became of one report, and what to do now."""

    action: DirectiveAction
    #: ABANDON only.
    abandon_reason: AbandonReason | None = None
    #: Left of the lease, or of the grace period on CANCEL.
    time_to_live: timedelta | None = None
    cancellation: Cancellation | None = None
    rejections: tuple[Rejection, ...] = ()
    #: The report, or its outcome, had been stored before.
    replayed: bool = False
    retry_decision: RetryDecision | None = None
    next_attempt_at: datetime | None = None


class LeaseRequest(msgspec.Struct, frozen=True):
    """What a worker asks for when it polls."""

    worker_id: str
    request_id: str
    queue_names: tuple[str, ...] = ("default",)
    #: Empty means all.
    handlers: tuple[str, ...] = ()
    deployment_id: str = ""
    max_phases: int = 1
    wait: timedelta = timedelta(seconds=30)
    lease_duration: timedelta = timedelta(seconds=30)
    #: The worker is in the process of the server that it asks, and ends with it.
    is_embedded: bool = False
