"""Runs blocking functions in threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

_T = TypeVar("_T")


async def in_daemon_thread(function: Callable[[], _T], name: str) -> _T:
    """
    Return what *function* returns in a thread of its own, which the process does not wait for.

    Cancelling leaves the thread behind.
    """
    # Not `asyncio.to_thread`: the interpreter joins the threads of a pool when it exits, and a
    # handler that never ends would then keep the process for ever.
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Callable[[], _T]] = loop.create_future()
    context = contextvars.copy_context()

    def run() -> None:
        result = _caught(lambda: context.run(function))
        # The loop may have been closed meanwhile: then nobody waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_deliver, done, result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return (await done)()


async def in_thread(function: Callable[[], _T]) -> _T:
    """Return what *function* returns in a thread of the pool, where it always runs to its end."""
    return await to_its_end(asyncio.get_running_loop().run_in_executor(None, function))


async def to_its_end(future: asyncio.Future[_T]) -> _T:
    """
    Return the result of *future*, which a cancellation does not stop.

    It is raised once the future is done, so that nothing goes on behind the back of whoever
    cleans up.
    """
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        raise


def _caught(function: Callable[[], _T]) -> Callable[[], _T]:
    """Call *function* and return how to get at what it returned, or raised."""
    try:
        value = function()
    except BaseException as error:  # noqa: BLE001 - raised again on the loop

        def fail(error: BaseException = error) -> _T:
            raise error

        return fail
    return lambda: value


def _deliver(done: asyncio.Future[Callable[[], _T]], result: Callable[[], _T]) -> None:
    if not done.done():
        done.set_result(result)
