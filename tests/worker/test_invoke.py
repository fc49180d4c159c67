"""Whatever a handler does, its attempt has an outcome and its worker lives on."""

import asyncio
import sys
from collections.abc import Awaitable

import pytest

from phaseline.domain.payload import Payload
from phaseline.domain.report import Completed
from phaseline.worker.context import Context
from phaseline.worker.failures import HandlerError
from tests.support.worker import Rig


async def test_a_handler_may_return_nothing(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None: ...

    async with rig.running():
        await rig.runs()

    assert rig.completed() == Completed()


async def test_a_handler_may_return_a_payload(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> Payload:
        return Payload(uri="s3://bucket/film", media_type="video/mp4")

    async with rig.running():
        await rig.runs()

    assert rig.output().uri == "s3://bucket/film"


async def test_a_function_may_return_something_to_await(rig: Rig) -> None:
    async def answer() -> str:
        return "awaited"

    @rig.handles()
    def work(context: Context) -> Awaitable[str]:
        return answer()

    async with rig.running():
        await rig.runs()
        await rig.source.called(1)

    assert rig.output().data == b"awaited"


async def test_artifacts_come_with_the_output(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        context.artifact("notes.txt", "hello")

    async with rig.running():
        await rig.runs()

    (artifact,) = rig.completed().artifacts
    assert artifact.name == "notes.txt"


@pytest.mark.parametrize("where", ["coroutine", "thread"])
async def test_an_exception_fails_the_attempt(rig: Rig, where: str) -> None:
    def fails(context: Context) -> None:
        raise HandlerError("no luck", code="UNLUCKY", retryable=False)

    async def fails_too(context: Context) -> None:
        fails(context)

    rig.handles()(fails_too if where == "coroutine" else fails)
    async with rig.running():
        await rig.runs()
        await rig.source.called(1)

    failure = rig.failed().failure
    assert (failure.code, failure.message, failure.retryable) == ("UNLUCKY", "no luck", False)


@pytest.mark.parametrize("exception", [KeyError("x"), SystemExit(3), StopIteration()])
async def test_no_exception_ends_the_worker(rig: Rig, exception: BaseException) -> None:
    @rig.handles()
    def work(context: Context) -> None:
        if context.phase_id == "bad":
            raise exception

    async with rig.running():
        await rig.runs(phase_id="bad")
        await rig.source.called(1)
        await rig.runs(phase_id="good")
        await rig.source.called(2)

    assert rig.source.outcomes[1] == Completed()


async def test_sys_exit_in_a_coroutine_ends_the_attempt_only(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        sys.exit("enough")

    async with rig.running():
        await rig.runs()

    assert rig.failed().failure.code == "SYSTEM_EXIT"


async def test_a_handler_that_cancels_itself_fails(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        raise asyncio.CancelledError

    async with rig.running():
        await rig.runs()
        assert not rig.ended.done()

    assert rig.failed().failure.message == "the handler cancelled itself"


async def test_an_output_that_is_no_json_fails_for_good(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> object:
        return object()

    async with rig.running():
        await rig.runs()

    failure = rig.failed().failure
    assert (failure.code, failure.retryable) == ("INVALID_OUTPUT", False)


async def test_an_output_that_is_too_large_fails_for_good(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> bytes:
        return bytes(1024 * 1024 + 1)

    async with rig.running():
        await rig.runs()

    failure = rig.failed().failure
    assert (failure.code, failure.retryable) == ("PAYLOAD_TOO_LARGE", False)


async def test_artifacts_that_no_call_can_hold_fail_for_good(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        for number in range(11):
            context.artifact(f"{number}.bin", bytes(1024 * 1024))

    async with rig.running():
        await rig.runs()

    failure = rig.failed().failure
    assert (failure.code, failure.retryable) == ("PAYLOAD_TOO_LARGE", False)
