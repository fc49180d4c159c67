"""Every version of an execution and of all below it, in frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from phaseline.app.changes import Entry
from phaseline.domain.lifecycle import TERMINAL
from phaseline.watch.cursor import Spot, TreeCursor
from phaseline.watch.ports import Kind
from phaseline.watch.recent import Step
from phaseline.watch.shared import Shared
from phaseline.watch.snapshot import Watched

_FIRST_LOG_PAGE = 16


class TreeVersions:
    """Reads what happened from memory or from the log, and cuts it where a frame is full."""

    def __init__(self, shared: Shared, watched: Watched) -> None:
        self._shared, self._watched = shared, watched
        #: Top of the tree that is watched; empty if the execution is watched alone.
        self.root_execution_id = ""
        #: Entries to read from the log at once, and frames that were made of them in advance.
        self._log_page = min(_FIRST_LOG_PAGE, shared.sizes.log_page)
        self._kept_ahead = 0

    async def step(self, cursor: TreeCursor, until: int) -> Step[TreeCursor]:
        """Return the next frame of what happened up to *until*, and the place behind it."""
        # Named before the read: what was read before a purge is so not found after it.
        ends = (until, self._shared.signal.tail.generation)
        known = self._shared.tree_steps.get((self._watched, cursor, *ends))
        if known is None:
            return await self._make(cursor, until, ends)
        self._kept_ahead -= 1
        return known

    async def _make(
        self, cursor: TreeCursor, until: int, ends: tuple[int, int]
    ) -> Step[TreeCursor]:
        """Return the next step, and keep for others what else was read."""
        in_memory = self._shared.signal.tail.holds(cursor.after, until)
        entries = (
            self._remembered(cursor, until) if in_memory else await self._logged(cursor, until)
        )
        # Fewer than asked for need not be all: a commit that does not fit comes the next time.
        end = TreeCursor(entries[-1].revision if entries else until, cursor.snapshot)
        if self._watched.full:
            # One that was sent already would else fill the frame again, for ever.
            due = [entry for entry in entries if self._due_parts(cursor, entry)]
            # In turns, as the log is read: a thousand watchers leave others room to read.
            async with self._shared.turns:
                entries, payloads, is_cut = await self._payloads_of(due)
            if is_cut:
                end = _behind(entries[-1], cursor)
            # The others would only take room: nobody else is likely to look at just these.
            return next(self._cut(cursor, entries, payloads, end))
        steps = self._cut(cursor, entries, (), end)
        # What is in memory is soon found again.
        made = [next(steps)] if in_memory else list(steps)
        place = cursor
        for step in made:
            self._shared.tree_steps.put((self._watched, place, *ends), step, len(step.frame))
            place = step.cursor
        self._kept_ahead = len(made) - 1
        return made[0]

    def _remembered(self, cursor: TreeCursor, until: int) -> Sequence[Entry]:
        """Return the next entries, which are in memory."""
        sizes = self._shared.sizes
        return self._shared.signal.tail.entries_of(
            self._watched.key,
            root_execution_id=self.root_execution_id,
            after=cursor.after,
            until=until,
            limit=sizes.full_page if self._watched.full else sizes.changes,
        )

    async def _logged(self, cursor: TreeCursor, until: int) -> Sequence[Entry]:
        """Return the next entries, read from the log."""
        watched, after, sizes = self._watched, cursor.after, self._shared.sizes
        if self._kept_ahead > 0:
            # What was read beyond a frame is gone before it is used: others need the room.
            self._log_page = max(self._log_page // 2, 1)
        limit = sizes.full_page if watched.full else self._log_page
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
        # An entry has anything from one part to thousands.
        parts = sum(len(entry.parts) for entry in entries)
        if parts > sizes.log_parts:
            self._log_page = max(self._log_page * sizes.log_parts // parts, 1)
        elif parts * 2 <= sizes.log_parts:
            self._log_page = min(self._log_page * 2, sizes.log_page)
        return entries

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
        self,
        cursor: TreeCursor,
        entries: Sequence[Entry],
        payloads: Sequence[Sequence[bytes]],
        end: TreeCursor,
    ) -> Iterator[Step[TreeCursor]]:
        """Yield *entries* as frames; the last one, which may be empty, leads to *end*."""
        full, snapshot = self._watched.full, cursor.snapshot
        sizes, encode = self._shared.sizes, self._shared.codec.change
        changes: list[bytes] = []
        size = 0
        state = None
        for at, entry in enumerate(entries):
            parts = entry.parts
            for index in self._due_parts(cursor, entry):
                part = parts[index]
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

    def _due_parts(self, cursor: TreeCursor, entry: Entry) -> Sequence[int]:
        """Return which parts of *entry* are to be sent, now that the commits before it were."""
        every = range(len(entry.parts))
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


def _behind(entry: Entry, cursor: TreeCursor) -> TreeCursor:
    """Return the place where *entry* is sent, and perhaps not yet all of its commit."""
    return TreeCursor(entry.revision - 1, cursor.snapshot, entry.key.execution_id, len(entry.parts))
