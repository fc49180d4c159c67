"""Every error has a status, and comes back as itself."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from phaseline.domain import errors as vocabulary
from phaseline.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    IllegalTransition,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PhaselineError,
    Reason,
    ResourceExhausted,
    Unavailable,
)
from phaseline.wire.status import DETAILS_KEY, TABLE, error_of, error_of_status, status_of


def _all_classes(top: type[PhaselineError] = PhaselineError) -> Iterator[type[PhaselineError]]:
    for kind in top.__subclasses__():
        # Others make classes of their own, which never leave their process.
        if kind.__module__ != vocabulary.__name__:
            continue
        yield kind
        yield from _all_classes(kind)


ALL_CLASSES = list(_all_classes())

# Those whose constructor asks for more than a message.
SAMPLES: dict[type[PhaselineError], PhaselineError] = {
    InvalidArgument: InvalidArgument.all_of(
        [
            FieldViolation("inputs.topic", "is required", Reason.MISSING_INPUT),
            FieldViolation("page_size", "must be 1 to 100, is 500"),
        ],
        metadata={"input": "500"},
    ),
    NotFound: NotFound("execution", "x-1", metadata={"hint": "purged"}),
    AlreadyExists: AlreadyExists("execution", "x-1"),
    FailedPrecondition: FailedPrecondition(
        "budget of 5 USD is used up",
        reason=Reason.BUDGET_EXCEEDED,
        subject="x-1",
        metadata={"max_budget_usd": "5"},
    ),
    IllegalTransition: IllegalTransition("execution", "completed", "pause", subject="x-1"),
    ResourceExhausted: ResourceExhausted(
        "too many requests",
        reason=Reason.RATE_LIMITED,
        subject="workspace:default",
        retry_after=timedelta(milliseconds=250),
    ),
}


def sample(kind: type[PhaselineError]) -> PhaselineError:
    if kind in SAMPLES:
        return SAMPLES[kind]
    return kind("it is so", metadata={"a": "b"}, retry_after=timedelta(seconds=1.5))


def facts(error: PhaselineError) -> dict[str, object]:
    return {"class": type(error), **vars(error)}


def failed_call(
    code: grpc.StatusCode, details: str = "", status: status_pb2.Status | None = None
) -> grpc.aio.AioRpcError:
    trailers = grpc.aio.Metadata()
    if status is not None:
        trailers.add(DETAILS_KEY, status.SerializeToString())
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details)


@pytest.mark.parametrize("kind", [each for each in ALL_CLASSES if each is not Internal])
def test_an_error_comes_back_as_itself(kind: type[PhaselineError]) -> None:
    error = sample(kind)
    assert facts(error_of_status(status_of(error))) == facts(error)


@pytest.mark.parametrize("kind", ALL_CLASSES)
def test_every_class_has_a_status(kind: type[PhaselineError]) -> None:
    assert any(each in TABLE for each in kind.__mro__)
    assert status_of(sample(kind)).code != code_pb2.OK


def test_no_two_classes_share_a_code() -> None:
    codes = [row.code for row in TABLE.values()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_survives_the_wire(reason: Reason) -> None:
    error = FailedPrecondition("it is so", reason=reason)
    assert error_of_status(status_of(error)).reason == reason


def test_every_status_carries_our_error_info() -> None:
    info = error_details_pb2.ErrorInfo()
    assert status_of(NotFound("phase", "plan")).details[0].Unpack(info)
    assert (info.domain, info.reason) == ("phaseline", "PHASE_NOT_FOUND")


def test_the_text_of_an_unknown_exception_stays_here() -> None:
    status = status_of(OSError("/srv/secret is full"), request_id="r-1")
    assert (status.code, status.message) == (code_pb2.INTERNAL, "internal error")
    assert b"secret" not in status.SerializeToString()


def test_an_internal_error_names_the_request_for_the_log() -> None:
    status = status_of(ZeroDivisionError(), request_id="r-1")
    info = error_details_pb2.RequestInfo()
    assert any(each.Unpack(info) for each in status.details)
    assert info.request_id == "r-1"
    error = error_of_status(status)
    assert isinstance(error, Internal)
    assert error.metadata == {"request_id": "r-1"}


def test_other_errors_do_not_carry_the_request() -> None:
    assert "r-1" not in str(status_of(NotFound("phase", "plan"), request_id="r-1"))


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
def test_a_cancellation_passes(error: BaseException) -> None:
    with pytest.raises(type(error)):
        status_of(error)


def test_at_most_twenty_violations_are_told() -> None:
    error = InvalidArgument.all_of([FieldViolation(f"f{n}", "is wrong") for n in range(50)])
    back = error_of_status(status_of(error))
    assert [each.field for each in back.violations] == [f"f{n}" for n in range(20)]
    assert back.message.endswith("and 47 more")


def test_long_violations_and_facts_have_their_share() -> None:
    long = "x" * 1000
    error = InvalidArgument.all_of(
        [FieldViolation(long, long, long)] * 20, metadata={f"{n}{long}": long for n in range(20)}
    )
    status = status_of(error)
    assert sum(each.ByteSize() for each in status.details) <= 4096
    back = error_of_status(status)
    assert (len(back.violations), len(back.metadata)) == (3, 3)
    assert back.violations[0].field == "x" * 256


texts = st.text(max_size=3000)
facts_told = st.dictionaries(texts, texts, max_size=30)


@st.composite
def errors(draw: st.DrawFn) -> PhaselineError:
    text, told = draw(texts), draw(facts_told)
    wait = draw(st.none() | st.timedeltas(timedelta(0), timedelta(days=1)))
    violations = draw(st.lists(st.builds(FieldViolation, texts, texts, texts), max_size=40))
    return draw(
        st.sampled_from(
            [
                InvalidArgument(text, reason=text, violations=violations, metadata=told),
                NotFound(text, text, text, metadata=told),
                IllegalTransition(text, text, text, subject=text, metadata=told),
                ResourceExhausted(text, reason=text, subject=text, metadata=told, retry_after=wait),
                Unavailable(text, metadata=told, retry_after=wait),
                Internal(text, metadata=told),
            ]
        )
    )


@given(errors())
def test_a_status_stays_small_whatever_the_error_holds(error: PhaselineError) -> None:
    status = status_of(error, request_id=error.message)
    assert len(status.message.encode()) <= 512
    assert sum(each.ByteSize() for each in status.details) <= 4096
    assert type(error_of_status(status)) in {type(error), FailedPrecondition}


def test_a_cut_text_keeps_whole_characters() -> None:
    status = status_of(OutOfRange("x" + "é" * 300))
    assert status.message == "x" + "é" * 255


def test_a_path_that_is_no_text_can_be_told() -> None:
    assert status_of(OutOfRange("\udcff is gone")).message == "? is gone"


def test_a_failed_call_becomes_our_error() -> None:
    status = status_of(NotFound("execution", "x-1"))
    error = error_of(failed_call(grpc.StatusCode.NOT_FOUND, "there is no", status))
    assert isinstance(error, NotFound)
    assert error.resource_name == "x-1"


def test_a_replaced_code_wins_over_the_trailer() -> None:
    status = status_of(NotFound("execution", "x-1"))
    error = error_of(failed_call(grpc.StatusCode.UNAVAILABLE, "no upstream", status))
    assert isinstance(error, Unavailable)
    assert (error.reason, error.message) == ("UNAVAILABLE", "no upstream")


@pytest.mark.parametrize(
    "code", [each for each in grpc.StatusCode if each is not grpc.StatusCode.OK]
)
def test_a_status_that_is_not_ours_becomes_the_nearest_class(code: grpc.StatusCode) -> None:
    error = error_of(failed_call(code, "said the proxy"))
    assert (error.reason, error.message) == (code.name, "said the proxy")
    known = {row.code for row in TABLE.values()}
    if code.value[0] in known:
        assert status_of(error).code == code.value[0]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.CANCELLED, Unavailable),
        (grpc.StatusCode.ABORTED, Unavailable),
        (grpc.StatusCode.UNKNOWN, Internal),
        (grpc.StatusCode.DATA_LOSS, Internal),
    ],
)
def test_a_code_that_we_never_send_has_a_nearest_class(
    code: grpc.StatusCode, kind: type[PhaselineError]
) -> None:
    assert type(error_of(failed_call(code))) is kind


def test_the_error_info_of_someone_else_is_not_ours() -> None:
    status = status_pb2.Status(code=code_pb2.NOT_FOUND)
    info = error_details_pb2.ErrorInfo(reason="EXECUTION_NOT_FOUND", domain="elsewhere.dev")
    status.details.add().Pack(info)
    assert error_of_status(status).reason == "NOT_FOUND"


def test_a_proxy_may_say_how_long_to_wait() -> None:
    status = status_pb2.Status(code=code_pb2.UNAVAILABLE)
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay={"seconds": 3}))
    assert error_of_status(status).retry_after == timedelta(seconds=3)


def test_a_newer_server_may_give_reasons_that_we_do_not_know() -> None:
    status = status_of(FailedPrecondition("it is so", reason="MOON_IS_FULL"))
    assert error_of_status(status).reason == "MOON_IS_FULL"


def test_a_code_of_the_future_is_internal() -> None:
    assert type(error_of_status(status_pb2.Status(code=99))) is Internal


def test_details_that_cannot_be_read_are_left_out() -> None:
    status = status_of(NotFound("execution", "x-1"))
    status.details[0].value = b"\xff\xff"
    error = error_of_status(status)
    assert isinstance(error, NotFound)
    assert error.reason == "NOT_FOUND"


def test_a_second_detail_of_a_kind_stands_in_for_one_that_cannot_be_read() -> None:
    status = status_of(NotFound("execution", "x-1"))
    status.details.add().CopyFrom(status.details[0])
    status.details[0].value = b"\n\x01X\xff"
    assert error_of_status(status).reason == "EXECUTION_NOT_FOUND"


def test_a_trailer_that_cannot_be_read_leaves_the_code() -> None:
    trailers = grpc.aio.Metadata((DETAILS_KEY, b"\xff\xff"))
    failed = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, None, trailers, "gone")
    assert (type(error_of(failed)), error_of(failed).message) == (NotFound, "gone")


def test_a_call_that_never_reached_a_server_has_no_trailers() -> None:
    failed = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, None, None, "refused")
    assert isinstance(error_of(failed), Unavailable)
