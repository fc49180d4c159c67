"""What all watches of a process have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import msgspec

from phaseline.app.ports import Encoder, Entropy
from phaseline.domain.errors import OutOfRange, Unavailable
from phaseline.watch.cursor import ActiveCursor, Spot, TreeCursor
from phaseline.watch.payloads import StoredPayloads
from phaseline.watch.ports import Clock, FrameCodec, History, State
from phaseline.watch.recent import Piece, Recent, Step
from phaseline.watch.signal import Signal
from phaseline.watch.token import Tokens

#: So long a piece of a snapshot is shared. What changed meanwhile is then sent after it.
_FRESH_SECONDS = 1.0

#: Bytes of frames for all who follow what is active: as good as all of them want the same ones,
#: and all of them want those within a second.
_ROOM_OF_NOW = 512 * 1024

T = TypeVar("T")


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
    #: Entries that a read of the log returns at most, and parts that they should have.
    log_page: int = 512
    log_parts: int = 4_000
    #: The same in the full view, where an entry may take megabytes.
    full_page: int = 8
    #: Executions below another, and operations of one, that a read of the present state returns.
    executions: int = 10
    operations: int = 100
    #: Versions in memory that are looked at before others get their turn.
    look: int = 2_000


def _of_now() -> Recent[Step[ActiveCursor]]:
    return Recent(_ROOM_OF_NOW)


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
    active_steps: Recent[Step[ActiveCursor]] = field(default_factory=_of_now)
    tree_steps: Recent[Step[TreeCursor]] = field(default_factory=Recent)
    active_pieces: Recent[Piece[str]] = field(default_factory=Recent)
    tree_pieces: Recent[Piece[Spot]] = field(default_factory=Recent)

    async def read_piece(
        self,
        pieces: Recent[Piece[T]],
        name: Hashable,
        reading: Callable[[], Awaitable[Piece[T]]],
        *,
        least: int,
    ) -> Piece[T]:
        """
        Return what *reading* reads of the present state, or what it gave another watch just now.

        It is as of *least* or later. A few watchers at a time get their turn to read: a thousand
        can so take neither all connections nor all memory.
        """
        found = self._fresh(pieces.get(name), least)
        if found is None:
            async with self.turns:
                found = self._fresh(pieces.get(name), least)
                if found is None:
                    found = await reading()
                    pieces.put(name, found, len(found.frame))
        return found

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

    def _fresh(self, piece: Piece[T] | None, least: int) -> Piece[T] | None:
        # What happened since must be in memory: else sharing would cost more than it saves.
        if piece is None or piece.revision < max(least, self.signal.tail.floor):
            return None
        return piece if self.clock.time() - piece.read_at <= _FRESH_SECONDS else None


def expired(trimmed: int) -> OutOfRange:
    """Return the error for a cursor whose changes are no longer kept."""
    return OutOfRange(
        f"changes up to revision {trimmed} are no longer kept; watch again without a resume_token",
        metadata={"oldest_revision": str(trimmed + 1)},
    )


def stale() -> Unavailable:
    """Return the error for a read that shows less than what was sent."""
    return Unavailable.for_now("the store is behind what this watch has seen; resume it")
