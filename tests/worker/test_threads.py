"""What runs in a thread comes back, and is not abandoned unless that is the point."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from phaseline.worker.threads import in_daemon_thread, in_thread
from tests.support.clock import turns

colour: ContextVar[str] = ContextVar("colour")


def fail() -> None:
    raise LookupError("no such colour")


async def test_a_result_comes_back() -> None:
    assert await in_thread(threading.get_ident) != threading.get_ident()
    assert await in_daemon_thread(threading.get_ident, "test") != threading.get_ident()


async def test_an_exception_comes_back() -> None:
    with pytest.raises(LookupError):
        await in_thread(fail)
    with pytest.raises(LookupError):
        await in_daemon_thread(fail, "test")


async def test_a_thread_of_its_own_sees_the_context_of_its_caller() -> None:
    colour.set("red")
    assert await in_daemon_thread(colour.get, "test") == "red"


async def test_a_thread_of_its_own_does_not_keep_the_process() -> None:
    assert await in_daemon_thread(lambda: threading.current_thread().daemon, "test")


async def test_a_cancellation_waits_for_the_end_of_the_function() -> None:
    """What had been made in the thread was left behind, since nobody knew of it."""
    gate, ended = threading.Event(), list[bool]()

    def work() -> None:
        gate.wait(timeout=10)
        ended.append(True)

    task = asyncio.create_task(in_thread(work))
    await turns()
    task.cancel()
    await turns()
    task.cancel()
    await turns()
    assert not task.done()
    gate.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_a_thread_of_its_own_may_be_left_behind() -> None:
    gate = threading.Event()
    task = asyncio.create_task(in_daemon_thread(lambda: gate.wait(timeout=10), "test"))
    await turns()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
