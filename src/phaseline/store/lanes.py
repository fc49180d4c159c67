"""What waits in one queue: by handler, by workflow, and whose turn it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from phaseline.app.ports import Slot
from phaseline.store.ordered import Ordered

Kind = tuple[str, str]  # handler, deployment_id
Rank = tuple[int, int, datetime]  # priority, turn, age


class Turn:
    """When a workflow was served in a queue, by whichever handler."""

    __slots__ = ("at", "lanes")

    def __init__(self, at: int) -> None:
        self.at = at
        self.lanes = 0

    def rank(self, rank: tuple[int, datetime]) -> Rank:
        """Return where a lane of the workflow stands of which the first has *rank*."""
        priority, created_at = rank
        return priority, self.at, created_at


class Lane:
    """What is ready of one workflow for one handler."""

    __slots__ = ("slots", "turn")

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.slots: Ordered[Slot] = Ordered()

    @property
    def rank(self) -> Rank:
        """Where the lane should stand."""
        first = self.slots.first()
        assert first is not None, "an empty lane is let go"
        return self.turn.rank(self.slots.rank(first))


class Shelf:
    """
    The lanes for one handler, in order.

    A lane that was served, or lost its first, moves back when it is met: until then it stands too
    far ahead. None ever stands too far behind.
    """

    __slots__ = ("lanes", "order")

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}
        self.order: Ordered[str] = Ordered()

    def ranked(self) -> Iterator[tuple[Rank, Lane]]:
        """Yield lanes in order, the first of them where it should be."""
        while (first := self.order.first()) is not None:
            rank = self.lanes[first].rank
            if rank == self.order.rank(first):
                break
            self.order.put(first, rank)
        return ((rank, self.lanes[name]) for rank, name in self.order.ranked())


class Queue:
    """The shelves of a queue, and whose turn it is."""

    __slots__ = ("served", "shelves", "turns")

    def __init__(self, served: int) -> None:
        #: The last turn that anybody had.
        self.served = served
        self.shelves: dict[Kind, Shelf] = {}
        self.turns: dict[str, Turn] = {}

    def join(self, workflow_id: str) -> Turn:
        """Return the turn of a workflow that gets one more lane."""
        turn = self.turns.get(workflow_id)
        if turn is None:
            # Just ahead of who was served last, but not of those that have waited longer.
            turn = self.turns[workflow_id] = Turn(self.served - 1)
        turn.lanes += 1
        return turn

    def leave(self, workflow_id: str) -> None:
        """Forget when a workflow was served once its last lane goes."""
        turn = self.turns[workflow_id]
        turn.lanes -= 1
        if not turn.lanes:
            del self.turns[workflow_id]
