"""The present state of an execution and all below it, in pieces that fit a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from phaseline.app.changes import Part, Resource, TreePage
from phaseline.domain.ids import Key
from phaseline.watch.cursor import EVERYTHING, Spot, TreeCursor
from phaseline.watch.ports import Kind
from phaseline.watch.recent import Piece
from phaseline.watch.shared import Shared


class Watched(NamedTuple):
    """What a watch of one execution is about."""

    key: Key
    descendants: bool
    full: bool

    def spot_id(self, execution_id: str) -> str:
        """Return what a `Spot` calls an execution: nothing for the top, which comes first."""
        return "" if execution_id == self.key.execution_id else execution_id

    def key_at(self, spot: Spot) -> Key:
        """Return the execution that *spot* is in."""
        workspace_id, top_id = self.key
        return Key(workspace_id, spot.execution_id or top_id)


class TreeSnapshot:
    """Reads the state of a tree: each piece as of the revision of its own."""

    def __init__(self, shared: Shared, watched: Watched) -> None:
        self._shared, self._watched = shared, watched
        self._sizes = shared.sizes

    async def piece_after(self, spot: Spot, *, least: int) -> Piece[Spot]:
        """Return what comes next, as of *least* or later; without a frame it is as of any time."""
        shared = self._shared
        if self._watched.full:
            # With payloads it is large, and two that want the same are rare.
            async with shared.turns:
                return await self._read(spot)
        return await shared.read_piece(
            shared.tree_pieces,
            (self._watched, spot, shared.signal.tail.generation),
            lambda: self._read(spot),
            least=least,
        )

    async def _read(self, spot: Spot) -> Piece[Spot]:
        history, watched, sizes = self._shared.history, self._watched, self._shared.sizes
        if spot.resource == EVERYTHING:
            pages = await history.pages_below(
                watched.key,
                after_id=spot.execution_id,
                limit=sizes.executions,
                operations=sizes.operations,
                full=watched.full,
            )
            return self._piece(pages, spot, is_last=len(pages) < sizes.executions)
        page = await history.execution_page(
            watched.key_at(spot),
            after=spot.ordinal if spot.resource == Resource.OPERATION else -1,
            limit=sizes.operations,
            full=watched.full,
        )
        if page is None:
            # Deleted meanwhile: there is nothing more to tell of it.
            return self._made([], Spot(spot.execution_id, EVERYTHING), None)
        return self._piece([page], spot, is_last=not watched.descendants)

    def _piece(self, pages: Sequence[TreePage], spot: Spot, *, is_last: bool) -> Piece[Spot]:
        """Return what *pages* hold past *spot*, as much as fits a frame."""
        changes: list[bytes] = []
        size, start = 0, spot
        for page in pages:
            for place, change in self._changes(page, start):
                size += len(change)
                if changes and (len(changes) == self._sizes.changes or size > self._sizes.frame):
                    return self._made(changes, spot, page)
                changes.append(change)
                spot = place
            if len(page.operations) == self._sizes.operations:
                return self._made(changes, spot, page)
            spot = Spot(self._watched.spot_id(page.execution.spec.execution_id), EVERYTHING)
        return self._made(changes, None if is_last else spot, pages[-1] if pages else None)

    def _made(
        self, changes: list[bytes], behind: Spot | None, page: TreePage | None
    ) -> Piece[Spot]:
        """Return the piece of *changes*, the last of them from *page*."""
        shared, watched = self._shared, self._watched
        frame, revision, state = b"", 0, None
        if page is not None:
            revision = page.revision
            if page.execution.key == watched.key:
                state = (page.execution.revision, page.execution.done)
        if changes:
            cursor = TreeCursor(revision, behind)
            token = shared.tokens.of_tree(watched.key, watched.descendants, cursor)
            frame = shared.codec.change_set(changes, 0, token)
        return Piece(frame, behind, revision, shared.clock.time(), state)

    def _changes(self, page: TreePage, after: Spot) -> Iterator[tuple[Spot, bytes]]:
        """Yield what *page* holds past a spot, each with its own."""
        encoder, payloads = self._shared.encoder, self._shared.payloads
        execution, full = page.execution, self._watched.full
        id = self._watched.spot_id(execution.spec.execution_id)
        spot = Spot(id, Resource.EXECUTION)
        if spot > after:
            extra = encoder.execution_extra(execution) if full else b""
            part = Part(Resource.EXECUTION, True, encoder.execution(execution), extra)
            yield spot, self._added(page, part, payloads.of_execution(page) if full else b"")
        for position in range(len(execution.phases)):
            spot = Spot(id, Resource.PHASE, position)
            if spot > after:
                part = Part(Resource.PHASE, True, encoder.phase(execution, position))
                yield spot, self._added(page, part, payloads.of_phase(page, position))
        for operation in page.operations:
            spot = Spot(id, Resource.OPERATION, operation.ordinal)
            part = Part(Resource.OPERATION, True, encoder.operation(operation))
            yield spot, self._added(page, part, payloads.of_operation(operation) if full else b"")

    def _added(self, page: TreePage, part: Part, payloads: bytes) -> bytes:
        return self._shared.codec.change(
            Kind.ADDED,
            page.execution.updated_at,
            part,
            full=self._watched.full,
            payloads=payloads,
        )
