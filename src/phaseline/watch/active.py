"""Following the active executions: a snapshot, then what changes, folded for those who lag."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from math import inf

from msgspec.structs import replace

from phaseline.app.changes import Folded, Part, Resource
from phaseline.domain.execution import Execution
from phaseline.watch.bell import Bell
from phaseline.watch.cursor import ActiveCursor
from phaseline.watch.ports import Kind
from phaseline.watch.recent import Piece, Step
from phaseline.watch.scope import Scope
from phaseline.watch.shared import Shared, stale


class ActiveFollower:
    """
    Makes the frames of one watch of active executions. Its cursor is all that it remembers.

    The snapshot goes by execution_id, and each page of it is as of another revision: before a page
    goes what the log tells, up to that revision, of those that were sent already. So it is right
    at every moment, and can be cut and resumed between any two frames.
    """

    def __init__(
        self,
        shared: Shared,
        scope: Scope,
        cursor: ActiveCursor,
        bell: Bell,
        min_interval: timedelta,
    ) -> None:
        self._shared, self._scope, self._bell = shared, scope, bell
        self.cursor = cursor
        #: Set once the reader is up to date: only from then on frames are kept apart.
        self.is_live = False
        self._min_interval = min_interval.total_seconds()
        self._next_at = -inf
        #: When there is something to send though nothing happens.
        self.wakes_at = inf
        self._piece: Piece[str] | None = None

    @property
    def token(self) -> str:
        """Return the token of the place where the watch is."""
        return self._shared.tokens.of_active(self._scope, self.cursor)

    async def open(self) -> None:
        """Check nothing: there is always a list of active executions."""

    def has_sent(self, revision: int) -> bool:
        """Whether all that existed as of *revision* was sent."""
        return self.cursor.snapshot is None and self.cursor.after >= revision

    async def is_over(self) -> bool:
        """Whether nothing will ever follow."""
        return False

    async def step(self) -> bytes | None:
        """Return the next frame; empty to be asked again at once, None if there is nothing now."""
        self.wakes_at = inf
        if self.cursor.until:
            frame = await self._next_in_range(self.cursor.until)
        elif self.cursor.snapshot is not None:
            frame = await self._next_of_snapshot(self.cursor.snapshot)
        else:
            self._skip_quiet()
            horizon = self._shared.signal.horizon(self._bell)
            if self.cursor.after >= horizon:
                return None
            if self._next_at > self._shared.clock.time():
                self.wakes_at = self._next_at
                return None
            frame = await self._next_in_range(horizon)
        if frame and self.is_live:
            self._next_at = self._shared.clock.time() + self._min_interval
        return frame

    async def _next_of_snapshot(self, sent_up_to: str) -> bytes:
        piece = self._piece
        if piece is None:
            piece = self._piece = await self._shared.read_piece(
                self._shared.active_pieces,
                (self._scope.digest, sent_up_to, self._shared.signal.tail.generation),
                lambda: self._read_piece(sent_up_to),
                # As long as nothing was sent, there is nothing that a piece could fall behind.
                least=self.cursor.after if sent_up_to else 0,
            )
        if not sent_up_to:
            self.cursor = ActiveCursor(piece.revision, "")
        if piece.revision < self.cursor.after:
            raise stale()
        self._skip_quiet()
        if self.cursor.after < piece.revision:
            return await self._next_in_range(piece.revision)
        self._piece = None
        self.cursor = ActiveCursor(piece.revision, piece.behind)
        return piece.frame

    async def _read_piece(self, after_id: str) -> Piece[str]:
        shared, sizes = self._shared, self._shared.sizes
        page = await shared.history.active_page(
            self._scope.workspace_id, self._scope.matching, after_id=after_id, limit=sizes.changes
        )
        changes: list[bytes] = []
        size = 0
        for execution in page.executions:
            change = self._added(execution)
            size += len(change)
            if changes and size > sizes.frame:
                break
            changes.append(change)
            after_id = execution.spec.execution_id
        has_more = page.has_more or len(changes) < len(page.executions)
        behind = after_id if has_more else None
        frame = b""
        if changes:
            token = shared.tokens.of_active(self._scope, ActiveCursor(page.revision, behind))
            frame = shared.codec.change_set(changes, 0, token)
        return Piece(frame, behind, page.revision, shared.clock.time())

    def _added(self, execution: Execution) -> bytes:
        part = self._shared.signal.tail.version(execution.key, execution.revision)
        if part is None:
            part = Part(Resource.EXECUTION, True, self._shared.encoder.execution(execution))
        return self._shared.codec.change(Kind.ADDED, execution.updated_at, part, full=False)

    async def _next_in_range(self, until: int) -> bytes:
        """Return the next frame of what happened up to *until*, folded."""
        place = (self._scope.digest, self.cursor, until, self._shared.signal.tail.generation)
        step = self._shared.active_steps.get(place)
        if step is None:
            step = await self._make_step(until)
            self._shared.active_steps.put(place, step, len(step.frame))
        self.cursor = step.cursor
        return step.frame

    async def _make_step(self, until: int) -> Step[ActiveCursor]:
        shared, scope, cursor = self._shared, self._scope, self.cursor
        if shared.signal.tail.holds(cursor.after, until):
            folded = shared.signal.tail.folded(
                scope.workspace_id, after=cursor.after, until=until, past=cursor.past
            )
            return self._fold(folded, until, is_all=True)
        page = await shared.read_log(
            lambda: shared.history.folded(
                scope.workspace_id,
                scope.matching,
                after=cursor.after,
                until=until,
                past=cursor.past,
                limit=shared.sizes.log_page,
            ),
            after=cursor.after,
        )
        return self._fold(page, until, is_all=len(page) < shared.sizes.log_page)

    def _fold(self, versions: Iterable[Folded], until: int, *, is_all: bool) -> Step[ActiveCursor]:
        """Return a frame of *versions*, which reach *until* if they are all there are."""
        cursor, sizes, encode = self.cursor, self._shared.sizes, self._shared.codec.change
        changes: list[bytes] = []
        size = left_out = 0
        past = cursor.past
        for looked_at, folded in enumerate(versions, 1):
            entry = folded.entry
            kind = self._scope.kind_of(folded)
            if kind is not None and not self._is_ahead(entry.key.execution_id):
                change = encode(kind, entry.changed_at, entry.parts[0], full=False)
                size += len(change)
                if changes and (len(changes) == sizes.changes or size > sizes.frame):
                    is_all = False
                    break
                changes.append(change)
                left_out += folded.left_out
            past = (entry.revision, entry.key.execution_id)
            if looked_at == sizes.look:
                is_all = False
                break
        if is_all:
            reached = ActiveCursor(until, cursor.snapshot)
        else:
            reached = ActiveCursor(cursor.after, cursor.snapshot, until, past)
        frame = b""
        if changes:
            token = self._shared.tokens.of_active(self._scope, reached)
            frame = self._shared.codec.change_set(changes, left_out, token)
        return Step(frame, reached)

    def _is_ahead(self, execution_id: str) -> bool:
        """Whether the snapshot has still to come to that execution."""
        sent_up_to = self.cursor.snapshot
        return sent_up_to is not None and execution_id > sent_up_to

    def _skip_quiet(self) -> None:
        """Skip what does not concern this watch."""
        reached = self._shared.signal.quiet_until(self._bell, self.cursor.after)
        if reached > self.cursor.after:
            self.cursor = replace(self.cursor, after=reached)
