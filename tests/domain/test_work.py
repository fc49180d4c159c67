"""Leasing phases and reporting on them: what is stored, and what a worker is told."""

from typing import Any

import pytest

from phaseline.domain.control import cancel, pause
from phaseline.domain.errors import IllegalTransition
from phaseline.domain.execution import Execution
from phaseline.domain.failure import Failure, FailureKind
from phaseline.domain.payload import Payload, text_payload
from phaseline.domain.report import (
    AbandonReason,
    ArtifactDraft,
    Completed,
    Directive,
    DirectiveAction,
    Failed,
    Progress,
    RetryDecision,
)
from phaseline.domain.work import can_lease, lease
from tests.support import make
from tests.support.clock import START as NOW
from tests.support.make import DONE, LEASE, MINUTE, ONCE, SECOND, phase_spec, statuses

RUNNING = make.leased(make.execution(2))


class TestLease:
    """Giving a phase to a worker."""

    def test_begins_the_execution_and_the_phase(self) -> None:
        one = make.leased(make.execution(2), now=NOW + SECOND)
        assert statuses(one) == ("running", "running", "pending")
        assert (one.started_at, one.run_started_at) == (NOW + SECOND, NOW + SECOND)
        phase = make.phase(one)
        assert (phase.started_at, phase.attempt, phase.epoch) == (NOW + SECOND, 1, 1)
        assert (phase.worker_id, one.worker_id) == ("w1", "w1")
        assert one.updated_at == NOW + SECOND

    def test_is_for_as_long_as_the_worker_asked(self) -> None:
        held = make.lease_of(make.leased(make.execution(), now=NOW + SECOND))
        assert held.expires_at == NOW + SECOND + LEASE
        assert (held.started_at, held.duration) == (NOW + SECOND, LEASE)
        assert (held.request_id, held.request_digest) == ("r1", "digest")
        assert held.deadline is None

    def test_knows_when_the_timeout_of_the_attempt_is_over(self) -> None:
        one = make.leased(make.execution([phase_spec(timeout=MINUTE)]), now=NOW + SECOND)
        assert make.lease_of(one).deadline == NOW + SECOND + MINUTE

    def test_begins_the_run_only_once(self) -> None:
        one = make.leased(make.completed(make.execution(2)), 1, NOW + MINUTE)
        assert (one.started_at, one.run_started_at) == (NOW, NOW)

    def test_counts_attempts_and_epochs(self) -> None:
        one = make.execution([phase_spec(retry_policy=make.EAGER)])
        one = make.leased(make.failed(one), now=NOW + SECOND, worker_id="w2")
        phase = make.phase(one)
        assert (phase.attempt, phase.epoch, phase.worker_id) == (2, 2, "w2")
        # The first attempt began it; the failure of that one shows no longer.
        assert (phase.started_at, phase.failure) == (NOW, None)

    @pytest.mark.parametrize(
        "execution",
        [
            RUNNING,
            make.completed(make.execution(2)),
            pause(make.execution(), NOW),
            cancel(make.execution(), make.cancellation()),
            make.execution(request={"start_at": NOW + SECOND}),
        ],
        ids=statuses,
    )
    def test_is_refused_unless_the_phase_is_ready_and_nothing_paused(
        self, execution: Execution
    ) -> None:
        assert not can_lease(execution, 0)
        with pytest.raises(IllegalTransition, match="phase 'p0' is"):
            lease(execution, 0, make.lease_request(), "digest", NOW)


class TestHeartbeat:
    """A report that says nothing."""

    def test_renews_the_lease_and_nothing_else(self) -> None:
        told = make.reported(RUNNING, now=NOW + SECOND)
        assert told.only_renewed
        assert told.directive == Directive(DirectiveAction.CONTINUE, time_to_live=LEASE)
        assert told.execution is not None
        assert make.lease_of(told.execution).expires_at == NOW + SECOND + LEASE
        assert told.execution.updated_at == RUNNING.updated_at

    def test_works_until_the_lease_ends_and_not_at_its_end(self) -> None:
        assert make.reported(RUNNING, now=NOW + LEASE - SECOND).only_renewed
        late = make.reported(RUNNING, now=NOW + LEASE)
        assert late.directive.abandon_reason is AbandonReason.EXPIRED

    def test_shows_what_time_has_done_meanwhile(self) -> None:
        specs = [phase_spec("a"), phase_spec("b", parallel=True)]
        one = make.leased(make.leased(make.execution(specs)), 1, NOW + SECOND)
        told = make.reported(one, position=1, now=NOW + LEASE)
        assert not told.only_renewed
        assert told.execution is not None
        assert statuses(told.execution) == ("running", "ready", "running")


