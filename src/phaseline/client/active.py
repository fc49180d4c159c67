"""A dictionary of the active executions that keeps itself up to date."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Self

from phaseline.client.cursor import EventKind, WatchEvent
from phaseline.client.watch import Watch
from phaseline.v1.execution_pb2 import Execution
from phaseline.v1.watch_pb2 import (
    CHANGE_KIND_ADDED,
    CHANGE_KIND_MODIFIED,
    CHANGE_KIND_REMOVED,
    Change,
    ChangeKind,
)


@dataclass(frozen=True, slots=True)
class ActiveChange:
    """What became of an execution, as its reader sees it, and its newest version."""

    kind: ChangeKind.ValueType
    execution: Execution


class LiveActive:
    """
    The active executions, followed while its `async with` block runs.

    An error that ends the following is raised by whatever is asked next: nobody reads a dictionary
    that has stopped without being told.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._executions: dict[str, Execution] = {}
        self._stale: set[str] = set()
        self._is_synced = False
        self._readers: list[dict[str, Execution]] = []
        self._moved = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    @property
    def executions(self) -> Mapping[str, Execution]:
        """The newest version of each, BASIC, by execution_id; a view that goes on changing."""
        self._is_live()
        return MappingProxyType(self._executions)

    async def synced(self) -> None:
        """Return once all that was active at the start is there."""
        while not self._is_synced:
            if not self._is_live():
                raise RuntimeError("the block that follows the active executions has ended")
            await self._moved.wait()

    async def __aiter__(self) -> AsyncIterator[ActiveChange]:
        """
        Yield what is there as ADDED, and then each change, until the block ends.

        A reader that is slow gets the newest version of each execution, and misses none.
        """
        unread, known = dict(self._executions), set[str]()
        self._readers.append(unread)
        try:
            while self._is_live():
                while unread:
                    yield self._next_change(unread, known)
                await self._moved.wait()
        finally:
            # By identity: readers that have read everything are equal.
            self._readers = [each for each in self._readers if each is not unread]

    async def __aenter__(self) -> Self:
        self._follower = asyncio.create_task(self._follow(), name="phaseline-live-active")
        self._follower.add_done_callback(lambda _: self._announce())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._follower is not None:
            self._follower.cancel()
            # Its own end was told to whoever asked, and must not replace the error of the block.
            await asyncio.gather(self._follower, return_exceptions=True)

    def _is_live(self) -> bool:
        """Tell whether it goes on; raises what ended it."""
        if self._follower is None:
            raise RuntimeError("the active executions are followed inside of `async with`")
        if self._follower.done() and not self._follower.cancelled():
            self._follower.result()
        return not self._follower.done()

    async def _follow(self) -> None:
        async for event in self._watch:
            self._apply(event)
            self._announce()

    def _announce(self) -> None:
        # A fresh event for each move: who wakes late still finds its own one set.
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _apply(self, event: WatchEvent) -> None:
        if event.change is not None:
            self._put(event.change)
        elif event.kind is EventKind.RESTARTED:
            self._stale = set(self._executions)
        elif event.kind is EventKind.SYNCED:
            for execution_id in self._stale:
                self._tell(execution_id, self._executions.pop(execution_id))
            self._is_synced = True

    def _put(self, change: Change) -> None:
        # A copy: a part of a message keeps all of it in memory, here a frame of 100 changes.
        execution = Execution()
        execution.CopyFrom(change.execution)
        execution_id = execution.execution_id
        self._stale.discard(execution_id)
        if change.kind == CHANGE_KIND_REMOVED:
            self._executions.pop(execution_id, None)
        else:
            self._executions[execution_id] = execution
        self._tell(execution_id, execution)

    def _tell(self, execution_id: str, execution: Execution) -> None:
        for unread in self._readers:
            unread[execution_id] = execution

    def _next_change(self, unread: dict[str, Execution], known: set[str]) -> ActiveChange:
        execution_id = next(iter(unread))
        execution = unread.pop(execution_id)
        if execution_id not in self._executions:
            known.discard(execution_id)
            return ActiveChange(CHANGE_KIND_REMOVED, execution)
        if execution_id in known:
            return ActiveChange(CHANGE_KIND_MODIFIED, execution)
        known.add(execution_id)
        return ActiveChange(CHANGE_KIND_ADDED, execution)
