"""What workers are told in answer to their reports."""

from __future__ import annotations

from collections.abc import Sequence

from phaseline.domain.report import Directive, Rejection
from phaseline.v1 import worker_service_pb2
from phaseline.wire.enums import ABANDON_REASON, DIRECTIVE_ACTION, RETRY_DECISION
from phaseline.wire.payloads import cancellation_message
from phaseline.wire.scalars import duration, timestamp


def directive_message(
    directive: Directive, rejections: Sequence[Rejection] = ()
) -> worker_service_pb2.PhaseDirective:
    """Return *directive* as a message, with what was left out before anybody decided on it."""
    message = worker_service_pb2.PhaseDirective(
        action=DIRECTIVE_ACTION[directive.action], replayed=directive.replayed
    )
    if directive.abandon_reason is not None:
        message.abandon_reason = ABANDON_REASON[directive.abandon_reason]
    if directive.time_to_live is not None:
        message.time_to_live.CopyFrom(duration(directive.time_to_live))
    if directive.cancellation is not None:
        message.cancellation.CopyFrom(cancellation_message(directive.cancellation))
    if directive.retry_decision is not None:
        message.retry_decision = RETRY_DECISION[directive.retry_decision]
    if directive.next_attempt_at is not None:
        message.next_attempt_at.CopyFrom(timestamp(directive.next_attempt_at))
    for rejection in (*rejections, *directive.rejections):
        message.rejections.add(
            field=rejection.field, reason=rejection.reason, message=rejection.message
        )
    return message
