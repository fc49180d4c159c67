"""What a worker says arrives as it was said, and what it is told, too."""

from datetime import UTC, datetime, timedelta

import pytest

from phaseline.domain.failure import Cancellation, Failure, FailureKind
from phaseline.domain.payload import Payload, text_payload
from phaseline.domain.report import (
    AbandonReason,
    ArtifactDraft,
    Completed,
    Directive,
    DirectiveAction,
    Failed,
    LeaseRequest,
    OperationReport,
    Outcome,
    Progress,
    Rejection,
    Released,
    Report,
    RetryDecision,
)
from phaseline.domain.usage import ModelUsage
from phaseline.v1 import execution_pb2, worker_service_pb2
from phaseline.wire.directives import directive_message
from phaseline.wire.leases import LeaseDefaults, read_lease_request
from phaseline.wire.reports import Sizes, read_report
from phaseline.worker.assignment import Assignment
from phaseline.worker.translate import (
    assignment_of,
    directive_of,
    lease_message,
    report_message,
    reports_message,
)

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC)
OUTCOMES: list[Outcome] = [
    Completed(),
    Completed(text_payload("done"), (ArtifactDraft("a.bin", Payload(data=b"\x00")),)),
    Completed(Payload(uri="s3://bucket/key", media_type="video/mp4")),
    Failed(
        Failure(FailureKind.TIMEOUT, "PHASE_TIMEOUT", "too slow", retryable=False),
        timedelta(seconds=3),
    ),
    Failed(Failure(details={"exit_code": "3"})),
    Released(),
    Released(timedelta(minutes=1)),
]
REPORTS = [
    Report("lease-1"),
    Report("lease-1", 7, session_id="session-1", progress=Progress(40, "half")),
    Report("lease-1", 8, checkpoint=text_payload(""), credits_nanos=0),
    Report("lease-1", 9, usage_by_model=(ModelUsage("large", 1, 2, 3, 4, 5), ModelUsage("own"))),
    Report(
        "lease-1",
        10,
        operations=(
            OperationReport("going-on", "tool", timestamp=MOMENT),
            OperationReport(
                "over",
                "model",
                parent_operation_id="going-on",
                tool_name="git",
                tool_use_id="use-1",
                success=False,
                timestamp=MOMENT,
                completed_at=MOMENT,
                error_message="no luck",
                usage=ModelUsage("large", 1),
                input=text_payload("in"),
                output=text_payload("out"),
            ),
        ),
    ),
    *(Report("lease-1", 11, outcome=outcome) for outcome in OUTCOMES),
]
DIRECTIVES = [
    Directive(DirectiveAction.CONTINUE, time_to_live=timedelta(seconds=30)),
    Directive(
        DirectiveAction.CANCEL,
        time_to_live=timedelta(seconds=1.5),
        cancellation=Cancellation(MOMENT, "ada", "changed my mind"),
    ),
    Directive(DirectiveAction.ABANDON, abandon_reason=AbandonReason.SUPERSEDED),
    Directive(
        DirectiveAction.ACCEPTED,
        replayed=True,
        retry_decision=RetryDecision.RETRY,
        next_attempt_at=MOMENT,
    ),
    Directive(DirectiveAction.CONTINUE, rejections=(Rejection("progress", "INVALID", "odd"),)),
]


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_arrives_as_it_was_made(report: Report) -> None:
    told = read_report(report_message(report), Sizes())

    assert told.rejections == ()
    assert told.report == report


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_a_directive_arrives_as_it_was_given(directive: Directive) -> None:
    assert directive_of(directive_message(directive)) == directive


def test_a_directive_of_a_newer_server_is_no_reason_to_stop() -> None:
    message = worker_service_pb2.PhaseDirective()
    message.MergeFromString(b"\x08\x63")

    assert directive_of(message).action is DirectiveAction.CONTINUE


def test_a_request_for_phases_arrives_as_it_was_made() -> None:
    request = LeaseRequest(
        worker_id="worker-1",
        request_id="request-1",
        queue_names=("default", "gpu"),
        handlers=("build",),
        deployment_id="v7",
        max_phases=64,
        wait=timedelta(),
        lease_duration=timedelta(seconds=45),
    )

    assert read_lease_request(lease_message(request), LeaseDefaults()) == request


def test_reports_ask_for_more_phases_only_if_told_to() -> None:
    request = LeaseRequest("worker-1", "request-1")

    assert not reports_message([Report("lease-1")], None).HasField("next")
    assert reports_message([Report("lease-1")], request).next.request_id == "request-1"


def test_a_lease_becomes_an_assignment() -> None:
    message = worker_service_pb2.PhaseLease(
        lease_token="lease-1",
        fencing_token=7,
        phase=execution_pb2.Phase(
            execution_id="execution-1", phase_id="build", handler="command", attempt=2
        ),
        execution=execution_pb2.Execution(
            execution_id="execution-1",
            workflow_id="house",
            task="build it",
            inputs={"colour": "red"},
            payload=execution_pb2.Payload(data=b"{}"),
            session_id="session-1",
            labels={"team": "red"},
            repos=["owner/name"],
            queue_name="gpu",
            workspace_id="acme",
        ),
        prompt="Build it",
        model="large",
        outputs={"plan": execution_pb2.Payload(data=b"bricks", media_type="text/plain")},
        checkpoint=execution_pb2.Payload(data=b"half"),
        remaining_budget_usd="1.5",
        traceparent="00-1-2-01",
    )
    message.time_to_live.FromTimedelta(timedelta(seconds=29))
    message.heartbeat_interval.FromTimedelta(timedelta(seconds=9))
    message.timeout.FromTimedelta(timedelta(minutes=5))
    message.config.update({"argv": ["make"], "grace_seconds": 3})

    assert assignment_of(message) == Assignment(
        lease_token="lease-1",
        fencing_token=7,
        time_to_live=timedelta(seconds=29),
        heartbeat_interval=timedelta(seconds=9),
        execution_id="execution-1",
        workflow_id="house",
        phase_id="build",
        attempt=2,
        handler="command",
        prompt="Build it",
        model="large",
        config={"argv": ["make"], "grace_seconds": 3.0},
        task="build it",
        inputs={"colour": "red"},
        payload=Payload(data=b"{}"),
        outputs={"plan": Payload(data=b"bricks", media_type="text/plain")},
        checkpoint=Payload(data=b"half"),
        session_id="session-1",
        timeout=timedelta(minutes=5),
        remaining_budget_nanos=1_500_000_000,
        labels={"team": "red"},
        repos=("owner/name",),
        queue_name="gpu",
        workspace_id="acme",
        traceparent="00-1-2-01",
    )


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_outcome_is_never_mistaken_for_none(outcome: Outcome) -> None:
    assert report_message(Report("lease-1", outcome=outcome)).WhichOneof("outcome") is not None
