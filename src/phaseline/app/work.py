"""The use-cases of workers: leasing phases, and reporting on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TypeAlias

import msgspec
import structlog

from phaseline.app.assignments import Assigned, Assignments
from phaseline.app.caller import Caller
from phaseline.app.leasing import Granted, LeaseMore, LeasePhases, LeaseTokens
from phaseline.app.limits import Limits
from phaseline.app.ports import Committed, Entropy, Prices, Reads, Withdrawn, Writer
from phaseline.app.reporting import UNKNOWN_LEASE, ReportPhase
from phaseline.app.schemas import Schemas
from phaseline.app.tokens import Signer
from phaseline.domain.errors import InvalidArgument, PhaselineError
from phaseline.domain.report import (
    Completed,
    Directive,
    LeaseRequest,
    Released,
    Report,
)
from phaseline.domain.usage import ModelUsage

log = structlog.stdlib.get_logger(__name__)

_Leasing: TypeAlias = Awaitable[Committed[tuple[Granted, ...]]]


class Reported(msgspec.Struct, frozen=True):
    """One directive for each report, and what `next` leased."""

    directives: Sequence[Directive]
    leased: Sequence[Assigned]


class Work:
    """The use-cases of workers."""

    def __init__(
        self,
        writer: Writer,
        reads: Reads,
        *,
        entropy: Entropy,
        signer: Signer,
        prices: Prices,
        assignments: Assignments,
        limits: Limits,
    ) -> None:
        self._writer = writer
        self._queue_concurrency = limits.queue_concurrency
        self._entropy = entropy
        self._prices = prices
        self._tokens = LeaseTokens(signer)
        self._assignments = assignments
        self._schemas = Schemas()
        self._draining = asyncio.Event()

    async def lease(
        self, caller: Caller, request: LeaseRequest, wait: timedelta
    ) -> Sequence[Assigned]:
        """
        Lease phases, waiting up to *wait* for the first.

        Cancelled, it leaves no lease behind that nobody knows of.
        """
        phases = self._phases(caller, request)
        if self._draining.is_set():
            return ()
        if not wait:
            return await self._lease_now(phases)
        standing = self._writer.stand(phases)
        answer = asyncio.ensure_future(standing.answer())
        drained = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait(
                (answer, drained),
                timeout=wait.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not answer.done() and standing.withdraw():
                return ()
            granted = _granted(await asyncio.shield(answer))
        except Withdrawn:
            return ()
        except asyncio.CancelledError:
            if not standing.withdraw():
                await self._give_back(_granted(await asyncio.shield(answer)))
            raise
        finally:
            drained.cancel()
            if not answer.done():
                answer.cancel()
        return await self._assigned(granted)

    async def report(
        self, caller: Caller, reports: Sequence[Report], more: LeaseRequest | None = None
    ) -> Reported:
        """
        Store *reports*, each for itself, and lease what *more* asks for.

        What is lost or late is told in the directive, not raised. Nothing is leased if *more* is
        refused: what the reports brought about is not to be lost with it.
        """
        unpriced = {
            usage.model
            for report in reports
            for usage in report.usage_by_model or ()
            if usage.cost_nanos is None
        }
        if unpriced:
            await self._prices.learn(unpriced)
        posted = [self._post(caller, report) for report in reports]
        # Posted behind them, it finds the phases that they make ready in the same commit.
        leasing = None
        if more is not None and not self._draining.is_set():
            leasing = self._writer.post(LeaseMore(self._phases(caller, more)))
        try:
            # One after the other costs no time, since they are answered in this order.
            directives = [UNKNOWN_LEASE if one is None else (await one).answer for one in posted]
        except asyncio.CancelledError:
            if leasing is not None:
                await self._take_back(leasing)
            raise
        if leasing is None:
            return Reported(directives, ())
        try:
            leased = await self._leased(leasing)
        except InvalidArgument as error:
            log.warning("nothing leased with a report", error=str(error))
            leased = ()
        return Reported(directives, leased)

    def drain(self) -> None:
        """Let every waiting `lease` return empty, and every later one at once."""
        self._draining.set()

    def _phases(self, caller: Caller, request: LeaseRequest) -> LeasePhases:
        return LeasePhases(caller.workspace_id, request, self._queue_concurrency)

    async def _lease_now(self, phases: LeasePhases) -> Sequence[Assigned]:
        return await self._leased(self._writer.post(LeaseMore(phases)))

    async def _leased(self, leasing: _Leasing) -> Sequence[Assigned]:
        """Return what is leased; cancelled, give it back."""
        waiting = asyncio.ensure_future(leasing)
        try:
            granted = _granted(await asyncio.shield(waiting))
        except asyncio.CancelledError:
            await self._take_back(waiting)
            raise
        return await self._assigned(granted)

    async def _take_back(self, leasing: _Leasing) -> None:
        """Release what is being leased for a caller that has gone."""
        with suppress(PhaselineError):
            await self._give_back(_granted(await leasing))

    def _post(self, caller: Caller, report: Report) -> Awaitable[Committed[Directive]] | None:
        ref = self._tokens.read(report.lease_token, caller.workspace_id)
        if ref is None:
            return None
        artifacts = len(report.outcome.artifacts) if isinstance(report.outcome, Completed) else 0
        return self._writer.post(
            ReportPhase(
                ref,
                self._priced(report),
                self._schemas.check,
                # In rising order, as the ids of one moment then are: oldest is first reported.
                tuple(sorted(self._entropy.bits() for _ in range(artifacts))),
                self._entropy.fraction(),
            ),
            weight=1 + len(report.operations) + artifacts,
        )

    def _priced(self, report: Report) -> Report:
        if not report.usage_by_model:
            return report
        priced = tuple(self._with_cost(usage) for usage in report.usage_by_model)
        return msgspec.structs.replace(report, usage_by_model=priced)

    def _with_cost(self, usage: ModelUsage) -> ModelUsage:
        if usage.cost_nanos is not None:
            return usage
        return msgspec.structs.replace(usage, cost_nanos=self._prices.cost_nanos(usage))

    async def _assigned(self, granted: Sequence[Granted]) -> Sequence[Assigned]:
        try:
            assigned = await self._assignments.make(granted)
        except asyncio.CancelledError:
            await self._give_back(granted)
            raise
        if assigned.left_over:
            await self._give_back(assigned.left_over)
        if assigned.impossible:
            await asyncio.gather(
                *(
                    self._writer.post(self._outcome(one, Report("", outcome=failed)))
                    for one, failed in assigned.impossible
                )
            )
        return assigned.assigned

    async def _give_back(self, granted: Sequence[Granted]) -> None:
        """Release leases whose answer nobody is there to take."""
        released = Report("", outcome=Released())
        await asyncio.gather(*(self._writer.post(self._outcome(one, released)) for one in granted))

    def _outcome(self, granted: Granted, report: Report) -> ReportPhase:
        return ReportPhase(
            self._assignments.ref(granted),
            report,
            self._schemas.check,
            (),
            self._entropy.fraction(),
        )


def _granted(committed: Committed[tuple[Granted, ...]]) -> tuple[Granted, ...]:
    return tuple(one.committed(committed.revision) for one in committed.answer)
