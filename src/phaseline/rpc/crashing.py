"""Points at which a call can be stopped, around handlers that know nothing of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, cast

from phaseline.faults import Point, Points
from phaseline.rpc.call import Context
from phaseline.rpc.methods import Method

Handle: TypeAlias = Callable[[bytes, Context], Coroutine[Any, Any, bytes]]

_REPORT = "ReportPhases"


def with_points(points: Points, method: Method, handle: Handle) -> Handle:
    """Return *handle* of *method*, which tells *points* of what it comes to."""
    telling: set[asyncio.Future[None]] = set()

    def answered(_: object) -> None:
        told = asyncio.ensure_future(points.reached(Point.ANSWER_AFTER))
        telling.add(told)
        told.add_done_callback(telling.discard)

    async def stopping(body: bytes, context: Context) -> bytes:
        if method.name == _REPORT:
            await points.reached(Point.REPORT_BEFORE)
        answer = await handle(body, context)
        await points.reached(Point.ANSWER_BEFORE)
        # The stubs know no function that is one.
        context.add_done_callback(cast("Any", answered))
        return answer

    return stopping
