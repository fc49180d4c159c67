"""What every agent's stream is read with, and what it comes to in the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

import msgspec

from phaseline.domain.failure import FailureKind
from phaseline.worker.handlers.agent.events import Event


class Success(msgspec.Struct, frozen=True):
    """The agent says that it did what it was asked for."""

    #: The final text, or what JSON can say.
    output: object = None


class Fault(msgspec.Struct, frozen=True):
    """The agent failed, or nobody knows whether it did."""

    message: str
    code: str
    kind: FailureKind = FailureKind.ERROR
    #: False forbids further attempts; None leaves it to the retry policy.
    retryable: bool | None = None
    retry_delay: timedelta = timedelta()


Verdict = Success | Fault


class Reader(Protocol):
    """Reads the stream of one run of an agent."""

    def read(self, event: Event) -> bool:
        """Take an event; return False if it is of a type that is not known."""

    def verdict(self, exit_code: int | None) -> Verdict | None:
        """
        Return what the agent says of its run, or None if it has not said anything.

        *exit_code* is that of its program, None if nobody knows.
        """


def fault_of_status(message: str, status: int | None) -> Fault:
    """Return the fault of a run that a model's vendor has ended with an HTTP status."""
    match status:
        case 408 | 409 | 429:
            return Fault(message, "AGENT_API_ERROR")
        case 401 | 403:
            return Fault(message, "AGENT_NOT_AUTHORIZED", retryable=False)
        case int() if 400 <= status < 500:
            # The same request would be refused again.
            return Fault(message, "AGENT_API_ERROR", retryable=False)
        case _:
            return Fault(message, "AGENT_API_ERROR")
