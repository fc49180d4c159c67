"""Processes that serve watches of a database, and clients that read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

from phaseline.app.caller import Caller
from phaseline.app.changes import Commit
from phaseline.app.queries import ExecutionFilter
from phaseline.app.tokens import Signer
from phaseline.domain.errors import PhaselineError
from phaseline.v1.execution_service_pb2 import WatchResponse
from phaseline.watch.payloads import StoredPayloads
from phaseline.watch.ports import Clock, History, State
from phaseline.watch.shared import Shared, Sizes, Terms
from phaseline.watch.signal import Signal
from phaseline.watch.tail import Tail
from phaseline.watch.token import Tokens
from phaseline.watch.waking import Pace
from phaseline.watch.watching import Watching
from phaseline.wire.encoder import Encoder
from phaseline.wire.frames import Frames
from tests.support.guarantees import Frame, frame_of
from tests.watch.world import WORKSPACE, Change, Database, Ledger

EPOCH = "one-database"
SECRET = b"s" * 32
CALLER = Caller(WORKSPACE)

#: Turns of the loop in which whatever can happen has happened.
_TURNS = 60


class FixedEntropy:
    """Draws the middle."""

    def bits(self) -> int:
        return 1

    def fraction(self) -> float:
        return 0.5


def told(stream: list[Frame]) -> list[list[str]]:
    """Return what each frame of changes says."""
    return [
        [f"{each.kind} {'/'.join(each.id)} {each.revision}" for each in frame.changes]
        for frame in stream
        if frame.changes
    ]


def shared_of(
    clock: Clock,
    signal: Signal,
    tokens: Tokens,
    history: History,
    state: State,
    *,
    terms: Terms | None = None,
    sizes: Sizes | None = None,
) -> Shared:
    """Return what the watches of a process share."""
    codec, terms = Frames(), terms or Terms()
    return Shared(
        clock=clock,
        entropy=FixedEntropy(),
        signal=signal,
        history=history,
        state=state,
        encoder=Encoder(),
        codec=codec,
        payloads=StoredPayloads(state, codec),
        tokens=tokens,
        terms=terms,
        turns=asyncio.Semaphore(terms.readers),
        sizes=sizes or Sizes(),
    )


class Serving:
    """The watches that a process serves, and those who read them."""

    def __init__(self, shared: Shared, ledger: Ledger) -> None:
        self.shared, self.ledger = shared, ledger
        self.signal, self.tokens = shared.signal, shared.tokens
        self.watching = Watching(shared)
        #: What followers ask for.
        self.bookmark_interval = timedelta(seconds=2)
        self.readers: list[Reader] = []

    def watch(self, execution_id: str, **asked: Any) -> Reader:
        """Watch one execution."""
        return self._reader(self.watching.watch(CALLER, execution_id, **asked))

    def watch_active(self, matching: ExecutionFilter | None = None, **asked: Any) -> Reader:
        """Watch the active executions."""
        matching = matching or ExecutionFilter()
        return self._reader(self.watching.watch_active(CALLER, matching, **asked))

    async def settle(self, turns: int = _TURNS) -> None:
        """Let everything happen that can, with all readers reading what comes."""
        idle = 0
        while idle < turns:
            await asyncio.sleep(0)
            took = [reader.take() for reader in self.readers]
            idle = 0 if any(took) else idle + 1

    async def close(self) -> None:
        """End all watches, as a crash would."""
        for reader in self.readers:
            await reader.cut()
        self.readers.clear()

    def _reader(self, frames: AsyncGenerator[bytes, None]) -> Reader:
        reader = Reader(frames, self.ledger)
        self.readers.append(reader)
        return reader


class Process(Serving):
    """A process on a database of dicts."""

    def __init__(
        self,
        database: Database,
        *,
        terms: Terms | None = None,
        sizes: Sizes | None = None,
        pause_seconds: float = 0.0,
        max_revisions: int = 1000,
        epoch: str = EPOCH,
    ) -> None:
        self.database = database
        tail = Tail(database.head_revision, max_revisions=max_revisions)
        pace = Pace(least_rest=pause_seconds, burst=0, longest_wait=60)
        signal = Signal(database.clock, tail, pace=pace)
        tokens = Tokens(Signer(SECRET), epoch)
        shared = shared_of(
            database.clock, signal, tokens, database, database, terms=terms, sizes=sizes
        )
        super().__init__(shared, database)

    def commit(self, *changes: Change, workspace_id: str = WORKSPACE) -> Commit:
        """Commit, and say so here."""
        commit = self.database.commit(*changes, workspace_id=workspace_id)
        self.signal.committed(commit)
        return commit


class Reader:
    """A client that reads one stream, as fast or as slowly as a test says."""

    def __init__(self, frames: AsyncGenerator[bytes, None], ledger: Ledger) -> None:
        self._frames, self._ledger = frames, ledger
        self._next: asyncio.Future[bytes] | None = None
        self.stream: list[Frame] = []
        self.messages: list[WatchResponse] = []
        self.is_slow = False
        self.is_over = False
        self.error: PhaselineError | None = None
        #: Committed when the stream was seen to be synced.
        self.synced_at: int | None = None

    @property
    def token(self) -> str:
        """The token of the last frame that was read."""
        return self.stream[-1].token

    def take(self) -> bool:
        """Take the frame that has come, if one has, and ask for the next; return whether so."""
        if self.is_over:
            return False
        took = False
        if self._next is not None and self._next.done() and not self.is_slow:
            took, came = True, self._next
            self._next = None
            self._keep(came)
        if self._next is None and not self.is_over:
            self._next = asyncio.ensure_future(anext(self._frames))
        return took

    async def cut(self) -> None:
        """Break the stream, whatever was on its way."""
        self.is_over = True
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait([self._next])
            if not self._next.cancelled():
                # Seen, so that nobody warns of it.
                self._next.exception()
        await self._frames.aclose()

    def _keep(self, came: asyncio.Future[bytes]) -> None:
        try:
            message = WatchResponse.FromString(came.result())
        except StopAsyncIteration:
            self.is_over = True
        except PhaselineError as error:
            self.is_over, self.error = True, error
        else:
            self.messages.append(message)
            self.stream.append(frame_of(message.frame, self._ledger.clock.time()))
            if self.stream[-1].synced:
                self.synced_at = self._ledger.head_revision
