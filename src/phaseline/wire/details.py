"""What a status tells of an error besides its code, as google.rpc details of bounded size."""

from collections.abc import Iterator

from google.protobuf.message import Message
from google.rpc import error_details_pb2

from phaseline.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    PhaselineError,
    ResourceExhausted,
)

DOMAIN = "phaseline"
MAX_VIOLATIONS = 20

# A status travels in the headers, its message twice, and a client that gets more than about 8 KiB
# of them may see RESOURCE_EXHAUSTED instead. So each part has its share, in bytes: the details of
# an error stay below 4 KiB, whatever it holds.
_MESSAGE = 512
_METADATA = 1024
_VIOLATIONS = 2048
_TEXT = 256
_WORD = 64


def message_of(error: PhaselineError) -> str:
    """Return the text for people."""
    return _cut(error.message, _MESSAGE)


def details_of(error: PhaselineError) -> Iterator[Message]:
    """Yield the details of *error*, ErrorInfo first."""
    yield _error_info(error)
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_after)
        yield retry
    match error:
        case InvalidArgument() if error.violations:
            yield _bad_request(error)
        case NotFound() | AlreadyExists():
            yield _resource_info(error)
        case FailedPrecondition():
            yield _precondition_failure(error)
        case ResourceExhausted():
            yield _quota_failure(error)
        case Internal() if "request_id" in error.metadata:
            request_id = _cut(error.metadata["request_id"], _TEXT)
            yield error_details_pb2.RequestInfo(request_id=request_id)


def _error_info(error: PhaselineError) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo(reason=_cut(error.reason, _WORD), domain=DOMAIN)
    room = _METADATA
    for key, text in error.metadata.items():
        name, value = _cut(key, _WORD), _cut(text, _TEXT)
        room -= len(name.encode()) + len(value.encode()) + 8  # 8: tags and lengths
        if room < 0:
            break
        info.metadata[name] = value
    return info


def _bad_request(error: InvalidArgument) -> error_details_pb2.BadRequest:
    request = error_details_pb2.BadRequest()
    for violation in error.violations[:MAX_VIOLATIONS]:
        request.field_violations.add(
            field=_cut(violation.field, _TEXT),
            description=_cut(violation.description, _TEXT),
            reason=_cut(violation.reason, _WORD),
        )
        if request.ByteSize() > _VIOLATIONS:
            del request.field_violations[-1]
            break
    return request


def _resource_info(error: NotFound | AlreadyExists) -> error_details_pb2.ResourceInfo:
    return error_details_pb2.ResourceInfo(
        resource_type=_cut(error.resource_type, _WORD),
        resource_name=_cut(error.resource_name, _TEXT),
    )


def _precondition_failure(
    error: FailedPrecondition,
) -> error_details_pb2.PreconditionFailure:
    failure = error_details_pb2.PreconditionFailure()
    failure.violations.add(
        type=_cut(error.reason, _WORD),
        subject=_cut(error.subject, _TEXT),
        description=_cut(error.message, _TEXT),
    )
    return failure


def _quota_failure(error: ResourceExhausted) -> error_details_pb2.QuotaFailure:
    failure = error_details_pb2.QuotaFailure()
    failure.violations.add(
        subject=_cut(error.subject, _TEXT), description=_cut(error.message, _TEXT)
    )
    return failure


def _cut(text: str, limit: int) -> str:
    """Return *text* within *limit* bytes: whole characters only, and none that UTF-8 lacks."""
    return text.encode(errors="replace")[:limit].decode(errors="ignore")
