"""How a handler says that it failed, and what its exceptions mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from phaseline.domain.failure import MESSAGE_LENGTH, Failure, FailureKind
from phaseline.domain.report import Failed
from phaseline.worker.limits import CODE_LENGTH, DETAIL_LENGTH
from phaseline.worker.values import plain


class HandlerError(Exception):
    """
    Raise it in a handler to fail the attempt in a way that callers can act on.

    *code* is UPPER_SNAKE, for programs. *retryable* False forbids further attempts, None leaves it
    to the retry policy. *retry_delay* is the shortest delay before the next one.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "HANDLER_ERROR",
        retryable: bool | None = None,
        retry_delay: timedelta = timedelta(),
        details: Mapping[str, str] | None = None,
        kind: FailureKind = FailureKind.ERROR,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.retryable = retryable
        self.retry_delay = retry_delay
        self.details = dict(details or {})
        self.kind = kind


class AttemptStopped(Exception):
    """Raised by `Context.raise_if_cancelled`: the attempt was told to stop. Let it pass."""


def failed_by(error: BaseException) -> Failed:
    """Return the outcome of an attempt whose handler raised *error*."""
    if isinstance(error, HandlerError):
        return failed(
            error.message,
            code=error.code,
            kind=error.kind,
            retryable=error.retryable,
            retry_delay=error.retry_delay,
            details=error.details,
        )
    return failed(str(error) or type(error).__name__, code=upper_snake(type(error).__name__))


def failed(
    message: str,
    *,
    code: str,
    kind: FailureKind = FailureKind.ERROR,
    retryable: bool | None = None,
    retry_delay: timedelta = timedelta(),
    details: Mapping[str, str] | None = None,
) -> Failed:
    """Return a failed outcome with everything cut to the length that the contract allows."""
    failure = Failure(
        kind=kind,
        code=plain(code, CODE_LENGTH),
        message=plain(message, MESSAGE_LENGTH),
        retryable=retryable,
        details={
            plain(key, DETAIL_LENGTH): plain(value, DETAIL_LENGTH)
            for key, value in (details or {}).items()
        },
    )
    return Failed(failure, retry_delay)


def upper_snake(name: str) -> str:
    """Return a class name as a code: "HTTPStatusError" is HTTP_STATUS_ERROR."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"\W", "_", words, flags=re.ASCII).upper().strip("_")
