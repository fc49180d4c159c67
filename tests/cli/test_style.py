"""What is said of a status is what the domain says, and nothing of one that it does not know."""

import pytest

from phaseline.cli import style
from phaseline.domain import lifecycle
from phaseline.v1.execution_pb2 import Execution, ExecutionStatus, Operation, Phase, PhaseStatus

RUNNING = ExecutionStatus.EXECUTION_STATUS_RUNNING
UNKNOWN = 99


def test_the_domain_is_asked() -> None:
    execution = Execution(status=ExecutionStatus.EXECUTION_STATUS_PAUSED)
    assert style.execution_is(lifecycle.is_paused, execution)
    assert not style.execution_is(lifecycle.has_succeeded, execution)
    phase = Phase(status=PhaseStatus.PHASE_STATUS_RUNNING)
    assert style.phase_is(lifecycle.is_leased, phase)
    assert not style.phase_is(lifecycle.is_completed, phase)


def test_nothing_is_true_of_a_status_of_a_newer_server() -> None:
    assert not style.execution_is(lambda _: True, Execution(status=UNKNOWN))  # type: ignore[arg-type]
    assert not style.phase_is(lambda _: True, Phase(status=UNKNOWN))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "waits"),
    [
        (ExecutionStatus.EXECUTION_STATUS_PENDING, True),
        (RUNNING, True),
        (ExecutionStatus.EXECUTION_STATUS_PAUSED, False),
    ],
)
def test_a_ready_phase_waits_for_a_worker_unless_it_is_paused(
    status: ExecutionStatus.ValueType, waits: bool
) -> None:
    phase = Phase(status=PhaseStatus.PHASE_STATUS_READY)
    assert style.waits_for_worker(Execution(status=status), phase) is waits
    running = Phase(status=PhaseStatus.PHASE_STATUS_RUNNING)
    assert not style.waits_for_worker(Execution(status=status), running)


def test_an_operation_goes_on_until_its_end_is_known() -> None:
    ended = Operation(operation_id="1")
    ended.completed_at.GetCurrentTime()
    assert style.operation_status(Operation()) == "running"
    assert style.operation_status(ended) == "completed"
    assert style.operation_status(Operation(success=False)) == "failed"
