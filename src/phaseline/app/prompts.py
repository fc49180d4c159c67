"""Filling the prompt of a phase with what its execution was given and has produced."""

from __future__ import annotations

from collections.abc import Mapping

from phaseline.domain import prompt
from phaseline.domain.execution import Content, Execution
from phaseline.domain.payload import Payload


def outputs_named(execution: Execution, position: int) -> frozenset[int]:
    """Return the positions of the phases whose outputs the prompt of a phase names."""
    positions = execution.workflow.positions
    names = prompt.names(execution.spec_of(position).prompt)
    return frozenset(positions[name] for name in names if name in positions)


def filled_size(execution: Execution, position: int, content: Content) -> int:
    """Return how many bytes the filled prompt has, before anything is read for it."""

    def size_of(name: str) -> int:
        at = execution.workflow.positions.get(name)
        if at is not None:
            return execution.phases[at].output_size or 0
        return len(_known(execution, content, name).encode())

    template = execution.spec_of(position).prompt
    return prompt.filled_size(template, task=len(content.task.encode()), size_of=size_of)


def filled(
    execution: Execution, position: int, content: Content, outputs: Mapping[int, Payload]
) -> str:
    """Return the filled prompt. *outputs* holds at least those that it names, by position."""
    texts: dict[str, str] = {}

    def value_of(name: str) -> str:
        # Once for each name: an output may be large, and named often.
        if name not in texts:
            texts[name] = text(name)
        return texts[name]

    def text(name: str) -> str:
        at = execution.workflow.positions.get(name)
        if at is None:
            return _known(execution, content, name)
        output = outputs.get(at)
        return "" if output is None else output.text()

    template = execution.spec_of(position).prompt
    return prompt.fill(template, task=content.task, value_of=value_of)


def _known(execution: Execution, content: Content, name: str) -> str:
    """Return the value of a name that is no phase."""
    if name == "execution_id":
        return execution.spec.execution_id
    if name == "workflow_id":
        return execution.workflow.workflow_id
    return content.inputs.get(name, "")
