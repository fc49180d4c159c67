"""WorkerService."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from phaseline.app.assignments import Assigned
from phaseline.app.ports import Clock
from phaseline.app.work import Work
from phaseline.rpc.call import Call
from phaseline.rpc.draining import Draining
from phaseline.rpc.leases import fill_lease
from phaseline.v1 import worker_service_pb2 as pb
from phaseline.wire.directives import directive_message
from phaseline.wire.leases import LeaseDefaults, read_lease_request, read_next
from phaseline.wire.reports import Sizes, read_reports
from phaseline.wire.scalars import duration

# A draining server answers polls at once, and its workers must not come back in a circle.
_DRAINING_DELAY = duration(timedelta(seconds=1))


class WorkerService:
    """Gives phases to workers and takes their reports."""

    def __init__(
        self,
        work: Work,
        *,
        clock: Clock,
        draining: Draining,
        defaults: LeaseDefaults,
        sizes: Sizes,
    ) -> None:
        self._work, self._clock, self._draining = work, clock, draining
        self._defaults, self._sizes = defaults, sizes

    async def LeasePhases(
        self, request: pb.LeasePhasesRequest, call: Call
    ) -> pb.LeasePhasesResponse:
        asked = read_lease_request(request, self._defaults)
        assigned = await self._work.lease(call.caller, asked, call.patience(asked.wait))
        return self._leased(assigned)

    async def ReportPhases(
        self, request: pb.ReportPhasesRequest, call: Call
    ) -> pb.ReportPhasesResponse:
        told = read_reports(request.reports, self._sizes)
        more = read_next(request, self._defaults)
        leasable = None if self._draining else more
        reported = await self._work.report(call.caller, [each.report for each in told], leasable)
        return pb.ReportPhasesResponse(
            directives=[
                directive_message(directive, each.rejections)
                for directive, each in zip(reported.directives, told, strict=True)
            ],
            next=None if more is None else self._leased(reported.leased),
        )

    def _leased(self, assigned: Sequence[Assigned]) -> pb.LeasePhasesResponse:
        answer = pb.LeasePhasesResponse(poll_delay=_DRAINING_DELAY if self._draining else None)
        now = self._clock.now()
        for each in assigned:
            fill_lease(answer.leases.add(), each, now)
        return answer
