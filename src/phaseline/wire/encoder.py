"""The bytes of a version, which the change log keeps and every watcher of it is sent."""

from __future__ import annotations

from phaseline.domain.execution import Execution, Operation
from phaseline.v1 import execution_pb2
from phaseline.wire.executions import add_figures, basic_message
from phaseline.wire.operations import operation_message
from phaseline.wire.phases import phase_message


class Encoder:
    """
    Implements the port of that name.

    What lasts is told as of the last change: the bytes are the same whenever they are sent.
    """

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
        return phase_message(execution, position, execution.updated_at).SerializeToString()

    def operation(self, operation: Operation) -> bytes:
        """Return an operation without its input and output."""
        return operation_message(operation).SerializeToString()
