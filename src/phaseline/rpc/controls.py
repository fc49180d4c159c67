"""ExecutionService: what acts on executions."""

from __future__ import annotations

from datetime import timedelta

from phaseline.app.controlling import Controlled
from phaseline.app.controls import Controls
from phaseline.app.ports import Clock, Committed
from phaseline.domain.errors import NotFound
from phaseline.rpc.call import Call
from phaseline.v1 import execution_pb2
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.wire.controls import read_cancel, read_control, read_retry
from phaseline.wire.digests import request_digest
from phaseline.wire.executions import basic_message


class ExecutionControls:
    """Stops, pauses, resumes, retries and purges executions."""

    def __init__(self, controls: Controls, *, clock: Clock, grace: timedelta) -> None:
        self._controls, self._clock, self._grace = controls, clock, grace

    async def Cancel(self, request: pb.CancelRequest, call: Call) -> pb.CancelResponse:
        asked = read_cancel(request, grace=self._grace)
        controlled = await self._controls.cancel(
            call.caller,
            asked.execution_id,
            reason=asked.reason,
            grace=asked.grace,
            request_id=asked.request_id,
            digest=request_digest(request),
        )
        return pb.CancelResponse(execution=self._shown(controlled, asked.execution_id))

    async def Pause(self, request: pb.PauseRequest, call: Call) -> pb.PauseResponse:
        asked = read_control(request)
        controlled = await self._controls.pause(
            call.caller,
            asked.execution_id,
            request_id=asked.request_id,
            digest=request_digest(request),
        )
        return pb.PauseResponse(execution=self._shown(controlled, asked.execution_id))

    async def Resume(self, request: pb.ResumeRequest, call: Call) -> pb.ResumeResponse:
        asked = read_control(request)
        controlled = await self._controls.resume(
            call.caller,
            asked.execution_id,
            request_id=asked.request_id,
            digest=request_digest(request),
        )
        return pb.ResumeResponse(execution=self._shown(controlled, asked.execution_id))

    async def Retry(self, request: pb.RetryRequest, call: Call) -> pb.RetryResponse:
        asked = read_retry(request)
        controlled = await self._controls.retry(
            call.caller,
            asked.execution_id,
            max_budget_nanos=asked.max_budget_nanos,
            run_timeout=asked.run_timeout,
            request_id=asked.request_id,
            digest=request_digest(request),
        )
        return pb.RetryResponse(execution=self._shown(controlled, asked.execution_id))

    async def Purge(self, request: pb.PurgeRequest, call: Call) -> pb.PurgeResponse:
        asked = read_control(request)
        controlled = await self._controls.purge(
            call.caller,
            asked.execution_id,
            request_id=asked.request_id,
            digest=request_digest(request),
        )
        return pb.PurgeResponse(execution=self._shown(controlled, asked.execution_id))

    def _shown(
        self, committed: Committed[Controlled], execution_id: str
    ) -> execution_pb2.Execution:
        """Return the execution as it is now; for a repeat as it was told then."""
        controlled = committed.answer
        if controlled.encoded:
            return execution_pb2.Execution.FromString(controlled.encoded)
        if controlled.execution is None:
            raise NotFound("execution", execution_id)
        return basic_message(controlled.execution, self._clock.now())
