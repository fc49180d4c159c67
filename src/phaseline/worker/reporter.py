"""Sends what there is to report, many attempts in one call, and takes new phases in the answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from phaseline.domain.errors import (
    PermissionDenied,
    PhaselineError,
    Unauthenticated,
    Unimplemented,
)
from phaseline.domain.report import Directive, LeaseRequest, Report
from phaseline.worker.assignment import Assignment
from phaseline.worker.attempt import Attempt
from phaseline.worker.clock import Alarm, Clock
from phaseline.worker.limits import CALL_BYTES, REPORTS
from phaseline.worker.retrying import until_answered
from phaseline.worker.slots import Slots
from phaseline.worker.source import Source

log = structlog.stdlib.get_logger(__name__)

_Batch = Sequence[tuple[Attempt, Report]]

#: With these, no other report would fare better.
_FATAL = (Unauthenticated, PermissionDenied, Unimplemented)
#: A defect of the server may be one that these very reports bring out each time.
_DEFECTS = 3


class Reporter:
    """
    The attempts that wait to be reported, and loops that report them.

    Outcomes and heartbeats go out with the next turn of the event loop, so that all that become
    due in one turn share a call; news waits for others up to *interval*. Of an attempt there is
    never more than one report on its way: the server would take the later one for the newer.
    """

    def __init__(
        self,
        source: Source,
        slots: Slots,
        clock: Clock,
        *,
        interval: timedelta,
        fraction: Callable[[], float],
        lease_request: Callable[[int], LeaseRequest | None],
        start: Callable[[Sequence[Assignment]], None],
    ) -> None:
        self._source = source
        self._slots = slots
        self._clock = clock
        self._interval = interval.total_seconds()
        self._fraction = fraction
        self._lease_request = lease_request
        self._start = start
        # Dicts for their order: who waits longest goes first.
        self._urgent: dict[Attempt, None] = {}
        self._news: dict[Attempt, None] = {}
        self._news_alarm = Alarm(clock, self._news_is_due)
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        #: Calls that are not answered yet.
        self.calls = 0

    def news(self, attempt: Attempt) -> None:
        """Report *attempt* within the interval. Callable in any thread."""
        if threading.get_ident() == self._thread or self._loop is None:
            self._note(attempt)
        else:
            self._loop.call_soon_threadsafe(self._note, attempt)

    def urgent(self, attempt: Attempt) -> None:
        """Report *attempt* at once, or once the report of it that is on its way is answered."""
        if not attempt.in_flight:
            self._urgent[attempt] = None
            self._wake.set()

    def forget(self, attempt: Attempt) -> None:
        """Do not report *attempt*."""
        self._urgent.pop(attempt, None)
        self._news.pop(attempt, None)

    def is_busy(self) -> bool:
        """Whether there is something to report at once, or to be answered."""
        return bool(self._urgent) or self.calls > 0

    def off(self) -> None:
        """Ring no more."""
        self._news_alarm.off()

    async def run(self) -> None:
        """Report until cancelled. Several of these may run beside one another."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        while True:
            while not self._urgent:
                self._wake.clear()
                await self._wake.wait()
            await self._send(self._gather())

    def _note(self, attempt: Attempt) -> None:
        if attempt.in_flight or attempt.is_over:
            return
        self._news[attempt] = None
        self._news_alarm.by(self._clock.time() + self._interval)

    def _news_is_due(self) -> None:
        due, self._news = self._news, {}
        for attempt in due:
            self.urgent(attempt)

    def _gather(self) -> _Batch:
        """Take the reports for one call out of those that wait."""
        batch: list[tuple[Attempt, Report]] = []
        room = CALL_BYTES
        while self._urgent and len(batch) < REPORTS:
            attempt = next(iter(self._urgent))
            room -= attempt.size
            if batch and room < 0:
                break
            self.forget(attempt)
            batch.append((attempt, attempt.next_report()))
        return batch

    async def _send(self, batch: _Batch) -> None:
        asked = self._slots.ask()
        request = self._lease_request(asked) if asked else None
        assignments: Sequence[Assignment] = ()
        self.calls += 1
        try:
            assignments = await self._deliver(batch, request)
        finally:
            self.calls -= 1
            self._slots.answered(asked)
            self._start(assignments)

    async def _deliver(self, batch: _Batch, request: LeaseRequest | None) -> Sequence[Assignment]:
        try:
            directives, assignments, sent_at = await self._answer(batch, request)
        except _FATAL:
            raise
        except PhaselineError as error:
            await self._deliver_singly(batch, error)
            return ()
        for (attempt, report), directive in zip(batch, directives, strict=True):
            attempt.answered(report, directive, sent_at)
        return assignments

    async def _deliver_singly(self, batch: _Batch, error: PhaselineError) -> None:
        """Send again, one at a time, what was refused: one bad report is not to harm the others."""
        log.error("reports refused", reports=len(batch), reason=error.reason, error=str(error))
        if len(batch) == 1:
            batch[0][0].refused(error)
            return
        for each in batch:
            await self._deliver([each], None)

    async def _answer(
        self, batch: _Batch, request: LeaseRequest | None
    ) -> tuple[list[Directive], list[Assignment], float]:
        reports = [report for _, report in batch]
        sent_at = 0.0

        async def call() -> tuple[list[Directive], list[Assignment]]:
            nonlocal sent_at
            sent_at = self._clock.time()
            # The same each time: what the first call stored or leased is then only told again.
            return await self._source.report(reports, request)

        directives, assignments = await until_answered(
            call, self._clock, self._fraction, defects=_DEFECTS
        )
        return directives, assignments, sent_at
