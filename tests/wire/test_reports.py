"""Of a report only what is wrong is left out, and the worker is told what and why."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from phaseline.domain.errors import InvalidArgument
from phaseline.domain.failure import Failure
from phaseline.domain.payload import Payload
from phaseline.domain.report import (
    ArtifactDraft,
    Completed,
    Failed,
    OperationReport,
    Progress,
    Released,
    Report,
)
from phaseline.v1 import artifact_pb2, execution_pb2, usage_pb2
from phaseline.v1.worker_service_pb2 import (
    PhaseCompleted,
    PhaseFailed,
    PhaseReleased,
    PhaseReport,
)
from phaseline.wire.reports import Sizes, read_report, read_reports
from tests.wire.samples import COSTLY

SIZES = Sizes(payload=100, operation_payload=10)
DAY = 86_400


def report(**fields: Any) -> PhaseReport:
    return PhaseReport(**{"lease_token": "t"} | fields)


def operation(**fields: Any) -> execution_pb2.Operation:
    return execution_pb2.Operation(**{"operation_id": "op", "operation_type": "tool"} | fields)


def data(size: int) -> execution_pb2.Payload:
    return execution_pb2.Payload(data=b"x" * size)


def artifact(name: str = "a", size: int = 1) -> artifact_pb2.Artifact:
    return artifact_pb2.Artifact(name=name, content=data(size))


def read(message: PhaseReport) -> Report:
    """Return what *message* says, which is nothing wrong."""
    told = read_report(message, SIZES)
    assert told.rejections == ()
    return told.report


def rejected(message: PhaseReport) -> list[str]:
    """Return the paths of what was left out of *message*."""
    return [each.field for each in read_report(message, SIZES).rejections]


def test_a_lease_token_alone_is_a_heartbeat() -> None:
    assert read(report()) == Report("t")


def test_all_reports_of_a_call_have_so_many_operations_at_most() -> None:
    full = [operation(operation_id=f"op{at}") for at in range(1000)]
    reports = [report(lease_token=f"t{at}", operations=full) for at in range(10)]
    assert len(read_reports(reports, SIZES)) == 10
    with pytest.raises(InvalidArgument, match="at most 10000 operations in all, have 10001"):
        read_reports([*reports, report(operations=full[:1])], SIZES)


def test_everything_is_read() -> None:
    message = report(
        sequence=7,
        operations=[operation(input=data(1), output=data(10))],
        usage_by_model=[
            usage_pb2.ModelUsage(
                model="claude-large",
                input_tokens=100,
                output_tokens=200,
                cache_creation_tokens=300,
                cache_read_tokens=400,
                cost_usd="1.5",
            )
        ],
        credits_used="0.5",
        checkpoint=data(100),
        progress=execution_pb2.Progress(percent=40, message="halfway"),
        session_id="agent-7",
        completed=PhaseCompleted(output=data(100), artifacts=[artifact(size=100)]),
    )
    assert read(message) == Report(
        lease_token="t",
        sequence=7,
        operations=(OperationReport("op", "tool", input=Payload(b"x"), output=Payload(b"x" * 10)),),
        usage_by_model=(COSTLY,),
        credits_nanos=500_000_000,
        checkpoint=Payload(b"x" * 100),
        progress=Progress(40, "halfway"),
        session_id="agent-7",
        outcome=Completed(Payload(b"x" * 100), (ArtifactDraft("a", Payload(b"x" * 100)),)),
    )


def test_no_field_is_forgotten() -> None:
    known = {field.name for field in PhaseReport.DESCRIPTOR.fields}
    outcomes = {"completed", "failed", "released"}
    renamed = {"credits_used": "credits_nanos"}
    assert {renamed.get(name, name) for name in known - outcomes} | {"outcome"} == set(
        Report.__struct_fields__
    )


def test_a_phase_may_complete_with_nothing() -> None:
    assert read(report(completed=PhaseCompleted())).outcome == Completed()


def test_a_failure_may_ask_for_a_delay() -> None:
    message = PhaseFailed(
        failure=execution_pb2.Failure(code="RATE_LIMIT"), retry_delay=Duration(seconds=DAY)
    )
    assert read(report(failed=message)).outcome == Failed(
        Failure(code="RATE_LIMIT"), timedelta(days=1)
    )


def test_a_phase_may_be_given_back() -> None:
    assert read(report(released=PhaseReleased())).outcome == Released()
    later = PhaseReleased(delay=Duration(seconds=5))
    assert read(report(released=later)).outcome == Released(timedelta(seconds=5))


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (report(sequence=-1), "sequence"),
        (report(operations=[operation(operation_id="")]), "operations[0].operation_id"),
        (report(operations=[operation(input=data(11))]), "operations[0].input"),
        (report(operations=[operation(output=data(11))]), "operations[0].output"),
        (report(usage_by_model=[usage_pb2.ModelUsage()]), "usage_by_model[0].model"),
        (report(credits_used="much"), "credits_used"),
        (report(checkpoint=data(101)), "checkpoint"),
        (report(progress=execution_pb2.Progress(percent=101)), "progress.percent"),
        (report(session_id="s" * 129), "session_id"),
        (report(completed=PhaseCompleted(output=data(101))), "completed.output"),
        (
            report(completed=PhaseCompleted(artifacts=[artifact(), artifact()])),
            "completed.artifacts[1].name",
        ),
        (
            report(completed=PhaseCompleted(artifacts=[artifact("")])),
            "completed.artifacts[0].name",
        ),
        (
            report(completed=PhaseCompleted(artifacts=[artifact(size=101)])),
            "completed.artifacts[0].content",
        ),
        (
            report(completed=PhaseCompleted(artifacts=[artifact_pb2.Artifact(name="a")])),
            "completed.artifacts[0].content",
        ),
        (
            report(completed=PhaseCompleted(artifacts=[artifact(str(n)) for n in range(101)])),
            "completed.artifacts",
        ),
        (report(failed=PhaseFailed()), "failed.failure"),
        (
            report(failed=PhaseFailed(failure=execution_pb2.Failure(code="C" * 65))),
            "failed.failure.code",
        ),
        (
            report(
                failed=PhaseFailed(
                    failure=execution_pb2.Failure(), retry_delay=Duration(seconds=DAY + 1)
                )
            ),
            "failed.retry_delay",
        ),
        (report(released=PhaseReleased(delay=Duration(seconds=DAY + 1))), "released.delay"),
    ],
)
def test_what_is_wrong_is_left_out_and_nothing_else(message: PhaseReport, path: str) -> None:
    message.MergeFrom(PhaseReport(operations=[operation(operation_id="fine")]))
    told = read_report(message, SIZES)
    assert [each.field for each in told.rejections] == [path]
    assert told.report.lease_token == "t"
    assert told.report.operations[-1].operation_id == "fine"
    part = path.partition(".")[0].partition("[")[0]
    if part in ("completed", "failed", "released"):
        assert told.report.outcome is None
    elif part in Report.__struct_fields__ and part != "operations":
        assert getattr(told.report, part) == getattr(Report("t"), part)


def test_a_rejection_says_what_is_wrong() -> None:
    (rejection,) = read_report(report(checkpoint=data(101)), SIZES).rejections
    assert rejection.reason == "PAYLOAD_TOO_LARGE"
    assert rejection.message == "must have at most 100 bytes, has 101"


def test_a_tool_that_prints_too_much_is_still_a_tool_that_was_called() -> None:
    told = read_report(report(operations=[operation(input=data(1), output=data(11))]), SIZES)
    assert told.report.operations == (OperationReport("op", "tool", input=Payload(b"x")),)


def test_usage_is_kept_whole_or_not_at_all() -> None:
    """A part of the models, stored in place of all before, would take back what was told."""
    models = [usage_pb2.ModelUsage(model="m"), usage_pb2.ModelUsage(model="n", cost_usd="?")]
    assert read_report(report(usage_by_model=models), SIZES).report.usage_by_model is None


def test_operations_past_the_thousandth_are_left_out() -> None:
    many = [operation(operation_id=str(n)) for n in range(1002)]
    told = read_report(report(operations=many), SIZES)
    assert len(told.report.operations) == 1000
    assert [each.field for each in told.rejections] == ["operations[1000]"]


def test_an_answer_does_not_grow_with_all_that_is_wrong() -> None:
    many = [operation(operation_id="") for _ in range(1000)]
    assert len(rejected(report(operations=many))) == 100


def test_reports_are_read_in_order() -> None:
    told = read_reports([report(lease_token="a"), report(lease_token="b")], SIZES)
    assert [each.report.lease_token for each in told] == ["a", "b"]


@pytest.mark.parametrize(
    "messages",
    [[], [report(lease_token=str(n)) for n in range(1001)], [report(), report()]],
    ids=["none", "too many", "twice the same lease"],
)
def test_the_number_of_reports_has_its_range(messages: list[PhaseReport]) -> None:
    with pytest.raises(InvalidArgument, match="reports must be"):
        read_reports(messages, SIZES)


@given(
    st.integers(),
    st.text(max_size=200),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**31), 2**31 - 1),
)
def test_no_report_is_too_strange_to_be_read(
    number: int, text: str, seconds: int, nanos: int
) -> None:
    """Whatever a worker sends, the reader rejects parts and never raises."""
    clipped = max(min(number, 2**63 - 1), -(2**63))
    body = text.encode(errors="replace").decode()
    span = Duration(seconds=seconds, nanos=nanos)
    message = report(
        sequence=clipped,
        operations=[
            operation(
                operation_id=body,
                tool_name=body,
                timestamp=Timestamp(seconds=seconds, nanos=nanos),
                usage=usage_pb2.ModelUsage(model=body, input_tokens=clipped, cost_usd=body),
            )
        ],
        credits_used=body,
        session_id=body,
        failed=PhaseFailed(
            failure=execution_pb2.Failure(code=body, message=body, details={body: body}),
            retry_delay=span,
        ),
    )
    told = read_report(message, SIZES)
    assert told.rejections or told.report.outcome is not None
