"""The lifecycles as Mermaid state diagrams, made from the tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from phaseline.domain.lifecycle import (
    EXECUTION_TRANSITIONS,
    PHASE_TERMINAL,
    PHASE_TRANSITIONS,
    TERMINAL,
    ExecutionStatus,
    ExecutionTrigger,
    PhaseStatus,
    PhaseTrigger,
)


def execution_diagram() -> str:
    """Return the life of an execution; its names are those of the contract."""
    return _diagram(EXECUTION_TRANSITIONS, ExecutionStatus.PENDING, TERMINAL)


def phase_diagram() -> str:
    """Return the life of a phase; its names are those of the contract."""
    return _diagram(PHASE_TRANSITIONS, PhaseStatus.PENDING, PHASE_TERMINAL)


def _diagram(
    table: Mapping[tuple[ExecutionStatus, ExecutionTrigger], ExecutionStatus]
    | Mapping[tuple[PhaseStatus, PhaseTrigger], PhaseStatus],
    first: ExecutionStatus | PhaseStatus,
    terminal: Collection[ExecutionStatus] | Collection[PhaseStatus],
) -> str:
    # Several triggers may lead the same way: one arrow, with the names of all.
    arrows: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for (source, trigger), target in table.items():
        arrows[source.name, target.name].append(trigger.value)
    lines = ["stateDiagram-v2", f"    [*] --> {first.name}"]
    lines += [f"    {a} --> {b}: {', '.join(names)}" for (a, b), names in arrows.items()]
    lines += [f"    {status.name} --> [*]" for status in type(first) if status in terminal]
    return "\n".join(lines) + "\n"
