"""A server as a worker sees it, which does what a test says."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

from phaseline.domain.errors import PhaselineError
from phaseline.domain.failure import Cancellation
from phaseline.domain.report import AbandonReason, Directive, DirectiveAction, LeaseRequest, Report
from phaseline.worker.assignment import Assignment

TIME_TO_LIVE = timedelta(seconds=30)
GO_ON = Directive(DirectiveAction.CONTINUE, time_to_live=TIME_TO_LIVE)
ACCEPTED = Directive(DirectiveAction.ACCEPTED)
CANCEL = Directive(
    DirectiveAction.CANCEL,
    time_to_live=timedelta(seconds=10),
    cancellation=Cancellation(datetime(2026, 1, 1, tzinfo=UTC), "ada", "changed my mind"),
)
ABANDON = Directive(DirectiveAction.ABANDON, abandon_reason=AbandonReason.SUPERSEDED)

_numbers = count(1)


def assignment(handler: str = "work", **fields: object) -> Assignment:
    """Return a phase to run, with a lease of its own."""
    number = next(_numbers)
    given: dict[str, object] = {
        "lease_token": f"lease-{number}",
        "execution_id": f"execution-{number}",
        "phase_id": "build",
        "handler": handler,
    }
    return Assignment(**(given | fields))  # type: ignore[arg-type]


class FakeSource:
    """Leases what it is offered, accepts every outcome, and keeps all that it was told."""

    def __init__(self) -> None:
        self.lease_requests: list[LeaseRequest] = []
        self.calls: list[Sequence[Report]] = []
        self.next_requests: list[LeaseRequest | None] = []
        #: Raised by the calls to come, one each.
        self.lease_errors: deque[PhaselineError] = deque()
        self.report_errors: deque[PhaselineError] = deque()
        #: Raised by the calls to come, one each, after they were done.
        self.lost_answers: deque[PhaselineError] = deque()
        #: What it says to a report, if not the usual.
        self.directives: dict[str, Callable[[Report], Directive]] = {}
        #: Clear it and reports wait for their answers.
        self.answers = asyncio.Event()
        self.answers.set()
        self.waiting_polls = 0
        self._called = asyncio.Event()
        self._queue: deque[Assignment] = deque()
        self._offered = asyncio.Event()
        self._leased: dict[str, list[Assignment]] = {}

    @property
    def reports(self) -> list[Report]:
        """All reports, in the order in which they came."""
        return [report for call in self.calls for report in call]

    @property
    def outcomes(self) -> list[object]:
        """What became of phases, in the order in which it was told."""
        return [report.outcome for report in self.reports if report.outcome is not None]

    def reports_of(self, assignment: Assignment) -> list[Report]:
        """All reports of one lease."""
        return [each for each in self.reports if each.lease_token == assignment.lease_token]

    def offer(self, *assignments: Assignment) -> None:
        """Have phases leased."""
        self._queue.extend(assignments)
        self._offered.set()

    async def called(self, times: int) -> None:
        """Return once that many calls with reports have begun."""
        while len(self.calls) < times:
            self._called.clear()
            await self._called.wait()

    async def concluded(self, times: int) -> None:
        """Return once that many outcomes have been told."""
        while len(self.outcomes) < times:
            await self.called(len(self.calls) + 1)

    def say(self, assignment: Assignment, directive: Directive) -> None:
        """Answer *directive* to each report of a lease, but ACCEPTED to its outcome."""
        self.directives[assignment.lease_token] = lambda report: (
            directive if report.outcome is None else ACCEPTED
        )

    async def lease(self, request: LeaseRequest) -> list[Assignment]:
        self.lease_requests.append(request)
        await asyncio.sleep(0)
        if self.lease_errors:
            raise self.lease_errors.popleft()
        while not self._queue and request.request_id not in self._leased:
            self._offered.clear()
            self.waiting_polls += 1
            try:
                await self._offered.wait()
            finally:
                self.waiting_polls -= 1
        return await self._answer(self._take(request))

    async def report(
        self, reports: Sequence[Report], next: LeaseRequest | None
    ) -> tuple[list[Directive], list[Assignment]]:
        self.calls.append(reports)
        self.next_requests.append(next)
        self._called.set()
        await self.answers.wait()
        if self.report_errors:
            raise self.report_errors.popleft()
        directives = [self._directive(report) for report in reports]
        taken = self._take(next) if next is not None else []
        return directives, await self._answer(taken)

    def _directive(self, report: Report) -> Directive:
        usual = GO_ON if report.outcome is None else ACCEPTED
        says = self.directives.get(report.lease_token)
        return usual if says is None else says(report)

    def _take(self, request: LeaseRequest) -> list[Assignment]:
        if request.request_id not in self._leased:
            some = min(request.max_phases, len(self._queue))
            self._leased[request.request_id] = [self._queue.popleft() for _ in range(some)]
        return self._leased[request.request_id]

    async def _answer(self, assignments: list[Assignment]) -> list[Assignment]:
        # An answer is never there in the turn in which it was made.
        await asyncio.sleep(0)
        if self.lost_answers:
            raise self.lost_answers.popleft()
        return assignments
