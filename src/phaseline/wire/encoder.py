"""The bytes of a version, which the change log keeps and every watcher of it is sent."""

from __future__ import annotations

from typing import TypeAlias

from phaseline.domain.execution import Execution, Operation
from phaseline.domain.lifecycle import PhaseStatus
from phaseline.v1 import execution_pb2
from phaseline.wire.executions import add_figures, basic_message
from phaseline.wire.operations import operation_message
from phaseline.wire.phases import phase_message

#: Workspace, workflow, its version, position of the phase, its status.
_NotBegun: TypeAlias = tuple[str, str, int, int, PhaseStatus]
_MOST_NOT_BEGUN = 4096


class Encoder:
    """
    Implements the port of that name.

    What lasts is told as of the last change: the bytes are the same whenever they are sent.
    """

    def __init__(self) -> None:
        #: Phases that have not begun, without what differs from execution to execution.
        self._not_begun: dict[_NotBegun, bytes] = {}

    def execution(self, execution: Execution) -> bytes:
        """Return it without its phases and without what only the full view has."""
        return basic_message(execution, execution.updated_at).SerializeToString()

    def execution_extra(self, execution: Execution) -> bytes:
        """Return what the full view adds, payloads left out; appended, the two are one message."""
        message = execution_pb2.Execution()
        add_figures(message, execution)
        return message.SerializeToString()

    def phase(self, execution: Execution, position: int) -> bytes:
        """Return a phase without its output, attempts and operations."""
        phase = execution.phases[position]
        if phase.epoch or phase.completed_at is not None or phase.next_attempt_at is not None:
            return phase_message(execution, position, execution.updated_at).SerializeToString()
        spec = execution.spec
        own = execution_pb2.Phase(
            execution_id=spec.execution_id, session_id=spec.session_id, revision=phase.revision
        )
        # One after the other, they are one message.
        return self._unbegun(execution, position) + own.SerializeToString()

    def operation(self, operation: Operation) -> bytes:
        """Return an operation without its input and output."""
        return operation_message(operation).SerializeToString()

    def _unbegun(self, execution: Execution, position: int) -> bytes:
        """Return what all executions of the workflow have in common in a phase of that status."""
        workflow, status = execution.workflow, execution.phases[position].status
        of = (workflow.workspace_id, workflow.workflow_id, workflow.version, position, status)
        known = self._not_begun.get(of)
        if known is None:
            message = phase_message(execution, position, execution.updated_at)
            for field in ("execution_id", "session_id", "revision"):
                message.ClearField(field)
            if len(self._not_begun) >= _MOST_NOT_BEGUN:
                self._not_begun.clear()
            known = self._not_begun[of] = message.SerializeToString()
        return known
