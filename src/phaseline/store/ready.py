"""Which phases can be leased, and who gets which: the queues, in memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from phaseline.app.ports import Slot
from phaseline.domain.execution import Execution
from phaseline.domain.report import LeaseRequest
from phaseline.domain.work import can_lease

_Queue = tuple[str, str]  # workspace_id, queue_name
_Lane = tuple[str, str, str]  # handler, deployment_id, workflow_id


class ReadyPhases:
    """
    The phases that can be leased, by queue.

    Higher priority goes first. Among equals the workflows take turns, and within a workflow the
    one that has waited longest goes first.
    """

    def __init__(self) -> None:
        self._queues: dict[_Queue, dict[_Lane, list[tuple[int, int, Slot]]]] = {}
        # The entry that counts for each phase; a heap may hold stale ones, dropped when met.
        self._numbers: dict[Slot, int] = {}
        self._turns: dict[tuple[_Queue, str], int] = {}
        self._counter = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def replace(self, before: Execution | None, after: Execution) -> None:
        """Take note that *after* has taken the place of *before*."""
        for position, phase in enumerate(after.phases):
            same = before is not None and before.phases[position] is phase
            if same and before is not None and before.status is after.status:
                continue
            slot = Slot(after.key, position)
            if not can_lease(after, position):
                self._numbers.pop(slot, None)
            elif slot not in self._numbers:
                self._add(slot, after)

    def take(self, workspace_id: str, request: LeaseRequest) -> Iterator[Slot]:
        """
        Yield phases that the worker may lease, in the order in which it should get them.

        What is yielded stays in line until `replace` tells that it was leased.
        """
        yielded: list[tuple[list[tuple[int, int, Slot]], tuple[int, int, Slot]]] = []
        try:
            while (choice := self._choose(workspace_id, request)) is not None:
                queue, lane, heap = choice
                entry = heapq.heappop(heap)
                yielded.append((heap, entry))
                self._counter += 1
                self._turns[queue, lane[2]] = self._counter
                yield entry[2]
        finally:
            for heap, entry in yielded:
                heapq.heappush(heap, entry)

    def _add(self, slot: Slot, execution: Execution) -> None:
        queue = (slot.key.workspace_id, execution.spec.queue_name)
        spec = execution.spec_of(slot.position)
        lane = (spec.handler, execution.spec.deployment_id, execution.workflow.workflow_id)
        self._counter += 1
        self._numbers[slot] = self._counter
        heap = self._queues.setdefault(queue, {}).setdefault(lane, [])
        heapq.heappush(heap, (-execution.spec.priority, self._counter, slot))

    def _choose(
        self, workspace_id: str, request: LeaseRequest
    ) -> tuple[_Queue, _Lane, list[tuple[int, int, Slot]]] | None:
        """Return the lane whose first phase is next for the worker."""
        best: tuple[int, int, int] | None = None
        choice = None
        for name in request.queue_names:
            queue = (workspace_id, name)
            lanes = self._queues.get(queue)
            for lane in list(lanes or ()):
                assert lanes is not None
                if not _fits(lane, request):
                    continue
                heap = self._pruned(lanes, lane)
                if not heap:
                    continue
                rank = (heap[0][0], self._turns.get((queue, lane[2]), 0), heap[0][1])
                if best is None or rank < best:
                    best, choice = rank, (queue, lane, heap)
        return choice

    def _pruned(
        self, lanes: dict[_Lane, list[tuple[int, int, Slot]]], lane: _Lane
    ) -> list[tuple[int, int, Slot]]:
        """Return the heap of *lane* with a live first entry, or empty and forgotten."""
        heap = lanes[lane]
        while heap and self._numbers.get(heap[0][2]) != heap[0][1]:
            heapq.heappop(heap)
        if not heap:
            del lanes[lane]
        return heap


def _fits(lane: _Lane, request: LeaseRequest) -> bool:
    handler, deployment_id, _ = lane
    return (not request.handlers or handler in request.handlers) and deployment_id in (
        "",
        request.deployment_id,
    )
