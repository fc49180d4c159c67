"""What a handler sees of the phase it runs, and what it can tell."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from msgspec.structs import replace

from phaseline.domain.failure import Cancellation
from phaseline.domain.money import format_amount
from phaseline.domain.payload import Payload
from phaseline.domain.report import ArtifactDraft, OperationReport, Progress
from phaseline.domain.usage import ModelUsage
from phaseline.worker.assignment import Assignment
from phaseline.worker.clock import Clock
from phaseline.worker.failures import AttemptStopped
from phaseline.worker.limits import (
    ARTIFACT_NAME_LENGTH,
    ARTIFACTS,
    ERROR_LENGTH,
    ID_LENGTH,
    OPERATION_PAYLOAD_BYTES,
    OPERATION_TYPE_LENGTH,
    PAYLOAD_BYTES,
    PROGRESS_LENGTH,
)
from phaseline.worker.operation import Operation, model_usage, nanos
from phaseline.worker.outbox import Outbox
from phaseline.worker.values import media_type_of_file, payload_of, plain, shortened


class StopReason(StrEnum):
    """Why an attempt is to stop."""

    CANCELLED = "cancelled"  #: the server wants it
    TIMED_OUT = "timed out"  #: its time is used up
    DRAINING = "draining"  #: the worker ends; another will run the phase
    LOST = "lost"  #: the lease is lost; another worker may be running the phase


class Context:
    """
    One attempt of a phase, as its handler sees it.

    Methods that tell something return at once: reports go out in the background, many in one call.
    They may be called in any thread, and are without effect once the attempt has ended. All may
    raise `ValueError` for what the server would refuse, and `TypeError` for what JSON cannot say.
    """

    def __init__(self, assignment: Assignment, outbox: Outbox, clock: Clock) -> None:
        self.assignment = assignment
        self._outbox = outbox
        self._clock = clock
        self._numbers = itertools.count(1)
        self._artifacts: dict[str, ArtifactDraft] = {}
        self._stop_reason: StopReason | None = None
        self._cancellation: Cancellation | None = None
        self._told_to_stop: asyncio.Event | None = None
        self._ends_at = (
            None
            if assignment.timeout is None
            else clock.time() + assignment.timeout.total_seconds()
        )

    @property
    def execution_id(self) -> str:
        return self.assignment.execution_id

    @property
    def workflow_id(self) -> str:
        return self.assignment.workflow_id

    @property
    def phase_id(self) -> str:
        return self.assignment.phase_id

    @property
    def attempt(self) -> int:
        """Its number, from 1."""
        return self.assignment.attempt

    @property
    def fencing_token(self) -> int:
        """Rises with every lease of the phase: for outside systems that can refuse an older one."""
        return self.assignment.fencing_token

    @property
    def prompt(self) -> str:
        """The prompt, filled."""
        return self.assignment.prompt

    @property
    def task(self) -> str:
        return self.assignment.task

    @property
    def inputs(self) -> Mapping[str, str]:
        return self.assignment.inputs

    @property
    def outputs(self) -> Mapping[str, Payload]:
        """Outputs of the phases that this one depends on, by phase_id."""
        return self.assignment.outputs

    @property
    def payload(self) -> Payload | None:
        """What the execution was started with."""
        return self.assignment.payload

    @property
    def checkpoint(self) -> Payload | None:
        """The last that an earlier attempt saved."""
        return self.assignment.checkpoint

    @property
    def config(self) -> Mapping[str, object]:
        """Settings of the phase for its handler. Numbers are floats."""
        return self.assignment.config

    @property
    def model(self) -> str:
        """Model asked for; empty leaves the choice to the handler."""
        return self.assignment.model

    @property
    def session_id(self) -> str:
        return self.assignment.session_id

    @property
    def labels(self) -> Mapping[str, str]:
        return self.assignment.labels

    @property
    def repos(self) -> tuple[str, ...]:
        return self.assignment.repos

    @property
    def traceparent(self) -> str:
        """W3C trace context of the call that started the execution."""
        return self.assignment.traceparent

    @property
    def timeout(self) -> timedelta | None:
        """What the attempt was given; None means no limit."""
        return self.assignment.timeout

    @property
    def remaining_time(self) -> timedelta | None:
        """What is left of the timeout now."""
        if self._ends_at is None:
            return None
        return timedelta(seconds=max(0.0, self._ends_at - self._clock.time()))

    @property
    def remaining_budget_usd(self) -> Decimal | None:
        """What was left of the budget when the phase was leased; None means no limit."""
        left = self.assignment.remaining_budget_nanos
        return None if left is None else Decimal(format_amount(left))

    @property
    def now(self) -> datetime:
        """The present moment, UTC, by the clock that stamps operations."""
        return self._clock.now()

    def operation(
        self,
        name: str = "",
        *,
        type: str = "tool",
        input: object = None,
        operation_id: str = "",
        parent_operation_id: str = "",
        tool_use_id: str = "",
    ) -> Operation:
        """
        Return a context manager, plain or async, that records an operation from begin to end.

        Of *type* "tool" the *name* is that of the tool; of any other it only shows in the
        operation_id, which is made up unless it is given.
        """
        report = OperationReport(
            operation_id=operation_id or f"{(name or type)[:100]}-{next(self._numbers)}",
            operation_type=type,
            parent_operation_id=parent_operation_id,
            tool_name=name if type == "tool" else "",
            tool_use_id=tool_use_id,
            input=None if input is None else payload_of(input),
        )
        return Operation(report, self.record, self._clock.now)

    def record(self, report: OperationReport) -> None:
        """Record an operation as it is; the same operation_id again replaces the whole."""
        self._outbox.operation(_fitting(report))

    def usage(
        self,
        model: str,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_creation_tokens: int = 0,
        cache_read_tokens: int = 0,
        cost_usd: Decimal | str | None = None,
    ) -> None:
        """
        Tell what *model* consumed in this attempt up to now; it replaces what was told before.

        The four counts are disjoint. Without a cost the server prices the tokens.
        """
        tokens = (input_tokens, output_tokens, cache_creation_tokens, cache_read_tokens)
        self._outbox.usage(model_usage(model, tokens, cost_usd))

    def add_usage(
        self,
        model: str,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_creation_tokens: int = 0,
        cache_read_tokens: int = 0,
        cost_usd: Decimal | str | None = None,
    ) -> None:
        """Tell what *model* consumed more; it is added to what was told before."""
        tokens = (input_tokens, output_tokens, cache_creation_tokens, cache_read_tokens)
        self._outbox.usage(model_usage(model, tokens, cost_usd), adding=True)

    def replace_usage(self, models: Sequence[ModelUsage]) -> None:
        """Tell what all models consumed in this attempt, in place of all that was told before."""
        self._outbox.replace_usage(models)

    @property
    def backlog(self) -> int:
        """About how many bytes of operations were recorded and not reported yet."""
        return self._outbox.backlog

    def credits(self, used: Decimal | str) -> None:
        """Tell the credits used in this attempt up to now; it replaces what was told before."""
        self._outbox.credits(nanos(used))

    def progress(self, percent: int, message: str = "") -> None:
        """Tell how far the attempt is, 0 to 100, and what it does."""
        if not 0 <= percent <= 100:
            raise ValueError(f"progress must be 0 to 100 percent, not {percent}")
        self._outbox.progress(Progress(int(percent), plain(message, PROGRESS_LENGTH)))

    def artifact(self, name: str, content: object, media_type: str = "") -> None:
        """
        Leave a file behind once the phase is completed: text, bytes, a Payload, or JSON.

        The same name again replaces it. Without *media_type* the name and the content decide.
        """
        if not 1 <= len(name) <= ARTIFACT_NAME_LENGTH:
            raise ValueError(
                f"the name of an artifact must have 1 to {ARTIFACT_NAME_LENGTH} characters"
            )
        if name not in self._artifacts and len(self._artifacts) == ARTIFACTS:
            raise ValueError(f"a phase can have {ARTIFACTS} artifacts at most")
        payload = _inline(payload_of(content), f"artifact {name!r}")
        if payload.data is not None and not isinstance(content, Payload):
            media_type = media_type or media_type_of_file(name, payload.data)
        if media_type:
            payload = replace(payload, media_type=media_type)
        self._artifacts[name] = ArtifactDraft(plain(name, ARTIFACT_NAME_LENGTH), payload)

    @property
    def artifacts(self) -> tuple[ArtifactDraft, ...]:
        """The files to leave behind, as `artifact` was told."""
        return tuple(self._artifacts.values())

    def save_checkpoint(self, value: object) -> None:
        """Keep what a next attempt needs to go on from here: text, bytes, a Payload, or JSON."""
        self._outbox.checkpoint(_inline(payload_of(value), "checkpoint"))

    def session(self, session_id: str) -> None:
        """Tell which agent session does the work."""
        if len(session_id) > ID_LENGTH:
            raise ValueError(f"a session_id can have {ID_LENGTH} characters at most")
        self._outbox.session(plain(session_id, ID_LENGTH))

    @property
    def cancelled(self) -> bool:
        """Whether the attempt was told to stop, whatever the reason."""
        return self._stop_reason is not None

    @property
    def stop_reason(self) -> StopReason | None:
        """Why it was told to stop."""
        return self._stop_reason

    @property
    def cancellation(self) -> Cancellation | None:
        """Who stopped the execution and why, if that is the reason."""
        return self._cancellation

    async def wait_cancelled(self) -> None:
        """Return once the attempt is told to stop. On the event loop only."""
        if self._told_to_stop is None:
            self._told_to_stop = asyncio.Event()
        if not self.cancelled:
            await self._told_to_stop.wait()

    def raise_if_cancelled(self) -> None:
        """Raise `AttemptStopped` once the attempt is told to stop. Let it pass through."""
        if self._stop_reason is not None:
            raise AttemptStopped(self._stop_reason.value)

    def tell_to_stop(self, reason: StopReason, cancellation: Cancellation | None = None) -> None:
        """For the runner: have the handler stop."""
        self._stop_reason, self._cancellation = reason, cancellation
        if self._told_to_stop is not None:
            self._told_to_stop.set()


def _inline(payload: Payload, what: str) -> Payload:
    if payload.size > PAYLOAD_BYTES:
        raise ValueError(
            f"{what} has {payload.size} bytes and can have {PAYLOAD_BYTES}; "
            "keep it elsewhere and hand over its uri"
        )
    return payload


def _fitting(report: OperationReport) -> OperationReport:
    """Return the operation so that the server takes it: what is too long is cut."""
    return OperationReport(
        operation_id=plain(report.operation_id, ID_LENGTH),
        operation_type=plain(report.operation_type, OPERATION_TYPE_LENGTH),
        parent_operation_id=plain(report.parent_operation_id, ID_LENGTH),
        tool_name=plain(report.tool_name, ID_LENGTH),
        tool_use_id=plain(report.tool_use_id, ID_LENGTH),
        success=report.success,
        timestamp=report.timestamp,
        completed_at=report.completed_at,
        error_message=plain(report.error_message, ERROR_LENGTH),
        usage=report.usage,
        input=report.input and shortened(report.input, OPERATION_PAYLOAD_BYTES),
        output=report.output and shortened(report.output, OPERATION_PAYLOAD_BYTES),
    )
