"""What all watches of a process have in common."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, NamedTuple, TypeVar

import msgspec

from phaseline.app.ports import Encoder, Entropy
from phaseline.domain.errors import OutOfRange, Unavailable
from phaseline.watch.cursor import ActiveCursor, TreeCursor
from phaseline.watch.payloads import StoredPayloads
from phaseline.watch.ports import Clock, FrameCodec, History, State
from phaseline.watch.signal import Signal
from phaseline.watch.token import Tokens

_FRAMES_SIZE = 8 * 1024 * 1024
_OVERHEAD = 200

T = TypeVar("T")
Cursor = TypeVar("Cursor")


class Terms(msgspec.Struct, frozen=True):
    """How a server treats its watches; its settings fill it in."""

    #: A resume token works at least this long.
    retention: timedelta = timedelta(days=7)
    max_age: timedelta = timedelta(minutes=30)
    #: Watchers of a server that drains come back within this time, spread over it.
    reconnect_within: timedelta = timedelta(seconds=5)
    per_process: int = 10_000
    per_workspace: int = 5_000
    #: Reads of the log, and of snapshots, at the same time.
    readers: int = 2


class Sizes(msgspec.Struct, frozen=True):
    """How much is handled at once. Small ones are for tests."""

    #: Changes in a frame.
    changes: int = 100
    #: Bytes of the changes in a frame; what is left of 3 MiB is for what is around them.
    frame: int = 3 * 1024 * 1024 - 16 * 1024
    #: Entries that a read of the log returns.
    log_page: int = 512
    #: The same in the full view, where an entry may take megabytes.
    full_page: int = 8
    #: Executions below another, and operations of one, that a read of the present state returns.
    executions: int = 10
    operations: int = 100
    #: Versions in memory that are looked at before others get their turn.
    look: int = 2_000


class Step(NamedTuple, Generic[Cursor]):
    """A frame, empty if there is nothing to send, and where a watch is once it is sent."""

    frame: bytes
    cursor: Cursor
    #: The last version of the watched execution in it: its revision, and whether it is terminal.
    state: tuple[int, bool] | None = None


class Steps(Generic[Cursor]):
    """
    The steps made last, so that watchers at the same place share one frame.

    Also what a read of the log gave beyond a frame, which no watcher has to hold so.
    """

    def __init__(self, room: int = _FRAMES_SIZE) -> None:
        self._room, self._taken = room, 0
        self._steps: OrderedDict[Hashable, Step[Cursor]] = OrderedDict()

    def get(self, place: Hashable) -> Step[Cursor] | None:
        """Return the step that was made from *place*, if it is still here."""
        return self._steps.get(place)

    def put(self, place: Hashable, step: Step[Cursor]) -> None:
        """Keep *step* for others who come to *place*."""
        if place in self._steps:
            return
        self._steps[place] = step
        self._taken += len(step.frame) + _OVERHEAD
        while self._taken > self._room:
            _, oldest = self._steps.popitem(last=False)
            self._taken -= len(oldest.frame) + _OVERHEAD


@dataclass(frozen=True, slots=True)
class Shared:
    """What all watches of a process use."""

    clock: Clock
    entropy: Entropy
    signal: Signal
    history: History
    state: State
    encoder: Encoder
    codec: FrameCodec
    payloads: StoredPayloads
    tokens: Tokens
    terms: Terms
    turns: asyncio.Semaphore
    sizes: Sizes = field(default_factory=Sizes)
    active_steps: Steps[ActiveCursor] = field(default_factory=Steps)
    tree_steps: Steps[TreeCursor] = field(default_factory=Steps)

    async def read(self, reading: Callable[[], Awaitable[T]]) -> T:
        """
        Return what *reading* reads of the present state.

        A few watchers at a time get their turn: a thousand that are behind can so neither take all
        connections nor all memory.
        """
        async with self.turns:
            return await reading()

    async def read_log(self, reading: Callable[[], Awaitable[T]], *, after: int) -> T:
        """Return what *reading* reads of the log past *after*; raise `OutOfRange` if it is cut."""
        async with self.turns:
            found = await reading()
            # Asked afterwards: what was trimmed before the read is then seen, and nothing that
            # was trimmed while it ran is missed.
            trimmed = await self.history.trimmed()
        if after < trimmed:
            raise expired(trimmed)
        return found


def expired(trimmed: int) -> OutOfRange:
    """Return the error for a cursor whose changes are no longer kept."""
    return OutOfRange(
        f"changes up to revision {trimmed} are no longer kept; watch again without a resume_token",
        metadata={"oldest_revision": str(trimmed + 1)},
    )


def stale() -> Unavailable:
    """Return the error for a read that shows less than what was sent."""
    return Unavailable("the store is behind what this watch has seen; resume it")
