"""Why a phase or an execution failed, and who stopped it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

MESSAGE_LENGTH = 4096


class FailureKind(StrEnum):
    """Class of a failure."""

    ERROR = "error"  #: the work itself failed
    TIMEOUT = "timeout"  #: an attempt or the whole execution ran too long
    BUDGET_EXCEEDED = "budget_exceeded"  #: used up, or impossible to check
    WORKER_LOST = "worker_lost"  #: the lease ended without a report
    CANCELLED = "cancelled"  #: the worker stopped because it was told to
    INVALID_OUTPUT = "invalid_output"  #: the result does not match its schema


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a phase or an execution failed."""

    kind: FailureKind = FailureKind.ERROR
    #: UPPER_SNAKE, for programs to switch on.
    code: str = ""
    message: str = ""
    #: The phase that failed; empty if none did.
    phase_id: str = ""
    #: False forbids further attempts; None leaves it to the retry policy.
    retryable: bool | None = None
    details: Mapping[str, str] = {}


class Cancellation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who stopped an execution, when and why."""

    cancelled_at: datetime
    #: Subject of the caller's credentials, or "system".
    cancelled_by: str
    reason: str = ""
