"""Payloads, failures and what else hangs on a phase, as messages and back."""

from __future__ import annotations

from phaseline.domain.errors import Reason
from phaseline.domain.failure import MESSAGE_LENGTH, Cancellation, Failure, FailureKind
from phaseline.domain.payload import Payload
from phaseline.domain.report import Progress
from phaseline.v1 import execution_pb2
from phaseline.wire.enums import FAILURE_KIND, FAILURE_KINDS
from phaseline.wire.reading import Checks
from phaseline.wire.scalars import timestamp

_CODE_LENGTH = 64
_MOST_DETAILS = 16
_SHORT_TEXT = 256
_URI_LENGTH = 2048
_MEDIA_TYPE_LENGTH = 128


def payload_message(payload: Payload) -> execution_pb2.Payload:
    """Return *payload* as a message."""
    if payload.data is not None:
        return execution_pb2.Payload(data=payload.data, media_type=payload.media_type)
    if payload.uri:
        return execution_pb2.Payload(uri=payload.uri, media_type=payload.media_type)
    return execution_pb2.Payload(media_type=payload.media_type)


def payload_of(message: execution_pb2.Payload) -> Payload:
    """Return the payload in *message*, whatever its size."""
    if message.WhichOneof("source") == "data":
        return Payload(data=message.data, media_type=message.media_type)
    return Payload(uri=message.uri, media_type=message.media_type)


def read_payload(message: execution_pb2.Payload, longest: int, checks: Checks) -> Payload:
    """Read a payload of at most *longest* bytes inline."""
    payload = payload_of(message)
    if payload.data is not None and len(payload.data) > longest:
        checks.note(
            "",
            f"must have at most {longest} bytes, has {len(payload.data)}",
            Reason.PAYLOAD_TOO_LARGE,
        )
    checks.text("uri", payload.uri, _URI_LENGTH)
    checks.text("media_type", payload.media_type, _MEDIA_TYPE_LENGTH)
    return payload


def failure_message(failure: Failure, phase_id: str = "") -> execution_pb2.Failure:
    """Return *failure* as a message; *phase_id* is the phase that failed unless it says so."""
    return execution_pb2.Failure(
        kind=FAILURE_KIND[failure.kind],
        code=failure.code,
        message=failure.message,
        phase_id=failure.phase_id or phase_id,
        retryable=failure.retryable,
        details=failure.details,
    )


def read_failure(message: execution_pb2.Failure, checks: Checks) -> Failure:
    """Read why an attempt failed; a text that is too long is cut."""
    if len(message.details) > _MOST_DETAILS:
        checks.note("details", f"must be at most {_MOST_DETAILS}, there are {len(message.details)}")
    for key, value in message.details.items():
        checks.text(f"details[{key[:64]}]", key, _SHORT_TEXT, required=True)
        checks.text(f"details[{key[:64]}]", value, _SHORT_TEXT)
    return Failure(
        kind=checks.choice("kind", message.kind, FAILURE_KINDS, FailureKind.ERROR),
        code=checks.text("code", message.code, _CODE_LENGTH),
        message=cut(message.message, MESSAGE_LENGTH),
        retryable=message.retryable if message.HasField("retryable") else None,
        details=dict(message.details),
    )


def cancellation_message(cancellation: Cancellation) -> execution_pb2.Cancellation:
    """Return *cancellation* as a message."""
    return execution_pb2.Cancellation(
        cancelled_at=timestamp(cancellation.cancelled_at),
        cancelled_by=cancellation.cancelled_by,
        reason=cancellation.reason,
    )


def progress_message(progress: Progress) -> execution_pb2.Progress:
    """Return *progress* as a message."""
    return execution_pb2.Progress(percent=progress.percent, message=progress.message)


def read_progress(message: execution_pb2.Progress, checks: Checks) -> Progress:
    """Read what a running phase says of itself; a text that is too long is cut."""
    return Progress(
        checks.number("percent", message.percent, least=0, most=100),
        cut(message.message, _SHORT_TEXT),
    )


def cut(text: str, longest: int) -> str:
    """Return at most *longest* characters of *text*, without those that no database takes."""
    return text[:longest].replace("\0", "")
