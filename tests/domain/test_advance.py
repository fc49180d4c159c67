"""The joint moves: what follows for an execution from its phases, and for phases from it."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from phaseline.domain import work
from phaseline.domain.advance import DEFAULT_GRACE, hold_leases, settle, tick
from phaseline.domain.control import cancel, pause, resume
from phaseline.domain.execution import EndedBy, Execution
from phaseline.domain.failure import FailureKind
from phaseline.domain.report import OperationReport, RetryDecision
from phaseline.domain.timing import TIMEOUT_MARGIN
from tests.support import make
from tests.support.clock import START as NOW
from tests.support.make import LEASE, MINUTE, ONCE, SECOND, SILENCE, phase_spec, statuses


def test_the_first_phase_of_a_sequence_is_ready_at_once() -> None:
    assert statuses(make.execution(3)) == ("pending", "ready", "pending", "pending")


def test_a_completed_phase_makes_the_next_one_ready() -> None:
    assert statuses(make.completed(make.execution(3))) == (
        "running",
        "completed",
        "ready",
        "pending",
    )


def test_the_last_completed_phase_completes_the_execution() -> None:
    one = make.completed(make.execution(1), now=NOW + SECOND)
    assert statuses(one) == ("completed", "completed")
    assert one.completed_at == NOW + SECOND
    assert one.due_at is None


def test_parallel_phases_begin_together_and_the_next_waits_for_both() -> None:
    specs = [phase_spec("a"), phase_spec("b", parallel=True), phase_spec("c")]
    one = make.execution(specs)
    assert statuses(one) == ("pending", "ready", "ready", "pending")
    one = make.completed(one, 1)
    assert statuses(one) == ("running", "ready", "completed", "pending")
    assert statuses(make.completed(one, 0)) == ("running", "completed", "completed", "ready")


def test_a_graph_fans_out_and_in() -> None:
    specs = [
        phase_spec("a"),
        phase_spec("b"),
        phase_spec("c", depends_on=("a",)),
        phase_spec("d", depends_on=("b", "c")),
    ]
    one = make.completed(make.execution(specs))
    assert statuses(one) == ("running", "completed", "ready", "ready", "pending")
    one = make.completed(one, 1)
    assert statuses(one) == ("running", "completed", "completed", "ready", "pending")
    assert statuses(make.completed(one, 2))[-1] == "ready"


@pytest.mark.parametrize("status", ["failed", "cancelled", "skipped"])
def test_only_completed_phases_let_the_next_begin(status: str) -> None:
    one = make.execution(2)
    ended = replace(make.phase(one), status=type(one.phases[0].status)(status), completed_at=NOW)
    assert settle(one.with_phase(0, ended), NOW).phases[1].status != "ready"


def test_the_first_phase_out_of_attempts_stops_its_siblings_and_skips_what_follows() -> None:
    specs = [
        phase_spec("a", retry_policy=ONCE),
        phase_spec("b", parallel=True),
        phase_spec("c", parallel=True),
        phase_spec("d"),
    ]
    one = make.failed(make.leased(make.execution(specs), 1))
    assert statuses(one) == ("cancelling", "failed", "running", "skipped", "skipped")
    assert make.lease_of(one, 1).stop_by == NOW + SILENCE + DEFAULT_GRACE
    assert one.failure is not None
    assert (one.failure.code, one.failure.phase_id) == ("BROKEN", "a")
    ended = make.after(one, make.stopped(), 1, NOW + SECOND)
    assert statuses(ended) == ("failed", "failed", "cancelled", "skipped", "skipped")
    assert ended.completed_at == NOW + SECOND


def test_a_second_failure_does_not_take_the_place_of_the_first() -> None:
    specs = [phase_spec("a", retry_policy=ONCE), phase_spec("b", parallel=True, retry_policy=ONCE)]
    one = make.leased(make.execution(specs), 1)
    one = make.after(make.failed(one), make.broken(code="OTHER"), 1)
    assert statuses(one) == ("failed", "failed", "failed")
    assert one.failure is not None
    assert one.failure.phase_id == "a"


def test_with_nothing_running_a_failure_ends_it_at_once() -> None:
    one = make.failed(make.execution([phase_spec(retry_policy=ONCE), phase_spec("q")]))
    assert statuses(one) == ("failed", "failed", "skipped")


def test_a_start_that_is_put_off_waits() -> None:
    one = make.execution(request={"start_at": NOW + MINUTE})
    assert statuses(one) == ("pending", "pending")
    assert one.due_at == NOW + MINUTE
    assert tick(one, NOW + MINUTE - SECOND) is one
    assert statuses(tick(one, NOW + MINUTE)) == ("pending", "ready")


def test_a_start_in_the_past_begins_at_once() -> None:
    assert statuses(make.execution(request={"start_at": NOW})) == ("pending", "ready")


def test_without_a_slot_nothing_begins() -> None:
    one = make.execution(2, admitted=False, concurrency=make.limit(1))
    assert statuses(one) == ("pending", "pending", "pending")
    assert one.due_at is None
    assert statuses(settle(replace(one, admitted=True), NOW)) == ("pending", "ready", "pending")


class TestTick:
    """What time alone does."""

    def test_changes_nothing_before_something_is_due(self) -> None:
        one = make.leased(make.execution())
        assert one.due_at == NOW + LEASE
        assert tick(one, NOW + LEASE - SECOND) is one

    def test_ends_a_lease_that_is_not_renewed(self) -> None:
        one = tick(make.leased(make.execution()), NOW + LEASE)
        phase = make.phase(one)
        # At once: a lost worker has kept the phase waiting for a whole lease already.
        assert statuses(one) == ("running", "ready")
        assert (phase.attempt, phase.lease, phase.next_attempt_at) == (1, None, None)
        assert phase.failure is not None
        assert (phase.failure.kind, phase.failure.code) == (FailureKind.WORKER_LOST, "WORKER_LOST")
        assert "'w1'" in phase.failure.message
        assert phase.ending is not None
        assert (phase.ending.how, phase.ending.retry_decision) == (
            EndedBy.EXPIRED,
            RetryDecision.RETRY,
        )

    def test_fails_the_phase_whose_last_worker_is_lost(self) -> None:
        one = tick(make.leased(make.execution([phase_spec(retry_policy=ONCE)])), NOW + LEASE)
        assert statuses(one) == ("failed", "failed")
        assert one.failure is not None
        assert (one.failure.kind, one.failure.phase_id) == (FailureKind.WORKER_LOST, "p0")

    def test_ends_several_leases_at_once_as_one_failure(self) -> None:
        specs = [phase_spec("a", retry_policy=ONCE), phase_spec("b", parallel=True)]
        one = make.leased(make.leased(make.execution(specs)), 1)
        assert statuses(tick(one, NOW + LEASE)) == ("failed", "failed", "skipped")

    def test_ends_only_the_leases_that_are_due(self) -> None:
        specs = [phase_spec("a"), phase_spec("b", parallel=True)]
        one = make.leased(make.leased(make.execution(specs)), 1, NOW + SECOND)
        assert statuses(tick(one, NOW + LEASE)) == ("running", "ready", "running")

    def test_makes_the_next_attempt_ready(self) -> None:
        one = make.failed(make.execution())
        assert statuses(one) == ("running", "pending")
        assert one.due_at == NOW + SECOND
        ready = tick(one, NOW + SECOND)
        assert statuses(ready) == ("running", "ready")
        assert make.phase(ready).next_attempt_at is None

    def test_ends_an_attempt_that_outlives_its_timeout(self) -> None:
        one = make.leased(make.execution([phase_spec(timeout=10 * SECOND)]))
        one = make.after(one, now=NOW + 9 * SECOND)
        over = NOW + 10 * SECOND + TIMEOUT_MARGIN
        # The worker keeps to the timeout itself; the margin is for its report.
        assert one.due_at == over
        assert tick(one, over - SECOND) is one
        one = tick(one, over)
        assert statuses(one) == ("running", "pending")
        failure = make.phase(one).failure
        assert failure is not None
        assert (failure.kind, failure.code) == (FailureKind.TIMEOUT, "PHASE_TIMEOUT")
        assert make.phase(one).next_attempt_at == over + SECOND

    def test_never_lengthens_a_lease_for_the_margin_of_a_timeout(self) -> None:
        one = make.leased(make.execution([phase_spec(timeout=LEASE - SECOND)]))
        assert one.due_at == NOW + LEASE

    def test_ends_a_run_that_outlives_its_timeout(self) -> None:
        one = make.leased(make.execution(2, run_timeout=MINUTE), now=NOW + SECOND)
        for seconds in (20, 40, 60):
            one = make.after(one, now=NOW + seconds * SECOND)
        end = NOW + SECOND + MINUTE
        assert one.due_at == end
        one = tick(one, end)
        assert statuses(one) == ("cancelling", "running", "skipped")
        assert one.failure is not None
        assert (one.failure.kind, one.failure.code) == (FailureKind.TIMEOUT, "RUN_TIMEOUT")
        assert one.failure.phase_id == ""
        assert statuses(make.after(one, make.stopped(), now=end)) == (
            "failed",
            "cancelled",
            "skipped",
        )

    def test_ends_a_run_that_waits_for_its_next_attempt(self) -> None:
        one = make.failed(make.execution(run_timeout=SECOND / 2))
        assert statuses(tick(one, NOW + SECOND)) == ("failed", "skipped")

    def test_counts_no_time_before_the_run_begins(self) -> None:
        assert make.execution(run_timeout=MINUTE).due_at is None

    def test_counts_no_time_that_was_paused(self) -> None:
        one = make.completed(make.execution(2, run_timeout=MINUTE))
        one = pause(one, NOW + 10 * SECOND)
        assert one.due_at is None
        one = resume(one, NOW + 40 * SECOND)
        assert one.due_at == NOW + MINUTE + 30 * SECOND
        one = resume(pause(one, NOW + 50 * SECOND), NOW + 55 * SECOND)
        assert one.due_at == NOW + MINUTE + 35 * SECOND

    def test_gives_up_on_a_worker_that_does_not_stop(self) -> None:
        one = cancel(make.leased(make.execution()), make.cancellation(), 10 * SECOND)
        assert one.due_at == NOW + SILENCE + 10 * SECOND
        one = tick(one, NOW + SILENCE + 10 * SECOND)
        assert statuses(one) == ("cancelled", "cancelled")
        ending = make.phase(one).ending
        assert ending is not None
        assert (ending.how, ending.retry_decision) == (EndedBy.REVOKED, RetryDecision.STOPPED)

    def test_ends_what_is_cancelled_as_cancelled_however_long_it_takes(self) -> None:
        one = make.leased(make.execution(run_timeout=20 * SECOND))
        one = cancel(one, make.cancellation(NOW + 10 * SECOND), 10 * SECOND)
        one = tick(one, NOW + SILENCE + 20 * SECOND)
        assert (statuses(one), one.failure) == (("cancelled", "cancelled"), None)

    def test_does_not_wait_for_the_grace_of_a_worker_that_is_lost(self) -> None:
        one = cancel(make.leased(make.execution()), make.cancellation(), 10 * MINUTE)
        assert one.due_at == NOW + LEASE

    def test_catches_up_after_any_time_away(self) -> None:
        one = make.leased(make.execution([phase_spec(timeout=MINUTE)], run_timeout=MINUTE))
        one = tick(one, NOW + timedelta(days=365))
        assert statuses(one) == ("failed", "skipped")
        assert one.due_at is None

    def test_leaves_nothing_due(self) -> None:
        one = make.execution(3, run_timeout=MINUTE, request={"start_at": NOW + SECOND})
        for at in (NOW + SECOND, NOW + MINUTE, NOW + 2 * MINUTE):
            one = tick(one, at)
            assert one.due_at is None or one.due_at > at


class TestHoldLeases:
    """What a server does that starts."""

    def test_gives_every_lease_its_whole_time_again(self) -> None:
        one = hold_leases(make.leased(make.execution()), NOW + LEASE + SECOND)
        assert one.due_at == NOW + 2 * LEASE + SECOND
        assert statuses(tick(one, NOW + LEASE + SECOND)) == ("running", "running")
        assert statuses(tick(one, NOW + 2 * LEASE + SECOND)) == ("running", "ready")

    def test_never_shortens_a_lease(self) -> None:
        one = make.leased(make.execution())
        assert hold_leases(hold_leases(one, NOW + SECOND), NOW).due_at == NOW + LEASE + SECOND

    def test_holds_what_outlived_its_timeout_or_its_grace(self) -> None:
        one = make.leased(make.execution([phase_spec(timeout=SECOND)]))
        one = cancel(one, make.cancellation(), SECOND)
        away = NOW + MINUTE
        assert hold_leases(one, away).due_at == away + LEASE

    def test_takes_the_report_of_a_worker_that_could_not_report(self) -> None:
        away = NOW + timedelta(hours=1)
        one = hold_leases(make.leased(make.execution()), away)
        assert statuses(make.after(one, make.DONE, now=away)) == ("completed", "completed")

    def test_ends_with_the_first_report(self) -> None:
        away = NOW + timedelta(hours=1)
        one = hold_leases(make.leased(make.execution()), away)
        lease = make.lease_of(make.after(one, now=away + SECOND))
        assert (lease.held_until, lease.expires_at) == (None, away + SECOND + LEASE)

    def test_gives_a_worker_the_time_to_stop_that_nobody_could_tell_it(self) -> None:
        away = NOW + timedelta(hours=1)
        one = hold_leases(cancel(make.leased(make.execution()), make.cancellation(), MINUTE), away)
        told = make.reported(one, now=away + SECOND)
        assert told.directive.time_to_live == MINUTE
        assert told.execution is not None
        assert told.execution.due_at == away + SECOND + MINUTE

    def test_holds_what_a_worker_knows_that_could_not_say_that_it_stopped(self) -> None:
        away = NOW + timedelta(hours=1)
        one = cancel(make.leased(make.execution()), make.cancellation(), SECOND)
        one = hold_leases(make.after(one, now=NOW), away)
        told = make.reported(one, now=away + SECOND)
        assert told.directive.time_to_live == LEASE - SECOND
        assert told.execution is not None
        assert told.execution.due_at == away + LEASE

    def test_ends_what_a_worker_inside_the_server_before_had(self) -> None:
        request = make.lease_request(is_embedded=True)
        one = work.lease(make.execution(2), 0, request, "digest", NOW)
        shared = hold_leases(one, NOW + SECOND, is_alone=False)
        assert shared.due_at == NOW + SECOND + LEASE
        one = hold_leases(one, NOW + SECOND)
        assert one.due_at == NOW + SECOND
        one = tick(one, NOW + SECOND)
        assert statuses(one) == ("running", "ready", "pending")
        assert make.phase(one).attempts[0].failure.kind is FailureKind.WORKER_LOST  # type: ignore[union-attr]


class TestSums:
    """What an execution shows of its phases."""

    def test_current_phase_is_the_running_one_else_the_next(self) -> None:
        one = make.execution(3)
        assert one.current_phase == "p0"
        assert make.leased(one).current_phase == "p0"
        assert make.completed(one).current_phase == "p1"
        last = make.completed(make.completed(make.completed(one), 1), 2)
        assert last.current_phase == ""

    def test_the_first_of_several_running_phases_is_current(self) -> None:
        specs = [phase_spec("a"), phase_spec("b", parallel=True), phase_spec("c", parallel=True)]
        one = make.leased(make.leased(make.execution(specs), 2), 1)
        assert (one.current_phase, one.running_phases) == ("b", ("b", "c"))

    def test_completed_phases_and_retries_are_counted(self) -> None:
        specs = [phase_spec("a", retry_policy=make.EAGER), phase_spec("b", retry_policy=make.EAGER)]
        one = make.completed(make.failed(make.failed(make.execution(specs))))
        one = make.completed(make.failed(one, 1), 1)
        assert (one.completed_phases, one.total_phases, one.retry_count) == (2, 2, 3)

    def test_usage_counts_every_attempt_and_every_phase_once(self) -> None:
        one = make.leased(
            make.execution([phase_spec("a", retry_policy=make.EAGER), phase_spec("b")])
        )
        one = _spends(one, 0, 5)
        one = _spends(one, 0, 7)
        assert one.usage.cost_nanos == 7
        one = make.leased(make.after(one, make.broken()))
        assert one.usage.cost_nanos == 7
        one = make.after(_spends(one, 0, 11), make.DONE)
        one = _spends(make.leased(one, 1), 1, 13)
        assert one.usage.cost_nanos == 7 + 11 + 13
        assert [usage.cost_nanos for usage in one.usage_by_model] == [31]
        assert [usage.cost_nanos for usage in make.phase(one).usage_by_model] == [18]

    def test_tools_and_model_calls_of_all_phases_are_gathered(self) -> None:
        one = make.leased(make.execution(2))
        one = _does(one, 0, "Write", "Read", model=True)
        one = make.leased(make.after(one, make.DONE), 1)
        one = _does(one, 1, "Bash", "Read", model=True)
        assert one.tool_names == ("Bash", "Read", "Write")
        assert one.model_call_count == 2
        assert one.usage.tool_call_count == 4

    def test_at_most_fifty_tools_are_named(self) -> None:
        names = [f"t{number:03}" for number in range(60)]
        one = _does(make.leased(make.execution()), 0, *names)
        assert one.tool_names == tuple(names[:50])
        assert one.usage.tool_call_count == 60

    def test_updated_at_never_goes_back(self) -> None:
        one = make.leased(make.execution(), now=NOW + MINUTE)
        assert settle(one, NOW).updated_at == NOW + MINUTE
        assert settle(one, NOW + 2 * MINUTE).updated_at == NOW + 2 * MINUTE


def _spends(execution: Execution, position: int, cost_nanos: int) -> Execution:
    told = make.reported(execution, position=position, usage_by_model=make.spent(cost_nanos))
    assert told.execution is not None
    return told.execution


def _does(
    execution: Execution, position: int, *tools: str, model: bool = False, now: datetime = NOW
) -> Execution:
    operations = [OperationReport(name, "tool", tool_name=name) for name in tools]
    operations += [OperationReport("call", "model")] * model
    told = make.reported(execution, position=position, now=now, operations=tuple(operations))
    assert told.execution is not None
    return told.execution
