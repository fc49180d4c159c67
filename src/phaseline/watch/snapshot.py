"""The present state of an execution and all below it, in pieces that fit a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from phaseline.app.changes import Part, Resource, TreePage
from phaseline.domain.ids import Key
from phaseline.watch.cursor import EVERYTHING, Spot
from phaseline.watch.ports import Kind
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


class Piece(NamedTuple):
    """Changes for one frame as of a revision, and the spot behind them; None at the end."""

    changes: list[bytes]
    spot: Spot | None
    revision: int = 0


class TreeSnapshot:
    """Reads the state of a tree: each piece as of the revision of its own."""

    def __init__(self, shared: Shared, watched: Watched) -> None:
        self._shared, self._watched = shared, watched
        self._sizes = shared.sizes

    async def piece_after(self, spot: Spot) -> Piece:
        """Return what comes next."""
        watched = self._watched
        if spot.resource == EVERYTHING:
            pages = await self._pages_below(spot)
            return self._piece(pages, spot, is_last=len(pages) < self._sizes.executions)
        page = await self._page(
            watched.key_at(spot),
            after=spot.ordinal if spot.resource == Resource.OPERATION else -1,
            limit=self._sizes.operations,
            full=watched.full,
        )
        if page is None:
            # Deleted meanwhile, and so the last that there was to tell of it.
            return Piece([], Spot(spot.execution_id, EVERYTHING) if watched.descendants else None)
        return self._piece([page], spot, is_last=not watched.descendants)

    async def _page(self, key: Key, *, after: int, limit: int, full: bool) -> TreePage | None:
        history = self._shared.history
        return await self._shared.read(
            lambda: history.execution_page(key, after=after, limit=limit, full=full)
        )

    async def _pages_below(self, spot: Spot) -> Sequence[TreePage]:
        history, watched = self._shared.history, self._watched
        return await self._shared.read(
            lambda: history.pages_below(
                watched.key,
                after_id=spot.execution_id,
                limit=self._sizes.executions,
                operations=self._sizes.operations,
                full=watched.full,
            )
        )

    def _piece(self, pages: Sequence[TreePage], spot: Spot, *, is_last: bool) -> Piece:
        changes: list[bytes] = []
        size, start = 0, spot
        for page in pages:
            for place, change in self._changes(page, start):
                size += len(change)
                if changes and (len(changes) == self._sizes.changes or size > self._sizes.frame):
                    return Piece(changes, spot, page.revision)
                changes.append(change)
                spot = place
            if len(page.operations) == self._sizes.operations:
                return Piece(changes, spot, page.revision)
            spot = Spot(self._watched.spot_id(page.execution.spec.execution_id), EVERYTHING)
        return Piece(changes, None if is_last else spot, pages[0].revision if pages else 0)

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
