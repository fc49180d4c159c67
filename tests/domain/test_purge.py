"""Purging erases what was given and produced, and keeps what it was and what it cost."""

import pytest
from msgspec.structs import replace

from phaseline.domain.control import cancel
from phaseline.domain.errors import IllegalTransition
from phaseline.domain.execution import Execution
from phaseline.domain.failure import Failure
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.domain.purge import as_logged, purge
from phaseline.domain.report import Failed, OperationReport, Progress
from tests.support import make
from tests.support.clock import START as NOW
from tests.support.make import MINUTE, ONCE, SECOND, phase_spec, statuses

SECRET = "secret"


def _ended() -> Execution:
    """Return an execution that failed, and shows secrets wherever it can."""
    failure = Failure(code="BROKEN", message=SECRET, details={"key": SECRET})
    specs = [phase_spec("a", retry_policy=replace(ONCE, max_attempts=2)), phase_spec("b")]
    one = make.execution(specs, request={"labels": {"team": "x"}})
    for at in (NOW, NOW + SECOND):
        one = make.leased(make.ready(one) if at > NOW else one, now=at)
        told = make.reported(
            one,
            now=at,
            operations=(OperationReport("1", "tool", tool_name=SECRET),),
            usage_by_model=make.spent(5),
            progress=Progress(1, SECRET),
            checkpoint=make.payload(SECRET),
        )
        assert told.execution is not None
        one = make.after(told.execution, Failed(failure), now=at)
    assert statuses(one) == ("failed", "failed", "skipped")
    # As the use-case does it, which names artifacts.
    artifact = replace(make.phase(one), artifact_ids=(SECRET,))
    return replace(one.with_phase(0, artifact), artifact_ids=(SECRET,))


def test_nothing_of_the_content_is_left() -> None:
    one = _ended()
    assert SECRET in repr(one)
    assert SECRET not in repr(purge(one, NOW))


def test_all_else_is_kept() -> None:
    one = _ended()
    purged = purge(one, NOW + MINUTE)
    assert purged.is_purged
    assert purged.updated_at == NOW + MINUTE
    kept = ("spec", "workflow", "status", "usage", "usage_by_model", "completed_at", "started_at")
    assert [getattr(purged, name) for name in kept] == [getattr(one, name) for name in kept]
    assert (purged.retry_count, purged.worker_id) == (one.retry_count, "w1")
    assert purged.failure is not None
    assert (purged.failure.code, purged.failure.phase_id) == ("BROKEN", "a")
    phase = make.phase(purged)
    assert (phase.usage, phase.operation_count) == (make.phase(one).usage, 2)
    assert [attempt.attempt for attempt in phase.attempts] == [1, 2]
    assert phase.failure is not None
    assert phase.failure.code == "BROKEN"


def test_what_is_read_for_a_next_attempt_is_known_to_be_gone() -> None:
    phase = make.phase(purge(_ended(), NOW))
    assert (phase.has_checkpoint, phase.output_size, phase.artifact_ids) == (False, None, ())


def test_a_second_purge_changes_nothing() -> None:
    purged = purge(_ended(), NOW)
    assert purge(purged, NOW + MINUTE) is purged


@pytest.mark.parametrize(
    "execution",
    [
        make.execution(),
        make.leased(make.execution()),
        cancel(make.leased(make.execution()), make.cancellation()),
    ],
    ids=statuses,
)
def test_what_has_not_ended_is_not_purged(execution: Execution) -> None:
    with pytest.raises(IllegalTransition, match=r"execution 'e1' is \w+ and cannot purge"):
        purge(execution, NOW)


def test_the_log_keeps_the_status_and_revision_of_an_earlier_version() -> None:
    purged = replace(purge(_ended(), NOW), revision=9)
    running = as_logged(purged, ExecutionStatus.RUNNING, 4)
    assert (running.status, running.revision) == (ExecutionStatus.RUNNING, 4)
    # What is active has not ended.
    assert (running.completed_at, running.failure, running.cancellation) == (None, None, None)
    failed = as_logged(purged, ExecutionStatus.FAILED, 7)
    assert (failed.completed_at, failed.failure) == (purged.completed_at, purged.failure)
    assert SECRET not in repr((running, failed))
