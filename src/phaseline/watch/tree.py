"""Following one execution, alone or with all below it: a snapshot, then every version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from phaseline.app.changes import Entry
from phaseline.domain.errors import NotFound
from phaseline.domain.lifecycle import TERMINAL
from phaseline.watch.bell import Bell
from phaseline.watch.cursor import Spot, TreeCursor
from phaseline.watch.ports import Kind
from phaseline.watch.recent import Piece, Step
from phaseline.watch.shared import Shared, stale
from phaseline.watch.snapshot import TreeSnapshot, Watched


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
        self._root_execution_id = ""
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
            self._root_execution_id = execution.spec.root_execution_id
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
        self._skip_quiet(as_of)
        return self.cursor.after >= as_of

    async def step(self) -> bytes | None:
        """Return the next frame; empty to be asked again at once, None if there is nothing now."""
        if self.cursor.snapshot is not None:
            return await self._next_of_snapshot(self.cursor.snapshot)
        if self._until <= self.cursor.after:
            self._skip_quiet(self._shared.signal.head)
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
            self._skip_quiet(piece.revision)
            if self.cursor.after < piece.revision:
                return await self._next_in_range(piece.revision)
        self._piece = None
        self.cursor = TreeCursor(self.cursor.after, piece.behind)
        return piece.frame

    async def _next_in_range(self, until: int) -> bytes:
        """Return the next frame of what happened up to *until*."""
        # Named before the read: what was read before a purge is so not found after it.
        ends = (until, self._shared.signal.tail.generation)
        step = self._shared.tree_steps.get((self._watched, self.cursor, *ends))
        if step is None:
            step = await self._make_step(until, ends)
        self.cursor = step.cursor
        if step.state is not None and step.state[0] >= self._state[0]:
            self._state = step.state
        return step.frame

    async def _make_step(self, until: int, ends: tuple[int, int]) -> Step[TreeCursor]:
        """Return the next step, and keep for others what else was read."""
        entries, end = await self._read(until)
        if self._watched.full:
            entries, payloads, is_cut = await self._payloads_of(entries)
            if is_cut:
                end = self._behind(entries[-1])
            # The next ones would only take room: nobody else is likely to look at just these.
            return next(self._cut(entries, payloads, end))
        kept, place = self._shared.tree_steps, self.cursor
        steps = list(self._cut(entries, (), end))
        for step in steps:
            kept.put((self._watched, place, *ends), step, len(step.frame))
            place = step.cursor
        return steps[0]

    async def _read(self, until: int) -> tuple[Sequence[Entry], TreeCursor]:
        """Return entries, whole commits only, and where a watch is that has sent them."""
        watched, sizes, after = self._watched, self._shared.sizes, self.cursor.after
        if self._shared.signal.tail.holds(after, until):
            limit = sizes.full_page if watched.full else sizes.changes
            entries = self._shared.signal.tail.entries_of(
                watched.key,
                root_execution_id=self._root_execution_id,
                after=after,
                until=until,
                limit=limit,
            )
        else:
            limit = sizes.full_page if watched.full else sizes.log_page
            entries = await self._shared.read_log(
                lambda: self._shared.history.entries_of(
                    watched.key,
                    descendants=watched.descendants,
                    after=after,
                    until=until,
                    limit=limit,
                ),
                after=after,
            )
        # Fewer than asked for need not be all: a commit that does not fit comes the next time.
        reached = entries[-1].revision if entries else until
        return entries, TreeCursor(reached, self.cursor.snapshot)

    async def _payloads_of(
        self, entries: Sequence[Entry]
    ) -> tuple[Sequence[Entry], Sequence[Sequence[bytes]], bool]:
        """Return the first of *entries*, a frame's worth, their payloads, and whether some miss."""
        found: list[Sequence[bytes]] = []
        size = 0
        for entry in entries:
            found.append(await self._shared.payloads.of_entry(entry))
            size += sum(map(len, found[-1]))
            if size > self._shared.sizes.frame:
                break
        return entries[: len(found)], found, len(found) < len(entries)

    def _cut(
        self, entries: Sequence[Entry], payloads: Sequence[Sequence[bytes]], end: TreeCursor
    ) -> Iterator[Step[TreeCursor]]:
        """Yield *entries* as frames; the last one, which may be empty, leads to *end*."""
        full, snapshot = self._watched.full, self.cursor.snapshot
        sizes, encode = self._shared.sizes, self._shared.codec.change
        changes: list[bytes] = []
        size = 0
        state = None
        for at, entry in enumerate(entries):
            for index in self._due_parts(entry):
                part = entry.parts[index]
                change = encode(
                    Kind.ADDED if part.is_new else Kind.MODIFIED,
                    entry.changed_at,
                    part,
                    full=full,
                    payloads=payloads[at][index] if full else b"",
                )
                size += len(change)
                if changes and (len(changes) == sizes.changes or size > sizes.frame):
                    reached = TreeCursor(
                        entry.revision - 1, snapshot, entry.key.execution_id, index
                    )
                    yield self._step(changes, reached, state)
                    changes, size = [], len(change)
                changes.append(change)
            if entry.key == self._watched.key:
                state = (entry.revision, entry.status_after in TERMINAL)
        yield self._step(changes, end, state)

    def _due_parts(self, entry: Entry) -> Sequence[int]:
        """Return which parts of *entry* are to be sent, now that the commits before it were."""
        cursor, every = self.cursor, range(len(entry.parts))
        if cursor.sent_id and entry.revision == cursor.after + 1:
            if entry.key.execution_id < cursor.sent_id:
                return ()
            if entry.key.execution_id == cursor.sent_id:
                every = every[cursor.sent_parts :]
        spot = cursor.snapshot
        if spot is None:
            return every
        id, parts = self._watched.spot_id(entry.key.execution_id), entry.parts
        # What lies ahead comes with the snapshot, and must not come twice.
        return [n for n in every if Spot(id, parts[n].resource, parts[n].ordinal) <= spot]

    def _step(
        self, changes: list[bytes], reached: TreeCursor, state: tuple[int, bool] | None
    ) -> Step[TreeCursor]:
        if not changes:
            return Step(b"", reached, state)
        token = self._shared.tokens.of_tree(self._watched.key, self._watched.descendants, reached)
        return Step(self._shared.codec.change_set(changes, 0, token), reached, state)

    def _behind(self, entry: Entry) -> TreeCursor:
        """Return the place where *entry* is sent, and perhaps not yet all of its commit."""
        id, parts = entry.key.execution_id, len(entry.parts)
        return TreeCursor(entry.revision - 1, self.cursor.snapshot, id, parts)

    def _skip_quiet(self, most: int) -> None:
        """Skip what does not concern this watch, up to *most*."""
        reached = min(self._shared.signal.quiet_until(self._bell, self.cursor.after), most)
        if reached > self.cursor.after:
            self.cursor = TreeCursor(reached, self.cursor.snapshot)
