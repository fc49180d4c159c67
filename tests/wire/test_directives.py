"""What workers are told is told in full."""

from datetime import timedelta

from phaseline.domain.report import (
    AbandonReason,
    Directive,
    DirectiveAction,
    Rejection,
    RetryDecision,
)
from phaseline.v1 import worker_service_pb2 as pb
from phaseline.wire.directives import directive_message
from phaseline.wire.scalars import duration, timestamp
from tests.wire.samples import CANCELLATION, at

REJECTION = Rejection("completed.output", "PAYLOAD_TOO_LARGE", "is too large")


def test_go_on_is_a_directive_without_more() -> None:
    directive = Directive(DirectiveAction.CONTINUE, time_to_live=timedelta(seconds=30))
    assert directive_message(directive) == pb.PhaseDirective(
        action=pb.DIRECTIVE_ACTION_CONTINUE, time_to_live=duration(timedelta(seconds=30))
    )


def test_a_lost_lease_says_why() -> None:
    directive = Directive(DirectiveAction.ABANDON, AbandonReason.SUPERSEDED)
    assert directive_message(directive) == pb.PhaseDirective(
        action=pb.DIRECTIVE_ACTION_ABANDON, abandon_reason=pb.ABANDON_REASON_SUPERSEDED
    )


def test_a_worker_that_is_to_stop_learns_who_wants_it_and_by_when() -> None:
    directive = Directive(
        DirectiveAction.CANCEL, time_to_live=timedelta(seconds=-1), cancellation=CANCELLATION
    )
    message = directive_message(directive)
    assert message.cancellation.cancelled_by == "ada"
    assert message.time_to_live.ToTimedelta() == timedelta()


def test_an_accepted_failure_says_what_follows() -> None:
    directive = Directive(
        DirectiveAction.ACCEPTED,
        replayed=True,
        retry_decision=RetryDecision.RETRY,
        next_attempt_at=at(60),
    )
    assert directive_message(directive) == pb.PhaseDirective(
        action=pb.DIRECTIVE_ACTION_ACCEPTED,
        replayed=True,
        retry_decision=pb.RETRY_DECISION_RETRY,
        next_attempt_at=timestamp(at(60)),
    )


def test_what_was_left_out_is_told_whoever_found_it() -> None:
    directive = Directive(DirectiveAction.CONTINUE, rejections=(REJECTION,))
    message = directive_message(directive, (REJECTION,))
    expected = pb.ReportRejection(
        field="completed.output", reason="PAYLOAD_TOO_LARGE", message="is too large"
    )
    assert list(message.rejections) == [expected, expected]
