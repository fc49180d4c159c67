"""What a servicer learns of a call besides its request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from phaseline.app.caller import Caller
from phaseline.rpc.call import Call
from phaseline.v1 import execution_service_pb2 as pb
from tests.support.rpc import Api, serving

SECOND = timedelta(seconds=1)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Asking:
    """Asks each call what it knows."""

    caller: Caller
    patience: timedelta
    traceparent: str

    async def Wait(self, request: pb.WaitRequest, call: Call) -> pb.WaitResponse:
        self.caller, self.traceparent = call.caller, call.traceparent
        self.patience = call.patience(30 * SECOND)
        return pb.WaitResponse()


@pytest.fixture
def servicer() -> Asking:
    return Asking()


@pytest.fixture
async def api(servicer: Asking) -> AsyncIterator[Api]:
    async with serving({"ExecutionService": servicer}) as served:
        yield served


async def test_without_credentials_everybody_is_the_same(api: Api, servicer: Asking) -> None:
    await api.executions.Wait(pb.WaitRequest())
    assert servicer.caller == Caller("default", "anonymous")


async def test_without_a_deadline_a_wait_is_as_long_as_asked(api: Api, servicer: Asking) -> None:
    await api.executions.Wait(pb.WaitRequest())
    assert servicer.patience == 30 * SECOND


async def test_with_a_late_deadline_a_wait_is_as_long_as_asked(api: Api, servicer: Asking) -> None:
    await api.executions.Wait(pb.WaitRequest(), timeout=60)
    assert servicer.patience == 30 * SECOND


async def test_a_wait_leaves_a_second_for_the_answer(api: Api, servicer: Asking) -> None:
    await api.executions.Wait(pb.WaitRequest(), timeout=10)
    assert 5 * SECOND < servicer.patience <= 9.1 * SECOND


async def test_who_has_no_second_does_not_wait(api: Api, servicer: Asking) -> None:
    await api.executions.Wait(pb.WaitRequest(), timeout=0.9)
    assert servicer.patience == timedelta()


@pytest.mark.parametrize(
    ("sent", "known"),
    [(TRACEPARENT, TRACEPARENT), ("nonsense", ""), (TRACEPARENT.upper(), "")],
)
async def test_a_trace_goes_on(api: Api, servicer: Asking, sent: str, known: str) -> None:
    await api.executions.Wait(pb.WaitRequest(), metadata=(("traceparent", sent),))
    assert servicer.traceparent == known


async def test_there_need_not_be_a_trace(api: Api, servicer: Asking) -> None:
    await api.executions.Wait(pb.WaitRequest())
    assert servicer.traceparent == ""
