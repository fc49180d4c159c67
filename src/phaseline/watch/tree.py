"""Following one execution, alone or with all below it: a snapshot, then every version."""

from __future__ import annotations

from math import inf

from phaseline.domain.errors import NotFound
from phaseline.watch.bell import Bell
from phaseline.watch.cursor import Spot, TreeCursor
from phaseline.watch.recent import Piece
from phaseline.watch.shared import Shared, stale
from phaseline.watch.snapshot import TreeSnapshot, Watched
from phaseline.watch.versions import TreeVersions


class TreeFollower:
    """
    Makes the frames of one watch of an execution. Its cursor is all that it remembers.

    The snapshot goes from the execution through those below it by execution_id, and is told
    together with the changes of what was sent already, as that of the active executions is.
    """

    def __init__(self, shared: Shared, watched: Watched, cursor: TreeCursor, bell: Bell) -> None:
        self._shared, self._watched, self._bell = shared, watched, bell
        self.cursor = cursor
        self.is_live = False
        self.wakes_at = inf
        self._snapshot = TreeSnapshot(shared, watched)
        self._piece: Piece[Spot] | None = None
        self._versions = TreeVersions(shared, watched)
        #: End of the range that is being sent.
        self._until = 0
        #: Whether the execution is terminal, and as of which revision that is known.
        self._state = (0, False)
        #: Where the watch was when last something below was not terminal yet.
        self._unsettled_at = -1

    @property
    def token(self) -> str:
        """Return the token of the place where the watch is."""
        watched = self._watched
        return self._shared.tokens.of_tree(watched.key, watched.descendants, self.cursor)

    async def open(self) -> None:
        """Look the execution up; raise `NotFound` if there is none."""
        execution = await self._shared.state.status(self._watched.key)
        if execution is None:
            raise NotFound("execution", self._watched.key.execution_id)
        if self._watched.descendants:
            self._versions.root_execution_id = execution.spec.root_execution_id
        self._state = (execution.revision, execution.done)

    def has_sent(self, revision: int) -> bool:
        """Whether all that existed as of *revision* was sent."""
        return self.cursor.snapshot is None and self.cursor.after >= revision

    async def is_over(self) -> bool:
        """Whether everything watched is terminal, and was sent, if there is nothing to send now."""
        known_as_of, is_done = self._state
        if not is_done or self.cursor.after < known_as_of:
            return False  # its last version is still to come
        if not self._watched.descendants:
            return True
        if self._unsettled_at == self.cursor.after:
            return False
        is_settled, as_of = await self._shared.history.settled(self._watched.key)
        if not is_settled:
            self._unsettled_at = self.cursor.after
            return False
        await self._shared.signal.reached(as_of)
        self._skip_quiet()
        return self.cursor.after >= as_of

    async def step(self) -> bytes | None:
        """Return the next frame; empty to be asked again at once, None if there is nothing now."""
        if self.cursor.snapshot is not None:
            return await self._next_of_snapshot(self.cursor.snapshot)
        if self._until <= self.cursor.after:
            self._skip_quiet()
            self._until = self._shared.signal.horizon(self._bell)
            if self.cursor.after >= self._until:
                return None
        return await self._next_in_range(self._until)

    async def _next_of_snapshot(self, spot: Spot) -> bytes:
        piece = self._piece
        if piece is None:
            # As long as nothing was sent, there is nothing that a piece could fall behind.
            least = 0 if spot == Spot() else self.cursor.after
            piece = self._piece = await self._snapshot.piece_after(spot, least=least)
        if piece.frame:
            if spot == Spot():
                self.cursor = TreeCursor(piece.revision, spot)
            if piece.revision < self.cursor.after:
                raise stale()
            self._skip_quiet()
            if self.cursor.after < piece.revision:
                return await self._next_in_range(piece.revision)
        self._piece = None
        self.cursor = TreeCursor(self.cursor.after, piece.behind)
        self._came(piece.state)
        return piece.frame

    async def _next_in_range(self, until: int) -> bytes:
        """Return the next frame of what happened up to *until*."""
        step = await self._versions.step(self.cursor, until)
        self.cursor = step.cursor
        self._came(step.state)
        return step.frame

    def _came(self, state: tuple[int, bool] | None) -> None:
        """Take note of the version of the execution that was sent, if one was."""
        if state is not None and state[0] >= self._state[0]:
            self._state = state

    def _skip_quiet(self) -> None:
        """Skip what does not concern this watch."""
        reached = self._shared.signal.quiet_until(self._bell, self.cursor.after)
        if reached > self.cursor.after:
            if self._unsettled_at == self.cursor.after:
                # Nothing of the tree has changed since, so it need not be asked after again.
                self._unsettled_at = reached
            self.cursor = TreeCursor(reached, self.cursor.snapshot)
