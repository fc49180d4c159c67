"""One leased phase while its worker is concerned with it, from the lease to the last report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import inf
from typing import Protocol, assert_never

import structlog

from phaseline.domain.errors import PhaselineError
from phaseline.domain.failure import Cancellation, FailureKind
from phaseline.domain.report import (
    Completed,
    Directive,
    DirectiveAction,
    Failed,
    Outcome,
    Rejection,
    Released,
    Report,
)
from phaseline.worker.assignment import Assignment
from phaseline.worker.clock import Clock
from phaseline.worker.context import Context, StopReason
from phaseline.worker.failures import failed
from phaseline.worker.limits import OUTCOME_BYTES
from phaseline.worker.outbox import NO_NEWS, Outbox, payload_size

log = structlog.stdlib.get_logger(__name__)

_SHORTEST_HEARTBEAT = 0.2
#: Reports come this much sooner than the server wants them at the latest.
_HEARTBEAT_SHARE = 0.8
#: Heartbeats due within this share of their interval go out together.
_HEARTBEAT_SLACK = 0.25
#: An attempt is stopped this much before the server itself would end it, so that its last
#: operations and what it consumed still count.
_TIMEOUT_SHARE = 0.05
_TIMEOUT_LEAD = 1.0
#: Of the grace after CANCEL, how much a handler may take; the rest is for the report.
_GRACE_SHARE = 0.8

_TOO_LATE = "not renewed in time"

#: A stop overrules those before it.
_ORDER = (StopReason.DRAINING, StopReason.TIMED_OUT, StopReason.CANCELLED, StopReason.LOST)


class Desk(Protocol):
    """Where an attempt says what it needs. Everything but `news` on the event loop only."""

    def news(self, attempt: Attempt) -> None:
        """It has news, to be reported soon. Callable in any thread."""

    def urgent(self, attempt: Attempt) -> None:
        """It is to be reported at once."""

    def wake_by(self, when: float) -> None:
        """Call its `tick` no later than at *when*."""

    def over(self, attempt: Attempt) -> None:
        """Nothing more is to be reported of it."""


class Attempt:
    """
    One leased phase, its handler and what is to be reported of it.

    It runs until it has an `outcome`, and is over when the server has that, or has taken the
    lease away.
    """

    def __init__(self, assignment: Assignment, desk: Desk, clock: Clock) -> None:
        self.assignment = assignment
        self.outbox = Outbox(self._has_news)
        self.context = Context(assignment, self.outbox, clock)
        self.outcome: Outcome | None = None
        self.is_over = False
        self.in_flight = False
        #: Stops the handler, where that can be done from outside.
        self.interrupt: Callable[[], object] | None = None
        self._desk = desk
        self._clock = clock
        self._sequence = 0
        self._outcome_size = 0
        self._is_substitute = False
        now = clock.time()
        self._heartbeat = _heartbeat(assignment)
        self._heartbeat_at = now + self._heartbeat * _HEARTBEAT_SHARE
        self._expires_at = now + assignment.time_to_live.total_seconds()
        self._timeout_at, self._give_up_at = _timeout(assignment.timeout, now)

    @property
    def due_at(self) -> float:
        """When `tick` has something to do."""
        if self.outcome is not None or self.is_over:
            return inf
        give_up_at = self._give_up_at if self.context.cancelled else inf
        return min(self._heartbeat_at, self._expires_at, self._timeout_at, give_up_at)

    @property
    def size(self) -> int:
        """About how many bytes its next report has."""
        return self.outbox.size + self._outcome_size

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.outcome is not None or self.is_over:
            return
        if now >= self._expires_at:
            self.lose(_TOO_LATE)
        elif self.context.cancelled and now >= self._give_up_at:
            self.give_up()
        else:
            self._tick_while_running(now)

    def _tick_while_running(self, now: float) -> None:
        if now >= self._timeout_at:
            self._timeout_at = inf
            self.stop(StopReason.TIMED_OUT, give_up_at=self._give_up_at)
        if now >= self._heartbeat_at - self._heartbeat * _HEARTBEAT_SLACK:
            self._heartbeat_at = inf
            self._desk.urgent(self)

    def finish(self, outcome: Outcome) -> None:
        """End the attempt with *outcome*, which is reported now. Only the first one counts."""
        if self.outcome is not None or self.is_over:
            return
        if not isinstance(outcome, Completed):
            self.outbox.end_operations("the attempt ended", self._clock.now())
        self.outbox.close()
        self._set_outcome(_bounded(outcome))

    def stop(
        self,
        reason: StopReason,
        *,
        give_up_at: float,
        cancellation: Cancellation | None = None,
    ) -> None:
        """
        Have the handler stop, and report as much at *give_up_at* if it has not ended by then.

        Stopping it once more is without effect, unless the new reason outranks the first.
        """
        before = self.context.stop_reason
        if self.outcome is not None or self.is_over:
            return
        if before is not None and _ORDER.index(before) >= _ORDER.index(reason):
            return
        self._give_up_at = give_up_at
        self.context.tell_to_stop(reason, cancellation)
        self._desk.wake_by(self.due_at)
        if before is None:
            self.kill()

    def give_up(self) -> None:
        """Report that it stopped, its handler ended or not; when it is too late, report nothing."""
        if self.outcome is None and self._clock.time() >= self._expires_at:
            # The worker stood still, and was told to end before its alarm could ring.
            self.lose(_TOO_LATE)
            return
        self.finish(self.stopped())
        if self.context.stop_reason is StopReason.CANCELLED:
            # Its time to end by itself is over.
            self.kill()

    def kill(self) -> None:
        """Interrupt the handler; if that was done before, it now stops without any grace."""
        if self.interrupt is not None:
            self.interrupt()

    def stopped(self) -> Outcome:
        """Return the outcome of an attempt that was told to stop, and did."""
        match self.context.stop_reason:
            case StopReason.TIMED_OUT:
                return failed(
                    f"the attempt did not end within {self.assignment.timeout}",
                    code="PHASE_TIMEOUT",
                    kind=FailureKind.TIMEOUT,
                )
            case StopReason.CANCELLED:
                cancellation = self.context.cancellation
                reason = cancellation.reason if cancellation else ""
                return failed(
                    f"stopped on request: {reason}" if reason else "stopped on request",
                    code="CANCELLED",
                    kind=FailureKind.CANCELLED,
                )
            case _:
                return Released()

    def lose(self, why: str) -> None:
        """Stop the handler at once, and report no more."""
        if self.is_over:
            return
        self._log().warning("lease lost", why=why)
        self.outbox.close()
        self.is_over = True
        self.context.tell_to_stop(StopReason.LOST)
        self.kill()
        self._desk.over(self)

    def next_report(self) -> Report:
        """Return what is to be reported now. The next one comes after `answered`."""
        self.in_flight = True
        self._heartbeat_at = inf
        self._sequence += 1
        news = self.outbox.take()
        outcome = None if self.outbox.has_news else self.outcome
        if news is NO_NEWS:
            return Report(self.assignment.lease_token, self._sequence, outcome=outcome)
        return Report(
            lease_token=self.assignment.lease_token,
            sequence=self._sequence,
            operations=news.operations,
            usage_by_model=news.usage_by_model,
            credits_nanos=news.credits_nanos,
            checkpoint=news.checkpoint,
            progress=news.progress,
            session_id=news.session_id,
            outcome=outcome,
        )

    def answered(self, report: Report, directive: Directive, sent_at: float) -> None:
        """Do what the server says to a report that was sent at *sent_at*."""
        self.in_flight = False
        if self.is_over:
            return
        for rejection in directive.rejections:
            self._log().warning("report rejected", field=rejection.field, error=rejection.message)
        match directive.action:
            case DirectiveAction.ACCEPTED if report.outcome is not None:
                self.is_over = True
                self._desk.over(self)
            case DirectiveAction.ACCEPTED | DirectiveAction.ABANDON:
                self.lose(str(directive.abandon_reason or "ended"))
            case DirectiveAction.CONTINUE | DirectiveAction.CANCEL:
                self._go_on(report, directive, sent_at)
            case _:
                assert_never(directive.action)

    def refused(self, error: PhaselineError) -> None:
        """Do without a report that the server does not take at all."""
        self.in_flight = False
        if self.outcome is None or self._is_substitute:
            self.lose(f"report refused: {error}")
        else:
            self._substitute(error.reason, str(error))

    def _go_on(self, report: Report, directive: Directive, sent_at: float) -> None:
        if directive.time_to_live is not None:
            # From when it was sent: the answer may have been long on its way.
            self._expires_at = sent_at + directive.time_to_live.total_seconds()
        self._heartbeat_at = sent_at + self._heartbeat * _HEARTBEAT_SHARE
        if directive.action is DirectiveAction.CANCEL:
            grace = (self._expires_at - sent_at) * _GRACE_SHARE
            self.stop(
                StopReason.CANCELLED,
                give_up_at=sent_at + grace,
                cancellation=directive.cancellation,
            )
        if report.outcome is not None:
            self._repeat_outcome(directive.rejections)
        elif self.outcome is not None:
            self._desk.urgent(self)
        elif self.outbox.has_news:
            self._desk.news(self)
        self._desk.wake_by(self.due_at)

    def _repeat_outcome(self, rejections: tuple[Rejection, ...]) -> None:
        """Report an outcome again that was not stored, or another that can be."""
        about_it = [each for each in rejections if each.field.startswith(_OUTCOMES)]
        if not about_it:
            self._desk.news(self)
        elif self._is_substitute:
            self.lose("its outcome is rejected")
        else:
            first = about_it[0]
            self._substitute(first.reason, f"{first.field}: {first.message}")

    def _substitute(self, code: str, message: str) -> None:
        self._is_substitute = True
        self._set_outcome(failed(message, code=code, retryable=False))

    def _set_outcome(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._outcome_size = _size_of(outcome)
        self._desk.urgent(self)

    def _has_news(self) -> None:
        self._desk.news(self)

    def _log(self) -> structlog.stdlib.BoundLogger:
        given = self.assignment
        bound: structlog.stdlib.BoundLogger = log.bind(
            execution_id=given.execution_id, phase_id=given.phase_id, attempt=given.attempt
        )
        return bound


_OUTCOMES = ("completed", "failed", "released", "outcome")


def _heartbeat(assignment: Assignment) -> float:
    # A server that asks for none, or for one after the other, still gets a sensible one.
    wanted = assignment.heartbeat_interval or assignment.time_to_live / 3
    return max(wanted.total_seconds(), _SHORTEST_HEARTBEAT)


def _timeout(timeout: timedelta | None, now: float) -> tuple[float, float]:
    """Return when an attempt is told that its time is up, and when that is reported."""
    if timeout is None:
        return inf, inf
    lead = min(timeout.total_seconds() * _TIMEOUT_SHARE, _TIMEOUT_LEAD)
    ends_at = now + timeout.total_seconds()
    return ends_at - lead, ends_at - lead / 2


def _size_of(outcome: Outcome) -> int:
    if not isinstance(outcome, Completed):
        return 0
    artifacts = sum(payload_size(each.content) + len(each.name) for each in outcome.artifacts)
    return payload_size(outcome.output) + artifacts


def _bounded(outcome: Outcome) -> Outcome | Failed:
    size = _size_of(outcome)
    if size <= OUTCOME_BYTES:
        return outcome
    return failed(
        f"output and artifacts have {size} bytes and can have {OUTCOME_BYTES} together",
        code="PAYLOAD_TOO_LARGE",
        retryable=False,
    )
