"""What callers do to an execution: cancel, pause, resume and retry it."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from phaseline.domain.advance import DEFAULT_GRACE, settle
from phaseline.domain.control import cancel, pause, resume, retry
from phaseline.domain.errors import FailedPrecondition, IllegalTransition
from phaseline.domain.execution import Execution
from phaseline.domain.purge import purge
from tests.support import make
from tests.support.clock import START as NOW
from tests.support.make import MINUTE, ONCE, SECOND, SILENCE, phase_spec, statuses

FRESH = make.execution(2)
RUNNING = make.leased(FRESH)
BETWEEN = make.completed(FRESH)
PAUSED = pause(FRESH, NOW)
CANCELLING = cancel(RUNNING, make.cancellation())
CANCELLED = cancel(FRESH, make.cancellation())
FAILED = make.failed(make.execution([phase_spec(retry_policy=ONCE), phase_spec("p1")]))
COMPLETED = make.completed(BETWEEN, 1)


class TestCancel:
    """Stopping for good."""

    def test_ends_what_has_no_worker(self) -> None:
        assert statuses(CANCELLED) == ("cancelled", "cancelled", "cancelled")
        assert CANCELLED.cancellation == make.cancellation()
        assert CANCELLED.completed_at == NOW
        assert statuses(cancel(BETWEEN, make.cancellation())) == (
            "cancelled",
            "completed",
            "cancelled",
        )

    def test_waits_for_workers_to_stop(self) -> None:
        assert statuses(CANCELLING) == ("cancelling", "running", "cancelled")
        assert make.lease_of(CANCELLING).stop_by == NOW + SILENCE + DEFAULT_GRACE
        assert CANCELLING.completed_at is None

    def test_gives_workers_the_grace_that_is_asked_for(self) -> None:
        one = cancel(RUNNING, make.cancellation(NOW + SECOND), 7 * SECOND)
        assert make.lease_of(one).stop_by == NOW + SILENCE + 8 * SECOND

    def test_waits_for_no_worker_without_grace(self) -> None:
        one = cancel(RUNNING, make.cancellation(NOW + SECOND), timedelta())
        assert make.lease_of(one).stop_by == one.due_at == NOW + SECOND

    @pytest.mark.parametrize("execution", [CANCELLING, CANCELLED, FAILED, COMPLETED], ids=statuses)
    def test_leaves_what_is_stopping_or_has_ended(self, execution: Execution) -> None:
        assert cancel(execution, make.cancellation(NOW + SECOND)) is execution

    def test_leaves_what_is_failing(self) -> None:
        specs = [phase_spec("a", retry_policy=ONCE), phase_spec("b", parallel=True)]
        failing = make.failed(make.leased(make.execution(specs), 1))
        assert statuses(failing)[0] == "cancelling"
        assert cancel(failing, make.cancellation()) is failing

    def test_stops_what_is_paused(self) -> None:
        assert statuses(cancel(PAUSED, make.cancellation()))[0] == "cancelled"
        running = pause(RUNNING, NOW)
        assert statuses(cancel(running, make.cancellation()))[0] == "cancelling"


class TestPause:
    """Beginning nothing more."""

    def test_leaves_a_running_phase_and_its_outcome_counts(self) -> None:
        one = pause(RUNNING, NOW + SECOND)
        assert statuses(one) == ("paused", "running", "pending")
        assert one.paused_at == NOW + SECOND
        assert statuses(make.after(one, make.DONE)) == ("paused", "completed", "ready")

    def test_lets_the_last_phase_complete_the_execution(self) -> None:
        one = pause(make.leased(BETWEEN, 1), NOW)
        assert statuses(make.after(one, make.DONE, 1)) == ("completed", "completed", "completed")

    def test_lets_the_last_attempt_fail_the_execution(self) -> None:
        one = pause(make.leased(make.execution([phase_spec(retry_policy=ONCE)])), NOW)
        assert statuses(make.after(one, make.broken())) == ("failed", "failed")

    def test_of_what_is_paused_changes_nothing(self) -> None:
        assert pause(PAUSED, NOW + SECOND) is PAUSED

    @pytest.mark.parametrize("execution", [CANCELLING, CANCELLED, FAILED, COMPLETED], ids=statuses)
    def test_is_refused_when_it_is_stopping_or_has_ended(self, execution: Execution) -> None:
        with pytest.raises(IllegalTransition, match=r"execution 'e1' is \w+ and cannot pause"):
            pause(execution, NOW)


class TestResume:
    """Ending a pause."""

    def test_leads_back_to_where_it_was(self) -> None:
        assert statuses(resume(PAUSED, NOW)) == statuses(FRESH)
        for one in (RUNNING, BETWEEN):
            assert statuses(resume(pause(one, NOW), NOW)) == statuses(one)

    def test_lets_begin_what_has_become_ready(self) -> None:
        one = resume(make.after(pause(RUNNING, NOW), make.DONE), NOW)
        assert statuses(make.leased(one, 1)) == ("running", "completed", "running")

    def test_counts_the_time_of_every_pause_of_a_run(self) -> None:
        one = resume(pause(RUNNING, NOW), NOW + MINUTE)
        one = resume(pause(one, NOW + 2 * MINUTE), NOW + 5 * MINUTE)
        assert (one.paused_for, one.paused_at) == (4 * MINUTE, None)

    def test_counts_no_pause_before_the_run(self) -> None:
        assert resume(PAUSED, NOW + MINUTE).paused_for == timedelta()

    @pytest.mark.parametrize("execution", [FRESH, RUNNING, BETWEEN], ids=statuses)
    def test_of_what_is_not_paused_changes_nothing(self, execution: Execution) -> None:
        assert resume(execution, NOW) is execution

    @pytest.mark.parametrize("execution", [CANCELLING, CANCELLED, FAILED, COMPLETED], ids=statuses)
    def test_is_refused_when_it_is_stopping_or_has_ended(self, execution: Execution) -> None:
        with pytest.raises(IllegalTransition, match=r"execution 'e1' is \w+ and cannot resume"):
            resume(execution, NOW)


class TestRetry:
    """Running again what has failed or was cancelled."""

    def test_begins_with_the_first_unfinished_phase(self) -> None:
        one = make.failed(
            make.completed(make.execution([phase_spec(), phase_spec("b", retry_policy=ONCE)])), 1
        )
        assert statuses(one) == ("failed", "completed", "failed")
        again = retry(one, NOW + MINUTE)
        assert statuses(again) == ("pending", "completed", "ready")
        assert make.phase(again) is make.phase(one)
        assert make.phase(again, 1).failure is None
        assert (again.failure, again.cancellation, again.completed_at) == (None, None, None)
        assert again.current_phase == "b"

    def test_of_what_was_cancelled_forgets_who_cancelled_it(self) -> None:
        assert statuses(retry(CANCELLED, NOW)) == ("pending", "ready", "pending")
        assert retry(CANCELLED, NOW).cancellation is None

    def test_grants_all_attempts_anew(self) -> None:
        one = FAILED
        for _ in range(3):
            one = make.failed(retry(one, NOW))
            assert statuses(one) == ("failed", "failed", "skipped")
        phase = make.phase(one)
        assert (phase.attempt, phase.attempts_forgiven, phase.epoch) == (4, 3, 4)

    def test_does_not_show_failures_of_before(self) -> None:
        one = make.after(make.leased(retry(FAILED, NOW)), make.released())
        assert make.phase(one).failure is None

    def test_keeps_usage_checkpoint_and_start(self) -> None:
        one = make.leased(make.execution([phase_spec(retry_policy=ONCE)]))
        told = make.reported(
            one, make.broken(), usage_by_model=make.spent(5), checkpoint=make.payload()
        )
        assert told.execution is not None
        again = make.leased(retry(told.execution, NOW + MINUTE), now=NOW + MINUTE)
        assert again.usage.cost_nanos == 5
        assert make.phase(again).has_checkpoint
        assert (again.started_at, again.run_started_at) == (NOW, NOW + MINUTE)

    def test_begins_run_timeout_anew(self) -> None:
        one = make.leased(make.execution(run_timeout=MINUTE))
        one = cancel(resume(pause(one, NOW), NOW + SECOND), make.cancellation(NOW + SECOND))
        one = make.after(one, make.stopped(), now=NOW + SECOND)
        again = retry(one, NOW + 10 * MINUTE)
        assert (again.due_at, again.paused_for) == (None, timedelta())
        again = make.leased(again, now=NOW + 10 * MINUTE)
        again = make.after(again, now=NOW + 10 * MINUTE + 20 * SECOND)
        again = make.after(again, now=NOW + 10 * MINUTE + 40 * SECOND)
        assert again.due_at == NOW + 11 * MINUTE

    def test_takes_a_new_budget_and_run_timeout(self) -> None:
        one = make.failed(
            make.execution([phase_spec(retry_policy=ONCE)], run_timeout=MINUTE, max_budget_nanos=9)
        )
        again = retry(one, NOW, max_budget_nanos=20, run_timeout=SECOND)
        assert (again.max_budget_nanos, again.run_timeout) == (20, SECOND)
        again = retry(one, NOW)
        assert (again.max_budget_nanos, again.run_timeout) == (9, MINUTE)

    def test_is_refused_while_the_budget_is_used_up(self) -> None:
        one = _spent(5, max_budget_nanos=5)
        with pytest.raises(FailedPrecondition, match="raise max_budget_usd") as caught:
            retry(one, NOW)
        assert (caught.value.reason, caught.value.subject) == ("BUDGET_EXCEEDED", "e1")
        with pytest.raises(FailedPrecondition):
            retry(one, NOW, max_budget_nanos=5)
        assert statuses(retry(one, NOW, max_budget_nanos=6))[0] == "pending"

    def test_is_refused_while_a_price_is_unknown(self) -> None:
        with pytest.raises(FailedPrecondition, match=r"the budget cannot be kept$"):
            retry(_spent(None, max_budget_nanos=5), NOW)

    def test_waits_for_a_slot_again(self) -> None:
        one = make.execution(concurrency=make.limit(1))
        again = retry(cancel(one, make.cancellation()), NOW)
        assert (statuses(again), again.wants_slot) == (("pending", "pending"), True)

    def test_still_waits_for_its_start(self) -> None:
        one = make.execution(request={"start_at": NOW + MINUTE})
        one = cancel(one, make.cancellation())
        assert retry(one, NOW + SECOND).due_at == NOW + MINUTE
        assert statuses(retry(one, NOW + MINUTE)) == ("pending", "ready")

    def test_with_every_phase_completed_completes_at_once(self) -> None:
        one = make.after(cancel(make.leased(BETWEEN, 1), make.cancellation()), make.DONE, 1)
        assert statuses(one) == ("cancelled", "completed", "completed")
        again = retry(one, NOW + MINUTE)
        assert statuses(again) == ("completed", "completed", "completed")
        assert again.completed_at == NOW + MINUTE

    @pytest.mark.parametrize(
        "execution",
        [FRESH, RUNNING, PAUSED, CANCELLING, COMPLETED, purge(COMPLETED, NOW)],
        ids=statuses,
    )
    def test_is_refused_unless_it_has_failed_or_was_cancelled(self, execution: Execution) -> None:
        with pytest.raises(IllegalTransition, match=r"execution 'e1' is \w+ and cannot retry"):
            retry(execution, NOW)

    @pytest.mark.parametrize("execution", [FAILED, CANCELLED], ids=statuses)
    def test_is_refused_once_it_is_purged(self, execution: Execution) -> None:
        with pytest.raises(FailedPrecondition) as caught:
            retry(purge(execution, NOW), NOW)
        assert caught.value.reason == "EXECUTION_PURGED"

    def test_leaves_no_late_worker_its_lease(self) -> None:
        one = cancel(RUNNING, make.cancellation(NOW + SECOND), timedelta())
        one = retry(make.after(one, now=NOW + SECOND), NOW + SECOND)
        told = make.reported(one, make.DONE, epoch=1, now=NOW + SECOND)
        assert told.execution is None
        again = make.leased(one, now=NOW + SECOND)
        assert make.phase(again).epoch == 2


def test_an_execution_that_is_stopping_ends_with_its_workers_alone() -> None:
    assert settle(replace(CANCELLING), NOW + MINUTE).status is CANCELLING.status


def _spent(cost_nanos: int | None, max_budget_nanos: int) -> Execution:
    spec = phase_spec(retry_policy=ONCE)
    one = make.leased(make.execution([spec], max_budget_nanos=max_budget_nanos))
    told = make.reported(one, make.broken(), usage_by_model=make.spent(cost_nanos))
    assert told.execution is not None
    return told.execution