class TestNews:
    """A report of a running attempt."""

    def test_is_kept_and_renews_the_lease(self) -> None:
        told = make.reported(
            RUNNING,
            now=NOW + SECOND,
            progress=Progress(40, "reading"),
            session_id="s9",
            usage_by_model=make.spent(5),
            credits_nanos=7,
            checkpoint=make.payload("here"),
        )
        assert told.execution is not None
        assert not told.only_renewed
        phase = make.phase(told.execution)
        assert (phase.progress, phase.session_id) == (Progress(40, "reading"), "s9")
        assert (phase.usage.cost_nanos, phase.usage.credits_nanos) == (5, 7)
        assert (phase.has_checkpoint, told.checkpoint) == (True, make.payload("here"))
        assert make.lease_of(told.execution).expires_at == NOW + SECOND + LEASE
        assert told.directive.action is DirectiveAction.CONTINUE

    def test_that_is_left_out_keeps_what_was_told_before(self) -> None:
        one = make.reported(
            RUNNING,
            progress=Progress(40),
            session_id="s9",
            usage_by_model=make.spent(5),
            credits_nanos=7,
            checkpoint=make.payload(),
        ).execution
        assert one is not None
        some: list[dict[str, Any]] = [
            {"progress": Progress(50)},
            {"session_id": "s9"},
            {"credits_nanos": 7},
        ]
        for news in some:
            told = make.reported(one, **news)
            assert told.execution is not None
            phase = make.phase(told.execution)
            assert phase.progress in (Progress(40), Progress(50))
            assert phase.session_id == "s9"
            assert phase.usage == make.phase(one).usage
            assert phase.has_checkpoint

    @pytest.mark.parametrize(
        "news",
        [
            {"usage_by_model": ()},
            {"credits_nanos": 0},
            {"progress": Progress()},
            {"session_id": "s"},
            {"checkpoint": Payload()},
        ],
        ids=lambda news: next(iter(news)),
    )
    def test_of_any_kind_is_more_than_a_heartbeat(self, news: dict[str, Any]) -> None:
        assert not make.reported(RUNNING, **news).only_renewed

    def test_of_usage_replaces_what_was_reported(self) -> None:
        one = make.after(RUNNING)
        for cost, model in ((5, "m"), (3, "other")):
            told = make.reported(one, usage_by_model=make.spent(cost, model))
            assert told.execution is not None
            one = told.execution
        assert one.usage.cost_nanos == 3
        assert [usage.model for usage in one.usage_by_model] == ["other"]


class TestSequence:
    """Which report is new."""

    def test_a_higher_one_is_stored(self) -> None:
        one = _sequenced(RUNNING, 3, Progress(1))
        assert make.lease_of(one).sequence == 3
        assert make.phase(_sequenced(one, 4, Progress(2))).progress == Progress(2)

    @pytest.mark.parametrize("sequence", [1, 3])
    def test_one_that_is_not_above_the_last_only_renews(self, sequence: int) -> None:
        one = _sequenced(RUNNING, 3, Progress(1))
        told = make.reported(one, now=NOW + SECOND, sequence=sequence, progress=Progress(9))
        assert (told.only_renewed, told.directive.replayed) == (True, True)
        assert told.directive.action is DirectiveAction.CONTINUE
        assert told.execution is not None
        assert make.phase(told.execution).progress == Progress(1)
        assert make.lease_of(told.execution).expires_at == NOW + SECOND + LEASE
        assert make.lease_of(told.execution).sequence == 3

    def test_none_is_always_stored(self) -> None:
        one = _sequenced(_sequenced(RUNNING, 3, Progress(1)), 0, Progress(2))
        assert make.phase(one).progress == Progress(2)
        assert make.lease_of(one).sequence == 3

    def test_a_replay_of_one_that_is_to_stop_says_so_again(self) -> None:
        one = cancel(_sequenced(RUNNING, 3, Progress(1)), make.cancellation())
        told = make.reported(one, sequence=3)
        assert (told.directive.action, told.directive.replayed) == (DirectiveAction.CANCEL, True)

    def test_begins_anew_with_each_lease(self) -> None:
        one = make.execution([phase_spec(retry_policy=make.EAGER)])
        one = make.leased(make.after(_sequenced(make.leased(one), 9, Progress(1)), make.broken()))
        assert make.phase(_sequenced(one, 1, Progress(2))).progress == Progress(2)


