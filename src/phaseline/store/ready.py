"""Which phases can be leased, and who gets which: the queues, in memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from phaseline.app.ports import Slot
from phaseline.domain.execution import Execution
from phaseline.domain.report import LeaseRequest
from phaseline.domain.work import can_lease
from phaseline.store.ordered import Ordered

_Queue = tuple[str, str]  # workspace_id, queue_name
_Lane = tuple[str, str, str]  # handler, deployment_id, workflow_id


class ReadyPhases:
    """
    The phases that can be leased, by queue.

    Higher priority goes first. Among equals the workflows take turns, and of a workflow the oldest
    execution goes first; of those that were started in one commit, the first that was put in.
    """

    def __init__(self) -> None:
        self._queues: dict[_Queue, dict[_Lane, Ordered[Slot]]] = {}
        self._turns: dict[tuple[_Queue, str], int] = {}
        self._turn = 0
        self._last_rank: tuple[int, datetime] | None = None

    def __len__(self) -> int:
        return sum(len(lane) for lanes in self._queues.values() for lane in lanes.values())

    def replace(self, before: Execution | None, after: Execution) -> None:
        """Take note that *after* has taken the place of *before*."""
        for position, phase in enumerate(after.phases):
            if (
                before is not None
                and before.phases[position] is phase
                and before.status is after.status
            ):
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
        return any(True for _ in self._lanes_for(workspace_id, request))

    def take(self, workspace_id: str, request: LeaseRequest) -> Iterator[Slot]:
        """
        Yield phases that the worker may lease, in the order in which it should get them.

        What is yielded stays in line until `replace` tells that it was leased, and nothing may be
        replaced meanwhile.
        """
        rivals: list[tuple[Any, int, tuple[_Queue, str], Iterator[tuple[Any, Slot]], Slot]] = []
        for number, (queue, name, lane) in enumerate(self._lanes_for(workspace_id, request)):
            walk = lane.ranked()
            rank, slot = next(walk)
            turn = (queue, name[2])
            rivals.append((self._rank(rank, turn), number, turn, walk, slot))
        heapq.heapify(rivals)
        while rivals:
            ((priority, _, *age), number, turn, walk, slot) = rivals[0]
            rank = self._rank((priority, *age), turn)
            if rank != rivals[0][0]:
                # Another lane of the workflow has had its turn since.
                heapq.heapreplace(rivals, (rank, number, turn, walk, slot))
                continue
            self._turn += 1
            self._turns[turn] = self._turn
            yield slot
            following = next(walk, None)
            if following is None:
                heapq.heappop(rivals)
            else:
                rank = self._rank(following[0], turn)
                heapq.heapreplace(rivals, (rank, number, turn, walk, following[1]))

    def _rank(self, rank: Any, turn: tuple[_Queue, str]) -> Any:
        priority, *age = rank
        return (priority, self._turns.get(turn, 0), *age)

    def _put(self, execution: Execution, position: int) -> None:
        queue, name = _place(execution, position)
        lane = self._queues.setdefault(queue, {}).get(name)
        if lane is None:
            lane = self._queues[queue][name] = Ordered()
        rank = (-execution.spec.priority, execution.spec.created_at)
        if rank == self._last_rank:
            # What is started together shares it, for as long as it waits.
            rank = self._last_rank
        self._last_rank = rank
        lane.put(Slot(execution.key, position), rank)

    def _discard(self, execution: Execution, position: int) -> None:
        queue, name = _place(execution, position)
        lane = self._queues.get(queue, {}).get(name)
        if lane is None:
            return
        lane.discard(Slot(execution.key, position))
        if not lane:
            del self._queues[queue][name]
            if not self._queues[queue]:
                del self._queues[queue]

    def _lanes_for(
        self, workspace_id: str, request: LeaseRequest
    ) -> Iterator[tuple[_Queue, _Lane, Ordered[Slot]]]:
        for queue_name in dict.fromkeys(request.queue_names):
            queue = (workspace_id, queue_name)
            for name, lane in self._queues.get(queue, {}).items():
                if _fits(name, request):
                    yield queue, name, lane


def _place(execution: Execution, position: int) -> tuple[_Queue, _Lane]:
    spec, workflow = execution.spec, execution.workflow
    handler = execution.spec_of(position).handler
    return (
        (spec.workspace_id, spec.queue_name),
        (handler, spec.deployment_id, workflow.workflow_id),
    )


def _fits(lane: _Lane, request: LeaseRequest) -> bool:
    handler, deployment_id, _ = lane
    return (not request.handlers or handler in request.handlers) and deployment_id in (
        "",
        request.deployment_id,
    )
