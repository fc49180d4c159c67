"""What the full view adds to versions: payloads that are stored apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from phaseline.app.changes import Entry, Part, Resource, TreePage
from phaseline.app.ports import Slot
from phaseline.app.queries import OperationQuery
from phaseline.domain.execution import Operation
from phaseline.domain.payload import Payload
from phaseline.watch.ports import FrameCodec, State

_MOST_OPERATIONS = 100


class StoredPayloads:
    """
    Finds the payloads of versions, as bytes that go behind those of the version.

    What is stored is the newest. So an older version of an operation gets what it was replaced
    with, and what was purged gets nothing.
    """

    def __init__(self, state: State, codec: FrameCodec) -> None:
        self._state, self._codec = state, codec

    async def of_entry(self, entry: Entry) -> Sequence[bytes]:
        """Return what each part of *entry* gets."""
        operations = await self._operations(entry)
        return [await self._of_part(entry, part, operations) for part in entry.parts]

    def of_execution(self, page: TreePage) -> bytes:
        """Return what the execution of a page that was read in full gets."""
        execution = page.execution
        content = self._codec.content(page.content)
        result = page.outputs.get(execution.total_phases - 1)
        # Both are set by a failure only, and never by success.
        failed = execution.failure is not None or execution.cancellation is not None
        if result is None or failed or not execution.done:
            return content
        return content + self._codec.result(result)

    def of_phase(self, page: TreePage, position: int) -> bytes:
        """Return what a phase of such a page gets."""
        output = page.outputs.get(position)
        return b"" if output is None else self._codec.output(output)

    def of_operation(self, operation: Operation) -> bytes:
        """Return what an operation of such a page gets."""
        return self._codec.operation_payloads(operation.reported)

    async def _of_part(
        self, entry: Entry, part: Part, operations: Mapping[int, Operation]
    ) -> bytes:
        match part.resource:
            case Resource.EXECUTION:
                content = await self._content(entry)
                result = await self._result(entry) if part.has_payload else None
                return content if result is None else content + self._codec.result(result)
            case Resource.PHASE if part.has_payload:
                output = await self._output(Slot(entry.key, part.ordinal))
                return b"" if output is None else self._codec.output(output)
            case Resource.OPERATION if part.ordinal in operations:
                return self.of_operation(operations[part.ordinal])
            case _:
                return b""

    async def _content(self, entry: Entry) -> bytes:
        if entry.execution is not None and not entry.execution.spec.has_content:
            return b""
        return self._codec.content(await self._state.content(entry.key))

    async def _result(self, entry: Entry) -> Payload | None:
        if entry.execution is None:
            return None
        return await self._output(Slot(entry.key, entry.execution.total_phases - 1))

    async def _output(self, slot: Slot) -> Payload | None:
        return (await self._state.outputs([slot])).get(slot)

    async def _operations(self, entry: Entry) -> Mapping[int, Operation]:
        """Return those of the entry that have payloads, by ordinal."""
        wanted = [
            part.ordinal
            for part in entry.parts
            if part.resource is Resource.OPERATION and part.has_payload
        ]
        found: dict[int, Operation] = {}
        for ordinal in sorted(wanted):
            if ordinal in found:
                continue
            query = OperationQuery(entry.key, None, _MOST_OPERATIONS, after=ordinal - 1, full=True)
            page = await self._state.operations(query)
            found |= {operation.ordinal: operation for operation in page.operations}
        return {ordinal: found[ordinal] for ordinal in wanted if ordinal in found}
