"""Erasing what an execution was given and produced; what it was, and what it cost, stays."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from phaseline.domain.errors import IllegalTransition
from phaseline.domain.execution import Attempt, Execution, Phase
from phaseline.domain.failure import Failure
from phaseline.domain.lifecycle import TERMINAL, ExecutionStatus


def purge(execution: Execution, now: datetime) -> Execution:
    """
    Return *execution*, which has ended, without its content; unchanged if it is purged.

    What is stored apart, and the change log, the store erases in the same commit.
    """
    if execution.is_purged:
        return execution
    if not execution.done:
        raise IllegalTransition(
            "execution", execution.status, "purge", subject=execution.spec.execution_id
        )
    return replace(
        execution,
        is_purged=True,
        updated_at=max(now, execution.updated_at),
        phases=tuple(_erased(phase) for phase in execution.phases),
        failure=_bare(execution.failure),
        model_call_count=0,
        tool_names=(),
        artifact_ids=(),
    )


def as_logged(purged: Execution, status: ExecutionStatus, revision: int) -> Execution:
    """
    Return what the change log keeps of an earlier version of a purged execution.

    A watch that is resumed needs its status, to tell what has come and gone; no more is left.
    """
    earlier = replace(purged, status=status, revision=revision)
    if status in TERMINAL:
        return earlier
    return replace(earlier, completed_at=None, failure=None, cancellation=None)


def _erased(phase: Phase) -> Phase:
    return replace(
        phase,
        progress=None,
        artifact_ids=(),
        model_call_count=0,
        tool_names=(),
        output_size=None,
        has_checkpoint=False,
        failure=_bare(phase.failure),
        attempts=tuple(_forgetful(attempt) for attempt in phase.attempts),
    )


def _forgetful(attempt: Attempt) -> Attempt:
    return replace(attempt, failure=_bare(attempt.failure))


def _bare(failure: Failure | None) -> Failure | None:
    return None if failure is None else replace(failure, message="", details={})
