"""The use-cases of watchers."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from datetime import datetime, timedelta

from phaseline.app.caller import Caller
from phaseline.app.queries import ExecutionFilter
from phaseline.domain.errors import Reason, ResourceExhausted, Unavailable
from phaseline.domain.ids import Key
from phaseline.watch.active import ActiveFollower
from phaseline.watch.bell import Waker
from phaseline.watch.cursor import ActiveCursor, Spot, TreeCursor
from phaseline.watch.lifetime import Drain, Lifetime
from phaseline.watch.scope import Scope
from phaseline.watch.shared import Shared
from phaseline.watch.snapshot import Watched
from phaseline.watch.stream import Follower, Stream
from phaseline.watch.token import invalid_token
from phaseline.watch.tree import TreeFollower

DEFAULT_BOOKMARK_INTERVAL = timedelta(seconds=15)
_NO_TIME = timedelta()


class Watching:
    """
    Streams what happens to whoever asks, from the caller's workspace.

    Each stream is a generator of encoded frames, which ends by itself after a closing frame. To
    abandon one, close it.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._drain = Drain()
        self._wakers: dict[Waker, None] = {}
        self._open: Counter[str] = Counter()

    async def watch(
        self,
        caller: Caller,
        execution_id: str,
        *,
        resume_token: str = "",
        full: bool = False,
        descendants: bool = False,
        bookmark_interval: timedelta = DEFAULT_BOOKMARK_INTERVAL,
        credentials_end: datetime | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """
        Yield every version of an execution and its parts; with *descendants* of all below it.

        Raises `InvalidArgument` and `OutOfRange` for the *resume_token*, `NotFound`, and
        `ResourceExhausted`.
        """
        shared = self._shared
        watched = Watched(Key(caller.workspace_id, execution_id), descendants, full)
        cursor = TreeCursor(shared.signal.head, Spot())
        if resume_token:
            cursor = shared.tokens.read_tree(resume_token, watched.key, descendants)
        with self._admitted(caller.workspace_id) as waker:
            await self._check_reached(cursor.after)
            ring = shared.signal.tree_bell if descendants else shared.signal.execution_bell
            with ring(watched.key, waker) as bell:
                follower = TreeFollower(shared, watched, cursor, bell)
                frames = self._frames(follower, waker, bookmark_interval, credentials_end)
                async with aclosing(frames):
                    async for frame in frames:
                        yield frame

    async def watch_active(
        self,
        caller: Caller,
        matching: ExecutionFilter,
        *,
        resume_token: str = "",
        min_interval: timedelta = _NO_TIME,
        bookmark_interval: timedelta = DEFAULT_BOOKMARK_INTERVAL,
        credentials_end: datetime | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """
        Yield the active executions that match, and what changes of them.

        Frames that tell news come in bursts at least *min_interval* apart: one frame, or several
        if there is more than fits. Raises as `watch` does, except `NotFound`.
        """
        shared = self._shared
        scope = Scope(caller.workspace_id, matching)
        cursor = ActiveCursor(shared.signal.head, "")
        if resume_token:
            cursor = shared.tokens.read_active(resume_token, scope)
        with self._admitted(caller.workspace_id) as waker:
            await self._check_reached(max(cursor.after, cursor.until))
            with shared.signal.scope_bell(scope, waker) as bell:
                follower = ActiveFollower(shared, scope, cursor, bell, min_interval)
                frames = self._frames(follower, waker, bookmark_interval, credentials_end)
                async with aclosing(frames):
                    async for frame in frames:
                        yield frame

    def drain(self) -> None:
        """Tell all watchers to come back later, and let no more in."""
        self._drain.has_begun = True
        for waker in self._wakers:
            waker.wake()

    def _frames(
        self,
        follower: Follower,
        waker: Waker,
        bookmark_interval: timedelta,
        credentials_end: datetime | None,
    ) -> AsyncGenerator[bytes, None]:
        shared = self._shared
        lifetime = Lifetime(
            shared.clock,
            shared.entropy,
            self._drain,
            bookmark_interval=bookmark_interval,
            max_age=shared.terms.max_age,
            credentials_end=credentials_end,
        )
        return Stream(shared, follower, waker, lifetime, bookmark_interval).frames()

    async def _check_reached(self, revision: int) -> None:
        """Raise `InvalidArgument` if the database never was at *revision*."""
        if revision <= self._shared.signal.head:
            return
        # Another process may have committed it, and this one not heard of it yet.
        if revision > await self._shared.history.head():
            raise invalid_token("is newer than this database, which may have been restored")

    @contextmanager
    def _admitted(self, workspace_id: str) -> Iterator[Waker]:
        """Count one more watch, and give it what wakes it; raise if there are too many."""
        if self._drain.has_begun:
            raise Unavailable.for_now("the server is shutting down", reason=Reason.DRAINING)
        terms = self._shared.terms
        if len(self._wakers) >= terms.per_process:
            raise _too_many("this server", terms.per_process, "process")
        if self._open[workspace_id] >= terms.per_workspace:
            subject = f"workspace:{workspace_id}"
            raise _too_many(f"workspace {workspace_id!r}", terms.per_workspace, subject)
        waker = Waker(self._shared.clock)
        self._wakers[waker] = None
        self._open[workspace_id] += 1
        try:
            yield waker
        finally:
            waker.close()
            del self._wakers[waker]
            self._open[workspace_id] -= 1
            if not self._open[workspace_id]:
                del self._open[workspace_id]


def _too_many(where: str, limit: int, subject: str) -> ResourceExhausted:
    return ResourceExhausted(
        f"{where} has {limit} watches open, which is its limit",
        reason=Reason.TOO_MANY_WATCHES,
        subject=subject,
    )
