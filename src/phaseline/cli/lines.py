"""Changes as lines of text, for where there is no terminal to draw on."""

from __future__ import annotations

from phaseline.cli import figures, operation_view, phase_view, style
from phaseline.domain.lifecycle import is_leased
from phaseline.v1.execution_pb2 import Execution, Operation, Phase
from phaseline.v1.watch_pb2 import CHANGE_KIND_REMOVED, Change


class Lines:
    """Says what changed, once: a version that reads as the one before says nothing."""

    def __init__(self, *, about: str = "") -> None:
        self._about = about
        self._said: dict[tuple[str, ...], str] = {}

    def line(self, change: Change) -> str:
        """Return the line for *change*; empty if there is nothing new in it."""
        key, text = self._text(change)
        if change.kind == CHANGE_KIND_REMOVED:
            self._said.pop(key, None)
            if not style.is_terminal(change.execution):
                text += " (no longer matches)"
        elif self._said.get(key) == text:
            return ""
        else:
            self._said[key] = text
        return f"{figures.clock(change.changed_at)} {text}"

    def _text(self, change: Change) -> tuple[tuple[str, ...], str]:
        match change.WhichOneof("resource"):
            case "phase":
                phase = change.phase
                text = self._whose(phase.execution_id) + _phase(phase)
                return (phase.execution_id, phase.phase_id), text
            case "operation":
                operation = change.operation
                text = self._whose(operation.execution_id) + _operation(operation)
                return (
                    operation.execution_id,
                    operation.phase_id,
                    str(operation.attempt),
                    operation.operation_id,
                ), text
            case _:
                execution = change.execution
                return (execution.execution_id,), self._whose(execution.execution_id) + _execution(
                    execution
                )

    def _whose(self, execution_id: str) -> str:
        return "" if execution_id == self._about else f"{execution_id} "


def _execution(execution: Execution) -> str:
    parts = [
        "execution",
        figures.plain(execution.workflow_id),
        style.execution_status(execution),
        f"{execution.completed_phases}/{execution.total_phases} phases",
        f"{figures.tokens(execution.usage)} tokens",
        figures.cost(execution.usage),
    ]
    if execution.HasField("failure"):
        parts.append(figures.failure(execution.failure))
    return " ".join(parts)


def _phase(phase: Phase) -> str:
    parts = ["phase", figures.plain(phase.phase_id), style.phase_status(phase)]
    if phase.attempt:
        parts.append(f"attempt {phase.attempt}")
    if phase.assigned_to_worker and style.phase_is(is_leased, phase):
        parts.append(f"on {figures.plain(phase.assigned_to_worker)}")
    text = " ".join(parts)
    detail = phase_view.progress(Execution(), phase, wide=False).plain.strip()
    return f"{text} · {detail}" if detail else text


def _operation(operation: Operation) -> str:
    parts = [
        "operation",
        figures.plain(operation.phase_id),
        operation_view.name(operation),
        style.operation_status(operation),
        operation_view.took(operation),
        figures.plain(operation.error_message),
    ]
    return " ".join(part for part in parts if part)
