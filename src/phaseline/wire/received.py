"""A status that was received, and the error of each class that it can stand for."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from phaseline.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    IllegalTransition,
    InvalidArgument,
    NotFound,
    PhaselineError,
    Reason,
    ResourceExhausted,
)

Error = TypeVar("Error", bound=PhaselineError)
Detail = TypeVar("Detail", bound=Message)
Named = TypeVar("Named", NotFound, AlreadyExists)


class Received(NamedTuple):
    """What a status says, whoever sent it. Without our ErrorInfo there is no metadata."""

    status: status_pb2.Status
    reason: str
    metadata: Mapping[str, str]

    def detail(self, kind: type[Detail]) -> Detail:
        """Return the first detail of that kind; empty if there is none that can be read."""
        return detail_of(self.status, kind)

    @property
    def retry_after(self) -> timedelta | None:
        """How long the sender wants us to wait."""
        info = self.detail(error_details_pb2.RetryInfo)
        return info.retry_delay.ToTimedelta() if info.HasField("retry_delay") else None


def detail_of(status: status_pb2.Status, kind: type[Detail]) -> Detail:
    """Return the first detail of that kind; empty if there is none that can be read."""
    for packed in status.details:
        detail = kind()
        try:
            if packed.Unpack(detail):
                return detail
        except DecodeError:
            continue
    return kind()


def plain(kind: type[Error]) -> Callable[[Received], Error]:
    """Return how to make errors of a class that has nothing of its own to tell."""

    def error_of(got: Received) -> Error:
        return kind(
            got.status.message,
            reason=got.reason,
            metadata=got.metadata,
            retry_after=got.retry_after,
        )

    return error_of


def named(kind: type[Named]) -> Callable[[Received], Named]:
    """Return how to make errors of a class that names a resource."""

    def error_of(got: Received) -> Named:
        info = got.detail(error_details_pb2.ResourceInfo)
        return kind(
            info.resource_type,
            info.resource_name,
            got.status.message,
            reason=got.reason,
            metadata=got.metadata,
        )

    return error_of


def invalid_argument(got: Received) -> InvalidArgument:
    """Make an InvalidArgument with the violations that BadRequest tells."""
    violations = [
        FieldViolation(found.field, found.description, found.reason or Reason.INVALID_FIELD)
        for found in got.detail(error_details_pb2.BadRequest).field_violations
    ]
    return InvalidArgument(
        got.status.message,
        reason=got.reason,
        violations=violations,
        metadata=got.metadata,
    )


def failed_precondition(got: Received) -> FailedPrecondition:
    """Make a FailedPrecondition, or the IllegalTransition that the metadata tells."""
    found = got.detail(error_details_pb2.PreconditionFailure).violations
    subject = found[0].subject if found else ""
    told = got.metadata
    if got.reason == Reason.INVALID_STATUS and {"resource", "status", "trigger"} <= told.keys():
        return IllegalTransition(
            told["resource"],
            told["status"],
            told["trigger"],
            subject=subject,
            message=got.status.message,
            metadata=told,
        )
    return FailedPrecondition(got.status.message, reason=got.reason, subject=subject, metadata=told)


def resource_exhausted(got: Received) -> ResourceExhausted:
    """Make a ResourceExhausted with the subject that QuotaFailure tells."""
    found = got.detail(error_details_pb2.QuotaFailure).violations
    return ResourceExhausted(
        got.status.message,
        reason=got.reason,
        subject=found[0].subject if found else "",
        metadata=got.metadata,
        retry_after=got.retry_after,
    )
