"""The one table between our errors and gRPC statuses, read in both directions."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from phaseline.domain.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    PhaselineError,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from phaseline.wire import received
from phaseline.wire.details import DOMAIN, details_of, message_of

DETAILS_KEY = "grpc-status-details-bin"


class _Row(NamedTuple):
    code: int
    error_of: Callable[[received.Received], PhaselineError]


TABLE: Mapping[type[PhaselineError], _Row] = {
    InvalidArgument: _Row(code_pb2.INVALID_ARGUMENT, received.invalid_argument),
    NotFound: _Row(code_pb2.NOT_FOUND, received.named(NotFound)),
    AlreadyExists: _Row(code_pb2.ALREADY_EXISTS, received.named(AlreadyExists)),
    FailedPrecondition: _Row(code_pb2.FAILED_PRECONDITION, received.failed_precondition),
    OutOfRange: _Row(code_pb2.OUT_OF_RANGE, received.plain(OutOfRange)),
    ResourceExhausted: _Row(code_pb2.RESOURCE_EXHAUSTED, received.resource_exhausted),
    Unavailable: _Row(code_pb2.UNAVAILABLE, received.plain(Unavailable)),
    DeadlineExceeded: _Row(code_pb2.DEADLINE_EXCEEDED, received.plain(DeadlineExceeded)),
    Unauthenticated: _Row(code_pb2.UNAUTHENTICATED, received.plain(Unauthenticated)),
    PermissionDenied: _Row(code_pb2.PERMISSION_DENIED, received.plain(PermissionDenied)),
    Unimplemented: _Row(code_pb2.UNIMPLEMENTED, received.plain(Unimplemented)),
    Internal: _Row(code_pb2.INTERNAL, received.plain(Internal)),
}

_ROWS: Mapping[int, _Row] = {row.code: row for row in TABLE.values()} | {
    # Codes that we never send, but gRPC and proxies do. In the first two a repeat may help.
    code_pb2.CANCELLED: TABLE[Unavailable],
    code_pb2.ABORTED: TABLE[Unavailable],
    code_pb2.UNKNOWN: TABLE[Internal],
    code_pb2.DATA_LOSS: TABLE[Internal],
}


def status_of(error: BaseException, *, request_id: str = "") -> status_pb2.Status:
    """
    Return what a client may see of *error*.

    *request_id* is told with INTERNAL, for whoever looks into the log. What is no `Exception`,
    such as a cancellation, is raised again.
    """
    if not isinstance(error, Exception):
        raise error
    ours = _shown(error, request_id)
    status = status_pb2.Status(code=_row_of(type(ours)).code, message=message_of(ours))
    for detail in details_of(ours):
        status.details.add().Pack(detail)
    return status


def error_of(error: grpc.RpcError) -> PhaselineError:
    """Return the error that a failed call stands for."""
    code = error.code().value[0]
    # Pairs in both grpc APIs; the stubs of the blocking one have lost that.
    trailers = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    for key, value in trailers:
        if key == DETAILS_KEY and isinstance(value, bytes):
            status = _parsed(value)
            # A proxy may replace the code and leave the trailer: then the code is what counts.
            if status.code == code:
                return error_of_status(status)
    return error_of_status(status_pb2.Status(code=code, message=error.details() or ""))


def error_of_status(status: status_pb2.Status) -> PhaselineError:
    """
    Return the error that *status* stands for.

    A status without our ErrorInfo was made by gRPC or a proxy. It becomes an error of the nearest
    class, its reason the name of the code.
    """
    info = received.detail_of(status, error_details_pb2.ErrorInfo)
    row = _ROWS.get(status.code, TABLE[Internal])
    if info.domain == DOMAIN:
        return row.error_of(received.Received(status, info.reason, dict(info.metadata)))
    return row.error_of(received.Received(status, _name_of(status.code), {}))


def _shown(error: Exception, request_id: str) -> PhaselineError:
    if isinstance(error, PhaselineError) and not isinstance(error, Internal):
        return error
    # Not ours, so it may hold a path, a query or a secret. The log gets it; the client doesn't.
    message = error.message if isinstance(error, Internal) else "internal error"
    return Internal(message, metadata={"request_id": request_id} if request_id else None)


def _row_of(kind: type[PhaselineError]) -> _Row:
    return next((TABLE[each] for each in kind.__mro__ if each in TABLE), TABLE[Internal])


def _parsed(trailer: bytes) -> status_pb2.Status:
    try:
        return status_pb2.Status.FromString(trailer)
    except DecodeError:
        return status_pb2.Status()


def _name_of(code: int) -> str:
    return next((each.name for each in grpc.StatusCode if each.value[0] == code), "UNKNOWN")