class TestCompleted:
    """A phase that is done."""

    def test_keeps_its_output_and_artifacts(self) -> None:
        draft = ArtifactDraft("report.md", make.payload())
        told = make.reported(RUNNING, Completed(text_payload("four"), (draft,)), now=NOW + SECOND)
        assert told.directive == Directive(DirectiveAction.ACCEPTED)
        assert (told.output, told.artifacts) == (text_payload("four"), (draft,))
        assert told.execution is not None
        phase = make.phase(told.execution)
        assert (phase.completed_at, phase.output_size, phase.lease) == (NOW + SECOND, 4, None)
        (attempt,) = phase.attempts
        assert (attempt.attempt, attempt.worker_id, attempt.failure) == (1, "w1", None)
        assert (attempt.started_at, attempt.completed_at) == (NOW, NOW + SECOND)

    def test_may_have_no_output(self) -> None:
        told = make.reported(RUNNING, Completed())
        assert told.execution is not None
        assert (told.output, make.phase(told.execution).output_size) == (None, 0)

    def test_takes_its_last_news_with_it(self) -> None:
        told = make.reported(
            RUNNING, DONE, usage_by_model=make.spent(5), checkpoint=make.payload("end")
        )
        assert told.execution is not None
        assert told.execution.usage.cost_nanos == 5
        assert told.checkpoint == make.payload("end")
        (attempt,) = make.phase(told.execution).attempts
        assert attempt.usage.cost_nanos == 5

    def test_counts_although_it_was_told_to_stop(self) -> None:
        one = make.after(cancel(RUNNING, make.cancellation()), DONE)
        assert statuses(one) == ("cancelled", "completed", "cancelled")

    def test_with_a_result_that_does_not_match_its_schema_fails_for_good(self) -> None:
        one = make.leased(make.completed(make.execution(2)), 1)
        told = make.reported(one, DONE, 1, wrong="/a: is no number")
        assert (told.output, told.artifacts) == (None, ())
        assert told.directive.action is DirectiveAction.ACCEPTED
        assert told.directive.retry_decision is RetryDecision.NOT_RETRYABLE
        assert told.execution is not None
        assert statuses(told.execution) == ("failed", "completed", "failed")
        assert told.execution.failure == Failure(
            FailureKind.INVALID_OUTPUT,
            "OUTPUT_SCHEMA_MISMATCH",
            "/a: is no number",
            "p1",
            retryable=False,
        )

    def test_with_a_result_that_is_wrong_at_length_says_so_in_short(self) -> None:
        told = make.reported(make.leased(make.execution()), DONE, wrong="x" * 10_000)
        assert told.execution is not None
        assert told.execution.failure is not None
        assert len(told.execution.failure.message) == 4096

    def test_in_the_middle_of_a_workflow_is_not_its_result(self) -> None:
        assert make.reported(RUNNING, DONE, wrong="anything").output is not None


