"""Doing something for each of many, some at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

_T = TypeVar("_T")


async def gathered(
    function: Callable[[_T], Awaitable[object]], items: Iterable[_T], *, at_once: int
) -> None:
    """Await *function* for each item, so many of them at once; the first that fails ends all."""
    left = iter(items)

    async def one() -> None:
        for item in left:
            await function(item)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(one())
