"""Which phases can be leased, and who gets which: the queues, in memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import count, product

from phaseline.app.ports import Slot
from phaseline.domain.execution import Execution
from phaseline.domain.report import LeaseRequest
from phaseline.domain.work import can_lease
from phaseline.store.lanes import Kind, Lane, Queue, Rank, Shelf, Turn

_Name = tuple[str, str]  # workspace_id, queue_name


class _Rival:
    """A lane from which somebody may be served, and the way to those behind it."""

    __slots__ = ("_rank", "_slots", "behind", "queue", "slot", "turn")

    def __init__(self, queue: Queue, lane: Lane, behind: Iterator[tuple[Rank, Lane]]) -> None:
        self.queue, self.turn = queue, lane.turn
        #: None once somebody went there.
        self.behind: Iterator[tuple[Rank, Lane]] | None = behind
        self._slots = lane.slots.ranked()
        self._rank, self.slot = next(self._slots)

    @property
    def rank(self) -> Rank:
        """Where the lane should stand."""
        return self.turn.rank(self._rank)

    def advance(self) -> bool:
        """Go on along the lane, and tell whether there is more."""
        following = next(self._slots, None)
        if following is not None:
            self._rank, self.slot = following
        return following is not None


class ReadyPhases:
    """
    The phases that can be leased, by queue.

    Higher priority goes first. Among equals the workflows take turns, and of a workflow the oldest
    execution goes first; of those that were started in one commit, the first that was put in. A
    workflow that was not in line joins just ahead of the one that was served last.
    """

    def __init__(self) -> None:
        self._queues: dict[_Name, Queue] = {}
        self._served = 0
        self._last_rank: tuple[int, datetime] | None = None

    def __len__(self) -> int:
        return sum(
            len(lane.slots)
            for queue in self._queues.values()
            for shelf in queue.shelves.values()
            for lane in shelf.lanes.values()
        )

    def replace(self, before: Execution | None, after: Execution) -> None:
        """Take note that *after* has taken the place of *before*."""
        is_same = before is not None and before.status is after.status
        for position, phase in enumerate(after.phases):
            if is_same and before is not None and before.phases[position] is phase:
                continue
            if can_lease(after, position):
                self._put(after, position)
            elif before is not None and can_lease(before, position):
                self._discard(before, position)

    def remove(self, execution: Execution) -> None:
        """Forget *execution*."""
        for position in range(len(execution.phases)):
            self._discard(execution, position)

    def offers(self, workspace_id: str, request: LeaseRequest) -> bool:
        """Whether there is any phase that the worker may lease."""
        return any(True for _ in self._shelves_for(workspace_id, request))

    def take(self, workspace_id: str, request: LeaseRequest) -> Iterator[Slot]:
        """
        Yield phases that the worker may lease, in the order in which it should get them.

        What is yielded stays in line until `replace` tells that it was leased, and nothing may be
        replaced meanwhile.
        """
        shelves = list(self._shelves_for(workspace_id, request))
        if len(shelves) == 1 and len(shelves[0][1].lanes) == 1:
            # Nobody to take turns with: by far the most usual.
            [(queue, shelf)] = shelves
            [lane] = shelf.lanes.values()
            for slot in lane.slots:
                self._serve(queue, lane.turn)
                yield slot
            return
        numbers = count()
        rivals: list[tuple[Rank, int, _Rival]] = []
        for queue, shelf in shelves:
            _push_next(rivals, numbers, queue, shelf.ranked())
        while rivals:
            rank, number, rival = rivals[0]
            goes_on = True
            # Else its workflow has had a turn since, perhaps from another lane.
            if rank == rival.rank:
                self._serve(rival.queue, rival.turn)
                yield rival.slot
                goes_on = rival.advance()
            if goes_on:
                heapq.heapreplace(rivals, (rival.rank, number, rival))
            else:
                heapq.heappop(rivals)
            if rival.behind is not None:
                _push_next(rivals, numbers, rival.queue, rival.behind)
                rival.behind = None

    def _serve(self, queue: Queue, turn: Turn) -> None:
        self._served += 1
        queue.served = turn.at = self._served

    def _put(self, execution: Execution, position: int) -> None:
        name, kind, workflow_id = _place(execution, position)
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = Queue(self._served)
        shelf = queue.shelves.get(kind)
        if shelf is None:
            shelf = queue.shelves[kind] = Shelf()
        lane = shelf.lanes.get(workflow_id)
        if lane is None:
            lane = shelf.lanes[workflow_id] = Lane(queue.join(workflow_id))
        rank = (-execution.spec.priority, execution.spec.created_at)
        if rank == self._last_rank:
            # What is started together shares it, for as long as it waits.
            rank = self._last_rank
        self._last_rank = rank
        lane.slots.put(Slot(execution.key, position), rank)
        shelf.order.put(workflow_id, lane.rank)

    def _discard(self, execution: Execution, position: int) -> None:
        name, kind, workflow_id = _place(execution, position)
        queue = self._queues.get(name)
        shelf = None if queue is None else queue.shelves.get(kind)
        lane = None if shelf is None else shelf.lanes.get(workflow_id)
        if queue is None or shelf is None or lane is None:
            return
        lane.slots.discard(Slot(execution.key, position))
        if lane.slots:
            return
        queue.leave(workflow_id)
        del shelf.lanes[workflow_id]
        shelf.order.discard(workflow_id)
        if not shelf.lanes:
            del queue.shelves[kind]
        if not queue.shelves:
            del self._queues[name]

    def _shelves_for(
        self, workspace_id: str, request: LeaseRequest
    ) -> Iterator[tuple[Queue, Shelf]]:
        deployments = dict.fromkeys(("", request.deployment_id))
        for queue_name in dict.fromkeys(request.queue_names):
            queue = self._queues.get((workspace_id, queue_name))
            if queue is None:
                continue
            if not request.handlers:
                for (_, deployment_id), shelf in queue.shelves.items():
                    if deployment_id in deployments:
                        yield queue, shelf
                continue
            for kind in product(dict.fromkeys(request.handlers), deployments):
                if kind in queue.shelves:
                    yield queue, queue.shelves[kind]


def _push_next(
    rivals: list[tuple[Rank, int, _Rival]],
    numbers: Iterator[int],
    queue: Queue,
    lanes: Iterator[tuple[Rank, Lane]],
) -> None:
    for rank, lane in lanes:
        heapq.heappush(rivals, (rank, next(numbers), _Rival(queue, lane, lanes)))
        return


def _place(execution: Execution, position: int) -> tuple[_Name, Kind, str]:
    spec = execution.spec
    handler = execution.spec_of(position).handler
    return (
        (spec.workspace_id, spec.queue_name),
        (handler, spec.deployment_id),
        execution.workflow.workflow_id,
    )
