"""Reports that come late or again, and what a worker is told to do."""

from datetime import timedelta

import pytest

from phaseline.domain.advance import DEFAULT_GRACE
from phaseline.domain.control import cancel
from phaseline.domain.execution import EndedBy
from phaseline.domain.report import (
    AbandonReason,
    Directive,
    DirectiveAction,
    Outcome,
)
from tests.support import make
from tests.support.clock import START as NOW
from tests.support.make import DONE, LEASE, MINUTE, ONCE, SECOND, SILENCE, phase_spec, statuses

RUNNING = make.leased(make.execution(2))


RUNNING = make.leased(make.execution(2))


class TestLateReports:
    """A report of a lease that is not the live one."""

    @pytest.mark.parametrize("outcome", [None, DONE, make.broken(), make.released()])
    def test_of_a_lease_that_expired_is_refused(self, outcome: Outcome | None) -> None:
        told = make.reported(RUNNING, outcome, now=NOW + LEASE)
        assert told.directive == Directive(DirectiveAction.ABANDON, AbandonReason.EXPIRED)
        assert (told.output, told.operations) == (None, ())
        # The expiry, which this report was the first to find, is stored.
        assert told.execution is not None
        assert statuses(told.execution) == ("running", "ready", "pending")

    def test_changes_nothing_that_time_has_not(self) -> None:
        one = make.after(RUNNING, now=NOW + LEASE)
        assert make.reported(one, DONE, epoch=1, now=NOW + LEASE).execution is None

    def test_of_a_phase_that_another_worker_has_is_refused(self) -> None:
        one = make.leased(make.after(RUNNING, now=NOW + LEASE), now=NOW + LEASE)
        told = make.reported(one, DONE, epoch=1, now=NOW + LEASE)
        assert told.directive.abandon_reason is AbandonReason.SUPERSEDED
        assert told.execution is None

    def test_of_a_lease_to_come_is_unknown(self) -> None:
        told = make.reported(RUNNING, DONE, epoch=2)
        assert told.directive.abandon_reason is AbandonReason.UNKNOWN
        assert told.execution is None

    @pytest.mark.parametrize(
        ("outcome", "how"),
        [
            (DONE, EndedBy.COMPLETED),
            (make.broken(), EndedBy.FAILED),
            (make.released(), EndedBy.RELEASED),
        ],
    )
    def test_that_repeats_the_outcome_is_accepted_again(
        self, outcome: Outcome, how: EndedBy
    ) -> None:
        first = make.reported(RUNNING, outcome)
        assert first.execution is not None
        ending = make.phase(first.execution).ending
        assert ending is not None
        assert ending.how is how
        again = make.reported(first.execution, outcome, epoch=1, now=NOW + MINUTE)
        assert again.directive == Directive(
            DirectiveAction.ACCEPTED,
            replayed=True,
            retry_decision=first.directive.retry_decision,
            next_attempt_at=first.directive.next_attempt_at,
        )
        assert (again.output, again.artifacts) == (None, ())

    def test_that_repeats_it_when_another_worker_has_the_phase_is_accepted_again(self) -> None:
        one = make.leased(make.after(RUNNING, make.released()))
        told = make.reported(one, make.released(), epoch=1)
        assert (told.directive.action, told.directive.replayed) == (DirectiveAction.ACCEPTED, True)

    def test_that_repeats_an_older_outcome_is_refused(self) -> None:
        one = make.after(make.leased(make.after(RUNNING, make.released())), make.released())
        told = make.reported(one, make.released(), epoch=1)
        assert told.directive.abandon_reason is AbandonReason.SUPERSEDED

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (DONE, make.broken()),
            (DONE, make.released()),
            (make.released(), DONE),
            (make.broken(), DONE),
            (DONE, None),
        ],
    )
    def test_that_tells_another_outcome_is_refused(
        self, first: Outcome, second: Outcome | None
    ) -> None:
        told = make.reported(make.after(RUNNING, first), second, epoch=1)
        assert told.directive == Directive(DirectiveAction.ABANDON, AbandonReason.ENDED)

    def test_of_a_worker_that_did_not_stop_is_refused(self) -> None:
        one = cancel(RUNNING, make.cancellation(), SECOND)
        told = make.reported(one, DONE, now=NOW + SILENCE + SECOND)
        assert told.directive.abandon_reason is AbandonReason.ENDED
        assert told.execution is not None
        assert statuses(told.execution) == ("cancelled", "cancelled", "cancelled")

    def test_of_an_attempt_that_timed_out_is_refused(self) -> None:
        one = make.leased(make.execution([phase_spec(timeout=SECOND)]))
        told = make.reported(one, DONE, now=NOW + 6 * SECOND)
        assert told.directive.abandon_reason is AbandonReason.ENDED


class TestDirective:
    """What a worker is told of its lease."""

    @pytest.mark.parametrize("silent_for", [SECOND, SILENCE, 2 * SILENCE])
    def test_of_a_cancelled_execution_is_to_stop_within_the_grace_from_now(
        self, silent_for: timedelta
    ) -> None:
        one = cancel(RUNNING, make.cancellation(), 10 * SECOND)
        told = make.reported(one, now=NOW + silent_for)
        assert told.directive == Directive(
            DirectiveAction.CANCEL, time_to_live=10 * SECOND, cancellation=make.cancellation()
        )
        assert told.execution is not None
        assert told.execution.due_at == NOW + silent_for + 10 * SECOND

    def test_told_again_is_what_is_left_of_the_grace(self) -> None:
        one = cancel(RUNNING, make.cancellation(), MINUTE)
        one = make.after(one, now=NOW + SECOND)
        assert make.lease_of(one).expires_at == NOW + SECOND + MINUTE
        told = make.reported(one, now=NOW + 51 * SECOND)
        assert told.directive.time_to_live == 10 * SECOND
        assert told.execution is not None
        assert make.lease_of(told.execution).expires_at == NOW + SECOND + MINUTE

    def test_repeated_tells_of_a_cancellation_in_between(self) -> None:
        one = make.reported(RUNNING, now=NOW, sequence=1).execution
        assert one is not None
        one = cancel(one, make.cancellation(), 10 * SECOND)
        told = make.reported(one, now=NOW + SECOND, sequence=1)
        assert told.directive.replayed
        assert told.directive.time_to_live == 10 * SECOND

    def test_of_what_failed_names_the_system_and_the_failure(self) -> None:
        specs = [phase_spec("a", retry_policy=ONCE), phase_spec("b", parallel=True)]
        one = make.failed(make.leased(make.execution(specs), 1), now=NOW + SECOND)
        told = make.reported(one, position=1, now=NOW + 2 * SECOND)
        assert told.directive.action is DirectiveAction.CANCEL
        assert told.directive.time_to_live == DEFAULT_GRACE
        cancellation = told.directive.cancellation
        assert cancellation is not None
        assert (cancellation.cancelled_by, cancellation.reason) == ("system", "it broke")
        assert cancellation.cancelled_at == NOW + SECOND