class TestFailed:
    """An attempt that failed."""

    def test_is_repeated_after_a_delay(self) -> None:
        told = make.reported(RUNNING, make.broken(), now=NOW + SECOND)
        assert told.directive == Directive(
            DirectiveAction.ACCEPTED,
            retry_decision=RetryDecision.RETRY,
            next_attempt_at=NOW + 2 * SECOND,
        )
        assert told.execution is not None
        phase = make.phase(told.execution)
        assert (phase.next_attempt_at, phase.failure) == (NOW + 2 * SECOND, make.BROKEN)
        assert (phase.progress, phase.completed_at) == (None, None)
        assert statuses(told.execution) == ("running", "pending", "pending")

    def test_waits_as_long_as_the_worker_asks_for(self) -> None:
        told = make.reported(RUNNING, Failed(make.BROKEN, MINUTE))
        assert told.directive.next_attempt_at == NOW + MINUTE
        told = make.reported(RUNNING, Failed(make.BROKEN, SECOND / 2))
        assert told.directive.next_attempt_at == NOW + SECOND

    def test_comes_back_a_little_earlier_by_chance(self) -> None:
        told = make.reported(RUNNING, make.broken(), jitter=0.5)
        assert told.directive.next_attempt_at == NOW + 0.9 * SECOND

    def test_gives_up_after_the_last_attempt(self) -> None:
        one = make.execution()
        for at in (NOW, NOW + SECOND):
            one = make.ready(make.failed(one, now=at))
        told = make.reported(make.leased(one, now=NOW + MINUTE), make.broken(), now=NOW + MINUTE)
        assert told.directive.retry_decision is RetryDecision.EXHAUSTED
        assert told.directive.next_attempt_at is None
        assert told.execution is not None
        assert statuses(told.execution) == ("failed", "failed")
        assert [attempt.attempt for attempt in make.phase(told.execution).attempts] == [1, 2, 3]
        assert make.phase(told.execution).completed_at == NOW + MINUTE

    @pytest.mark.parametrize(
        "failure",
        [
            Failure(retryable=False),
            Failure(FailureKind.INVALID_OUTPUT),
            Failure(FailureKind.BUDGET_EXCEEDED),
        ],
    )
    def test_is_not_repeated_if_it_would_fail_again(self, failure: Failure) -> None:
        told = make.reported(RUNNING, Failed(failure))
        assert told.directive.retry_decision is RetryDecision.NOT_RETRYABLE

    def test_of_what_was_told_to_stop_ends_the_phase_as_cancelled(self) -> None:
        told = make.reported(cancel(RUNNING, make.cancellation()), make.stopped())
        assert told.directive.retry_decision is RetryDecision.STOPPED
        assert told.execution is not None
        assert statuses(told.execution) == ("cancelled", "cancelled", "cancelled")

    def test_of_another_kind_while_it_stops_ends_the_phase_as_failed(self) -> None:
        told = make.reported(cancel(RUNNING, make.cancellation()), make.broken())
        assert told.directive.retry_decision is RetryDecision.STOPPED
        assert told.execution is not None
        assert statuses(told.execution) == ("cancelled", "failed", "cancelled")
        assert told.execution.failure is None

    def test_as_cancelled_by_a_worker_that_nobody_told_is_repeated(self) -> None:
        told = make.reported(RUNNING, make.stopped())
        assert told.directive.retry_decision is RetryDecision.RETRY

    def test_keeps_the_last_ten_attempts(self) -> None:
        one = make.execution([phase_spec(retry_policy=make.EAGER)])
        for _ in range(12):
            one = make.failed(one)
        assert [attempt.attempt for attempt in make.phase(one).attempts] == list(range(3, 13))
        assert make.phase(one).attempt == 12


class TestReleased:
    """An attempt that is given back."""

    def test_does_not_count(self) -> None:
        one = make.after(RUNNING, make.released())
        phase = make.phase(one)
        assert statuses(one) == ("running", "ready", "pending")
        assert (phase.attempt, phase.epoch, phase.attempts) == (0, 1, ())
        assert one.retry_count == 0

    def test_leaves_all_attempts_to_others(self) -> None:
        one = make.execution([phase_spec(retry_policy=ONCE)])
        for _ in range(5):
            one = make.after(make.leased(one), make.released())
        assert statuses(make.completed(one)) == ("completed", "completed")

    def test_keeps_what_was_spent_and_reached(self) -> None:
        told = make.reported(
            RUNNING,
            make.released(),
            usage_by_model=make.spent(5),
            checkpoint=make.payload(),
            progress=Progress(50),
        )
        assert told.execution is not None
        phase = make.phase(told.execution)
        assert (told.execution.usage.cost_nanos, phase.has_checkpoint) == (5, True)
        # Whoever goes on from the checkpoint has its own progress to report.
        assert phase.progress is None

    def test_is_leased_to_nobody_before_its_delay(self) -> None:
        one = make.after(RUNNING, make.released(MINUTE))
        assert statuses(one) == ("running", "pending", "pending")
        assert (make.phase(one).next_attempt_at, one.due_at) == (NOW + MINUTE, NOW + MINUTE)

    def test_shows_the_failure_of_the_attempt_before(self) -> None:
        one = make.execution([phase_spec(retry_policy=make.EAGER)])
        one = make.after(make.leased(make.failed(one)), make.released())
        assert make.phase(one).failure == make.BROKEN
        assert make.phase(one).attempt == 1
        assert make.phase(make.after(RUNNING, make.released())).failure is None

    def test_while_it_stops_ends_the_phase_as_cancelled(self) -> None:
        one = make.after(cancel(RUNNING, make.cancellation()), make.released())
        assert statuses(one) == ("cancelled", "cancelled", "cancelled")
        assert make.phase(one).completed_at == NOW


def _sequenced(execution: Execution, sequence: int, progress: Progress) -> Execution:
    told = make.reported(execution, sequence=sequence, progress=progress)
    assert told.execution is not None
    return told.execution
