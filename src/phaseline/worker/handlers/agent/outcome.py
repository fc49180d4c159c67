"""What the end of an agent's run means for its phase."""

from __future__ import annotations

from phaseline.domain.failure import MESSAGE_LENGTH
from phaseline.domain.payload import Payload
from phaseline.worker.failures import HandlerError
from phaseline.worker.handlers.agent.reader import Fault, Success
from phaseline.worker.handlers.agent.stream import Stream
from phaseline.worker.limits import PAYLOAD_BYTES
from phaseline.worker.values import payload_of, shortened


def output_of(success: Success) -> Payload:
    """Return what the phase produces; a text that is longer than an output can be is cut."""
    return shortened(payload_of("" if success.output is None else success.output), PAYLOAD_BYTES)


def failure_of(
    fault: Fault, stream: Stream, *, exit_code: int | None = None, stderr: bytes = b""
) -> HandlerError:
    """Return why the attempt failed, with what the program complained of last."""
    details = {
        "adapter": stream.adapter.name,
        "exit_code": "" if exit_code is None else str(exit_code),
        "session_id": stream.journal.session_id,
        "unreadable_lines": str(stream.unreadable_lines or ""),
        "unknown_events": str(stream.journal.unknown_events or ""),
    }
    return HandlerError(
        _with_stderr(fault.message, stderr),
        code=fault.code,
        kind=fault.kind,
        retryable=fault.retryable,
        retry_delay=fault.retry_delay,
        details={name: value for name, value in details.items() if value},
    )


def _with_stderr(message: str, stderr: bytes) -> str:
    said = stderr.decode(errors="replace").strip()
    if not said:
        return message
    room = MESSAGE_LENGTH - len(said) - len("\n\nstderr: ")
    return f"{message[:room]}\n\nstderr: {said}"
