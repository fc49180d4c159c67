"""What workers report. A part that is invalid is left out, and keeps no other from being stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import msgspec

from phaseline.domain.errors import InvalidArgument
from phaseline.domain.ids import ID_LENGTH
from phaseline.domain.payload import Payload
from phaseline.domain.report import (
    ArtifactDraft,
    Completed,
    Failed,
    OperationReport,
    Outcome,
    Rejection,
    Released,
    Report,
)
from phaseline.v1 import artifact_pb2, execution_pb2, worker_service_pb2
from phaseline.wire.operations import read_operation
from phaseline.wire.payloads import read_failure, read_payload, read_progress
from phaseline.wire.reading import Checks
from phaseline.wire.usage import read_usage_by_model

T = TypeVar("T")

_MOST_REPORTS = 1000
_MOST_OPERATIONS = 1000
# Of all reports in one call. They are one transaction, and keep everybody else waiting.
_MOST_OPERATIONS_AT_ONCE = 10_000
_MOST_ARTIFACTS = 100
_MOST_REJECTIONS = 100
_NAME_LENGTH = 256
_LONGEST_DELAY = timedelta(days=1)


class Sizes(msgspec.Struct, frozen=True):
    """How many bytes a payload may have inline."""

    payload: int = 1024 * 1024
    operation_payload: int = 64 * 1024


class Told(msgspec.Struct, frozen=True):
    """A report, and what was left out of it."""

    report: Report
    rejections: tuple[Rejection, ...] = ()


def read_reports(
    messages: Sequence[worker_service_pb2.PhaseReport], sizes: Sizes
) -> tuple[Told, ...]:
    """Read each report. Raises `InvalidArgument` for numbers only: of reports, of operations."""
    if not 1 <= len(messages) <= _MOST_REPORTS:
        raise InvalidArgument.of(
            "reports", f"must be 1 to {_MOST_REPORTS}, there are {len(messages)}"
        )
    if len({message.lease_token for message in messages}) < len(messages):
        raise InvalidArgument.of("reports", "must be at most one for each lease_token")
    operations = sum(len(message.operations) for message in messages)
    if operations > _MOST_OPERATIONS_AT_ONCE:
        raise InvalidArgument.of(
            "reports",
            f"must have at most {_MOST_OPERATIONS_AT_ONCE} operations in all, have {operations}",
        )
    return tuple(read_report(message, sizes) for message in messages)


def read_report(message: worker_service_pb2.PhaseReport, sizes: Sizes) -> Told:
    """Read a report."""
    parts = _Parts(sizes)
    report = Report(
        lease_token=message.lease_token,
        sequence=parts.part("sequence", _read_sequence, message.sequence) or 0,
        operations=parts.operations(message.operations) if message.operations else (),
        usage_by_model=(
            parts.part("", read_usage_by_model, message.usage_by_model)
            if message.usage_by_model
            else None
        ),
        credits_nanos=(
            parts.part("credits_used", _read_credits, message.credits_used)
            if message.credits_used
            else None
        ),
        checkpoint=(
            parts.part("checkpoint", read_payload, message.checkpoint, sizes.payload)
            if message.HasField("checkpoint")
            else None
        ),
        progress=(
            parts.part("progress", read_progress, message.progress)
            if message.HasField("progress")
            else None
        ),
        session_id=parts.part("session_id", _read_session, message.session_id) or "",
        outcome=parts.outcome(message),
    )
    return Told(report, parts.rejections() if parts.found else ())


class _Parts(Checks):
    """Reads the parts of one report, and leaves out those with which something is wrong."""

    __slots__ = ("_sizes",)

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self._sizes = sizes

    def rejections(self) -> tuple[Rejection, ...]:
        """Return what was left out, and why."""
        return tuple(
            Rejection(each.field, each.reason, each.description)
            for each in self.found[:_MOST_REJECTIONS]
        )

    def part(self, field: str, read: Callable[..., T], *given: object) -> T | None:
        """Return what *read* makes of *given*; None if anything is wrong with it."""
        known = len(self.found)
        value = read(*given, self)
        if len(self.found) == known:
            return value
        self.within(known, field)
        return None

    def operations(
        self, messages: Sequence[execution_pb2.Operation]
    ) -> tuple[OperationReport, ...]:
        if len(messages) > _MOST_OPERATIONS:
            self.note(
                f"operations[{_MOST_OPERATIONS}]",
                f"must be the last, there are {len(messages)}: what follows is left out",
            )
        kept = []
        for at, message in enumerate(messages[:_MOST_OPERATIONS]):
            known = len(self.found)
            operation = read_operation(message, self)
            if len(self.found) > known:
                self.within(known, "operations", at)
            else:
                kept.append(self._with_payloads(at, message, operation))
        return tuple(kept)

    def outcome(self, message: worker_service_pb2.PhaseReport) -> Outcome | None:
        """Return how the attempt ended; an outcome is one part, since it is stored once."""
        match message.WhichOneof("outcome"):
            case "completed":
                return self.part("completed", self._read_completed, message.completed)
            case "failed":
                return self.part("failed", _read_failed, message.failed)
            case "released":
                return self.part("released", _read_released, message.released)
            case _:
                return None

    def _with_payloads(
        self, at: int, message: execution_pb2.Operation, operation: OperationReport
    ) -> OperationReport:
        # Parts of their own: a tool that prints too much is still a tool that was called.
        longest, given = self._sizes.operation_payload, dict[str, Payload | None]()
        if message.HasField("input"):
            given["input"] = self.part(
                f"operations[{at}].input", read_payload, message.input, longest
            )
        if message.HasField("output"):
            given["output"] = self.part(
                f"operations[{at}].output", read_payload, message.output, longest
            )
        return msgspec.structs.replace(operation, **given) if given else operation

    def _read_completed(
        self, message: worker_service_pb2.PhaseCompleted, checks: Checks
    ) -> Completed:
        output, known = None, len(checks.found)
        if message.HasField("output"):
            output = read_payload(message.output, self._sizes.payload, checks)
            checks.within(known, "output")
        if len(message.artifacts) > _MOST_ARTIFACTS:
            checks.note(
                "artifacts",
                f"must be at most {_MOST_ARTIFACTS}, there are {len(message.artifacts)}",
            )
            return Completed(output)
        return Completed(output, self._read_artifacts(message.artifacts, checks))

    def _read_artifacts(
        self, messages: Sequence[artifact_pb2.Artifact], checks: Checks
    ) -> tuple[ArtifactDraft, ...]:
        drafts: dict[str, ArtifactDraft] = {}
        for at, message in enumerate(messages):
            known = len(checks.found)
            name = checks.text("name", message.name, _NAME_LENGTH, required=True)
            if name in drafts:
                checks.note("name", f"must be unique in the phase, {name!r} is there already")
            content = self._read_content(message, checks)
            drafts[name] = ArtifactDraft(name, content)
            checks.within(known, "artifacts", at)
        return tuple(drafts.values())

    def _read_content(self, message: artifact_pb2.Artifact, checks: Checks) -> Payload:
        if message.content.WhichOneof("source") is None:
            checks.note("content", "is required")
        known = len(checks.found)
        content = read_payload(message.content, self._sizes.payload, checks)
        checks.within(known, "content")
        return content


def _read_sequence(value: int, checks: Checks) -> int:
    if value < 0:
        checks.note("", f"must not be negative, is {value}")
    return value


def _read_credits(value: str, checks: Checks) -> int:
    return checks.amount("", value)


def _read_session(value: str, checks: Checks) -> str:
    return checks.text("", value, ID_LENGTH)


def _read_failed(message: worker_service_pb2.PhaseFailed, checks: Checks) -> Failed:
    if not message.HasField("failure"):
        checks.note("failure", "is required")
    known = len(checks.found)
    failure = read_failure(message.failure, checks)
    checks.within(known, "failure")
    if not message.HasField("retry_delay"):
        return Failed(failure)
    return Failed(failure, checks.span("retry_delay", message.retry_delay, most=_LONGEST_DELAY))


def _read_released(message: worker_service_pb2.PhaseReleased, checks: Checks) -> Released:
    if not message.HasField("delay"):
        return Released()
    return Released(checks.span("delay", message.delay, most=_LONGEST_DELAY))
