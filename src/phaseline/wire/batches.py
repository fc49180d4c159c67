"""What starts many executions at once."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from phaseline.domain.errors import FieldViolation, InvalidArgument
from phaseline.domain.ids import ID_LENGTH
from phaseline.domain.start import StartRequest
from phaseline.v1 import execution_service_pb2
from phaseline.wire.reading import Checks
from phaseline.wire.starts import read_start


class AskedBatch(msgspec.Struct, frozen=True):
    """A batch of starts, or why one cannot be read; then the others are wanted all the same."""

    starts: tuple[StartRequest | InvalidArgument, ...]
    batch_id: str
    allow_partial: bool
    request_id: str

    @property
    def readable(self) -> tuple[StartRequest, ...]:
        """The starts that can be tried."""
        return tuple(start for start in self.starts if isinstance(start, StartRequest))


def read_batch(
    message: execution_service_pb2.ExecuteBatchRequest, traceparent: str = ""
) -> AskedBatch:
    """Read an ExecuteBatchRequest; raise `InvalidArgument`, unless some may fail."""
    checks = Checks()
    request_id = checks.text("request_id", message.request_id, ID_LENGTH)
    starts = tuple(_read(start, traceparent) for start in message.executions)
    if not message.allow_partial:
        checks.found.extend(_violations(starts))
    checks.conclude()
    return AskedBatch(starts, message.batch_id, message.allow_partial, request_id)


def _read(
    message: execution_service_pb2.ExecuteRequest, traceparent: str
) -> StartRequest | InvalidArgument:
    if message.validate_only:
        return InvalidArgument.of("validate_only", "must not be set in a batch")
    try:
        return read_start(message, traceparent)
    except InvalidArgument as error:
        return error


def _violations(starts: tuple[StartRequest | InvalidArgument, ...]) -> Iterator[FieldViolation]:
    for at, start in enumerate(starts):
        if isinstance(start, InvalidArgument):
            yield from start.under(f"executions[{at}]").violations
