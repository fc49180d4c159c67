"""Calls a handler and makes an outcome of whatever comes of it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from contextlib import AbstractContextManager
from typing import cast

import structlog

from phaseline import tracing
from phaseline.domain.report import Completed, Outcome
from phaseline.worker.attempt import Attempt
from phaseline.worker.context import StopReason
from phaseline.worker.failures import AttemptStopped, HandlerError, failed, failed_by
from phaseline.worker.limits import PAYLOAD_BYTES
from phaseline.worker.registry import Handler
from phaseline.worker.threads import in_daemon_thread
from phaseline.worker.values import payload_of

log = structlog.stdlib.get_logger(__name__)


async def outcome_of(handler: Handler | None, attempt: Attempt) -> Outcome:
    """
    Return how the attempt ends that *handler* runs.

    Raises only `CancelledError`, when it is the caller that is cancelled and not the attempt.
    """
    if attempt.context.cancelled:
        return attempt.stopped()
    if handler is None:
        name = attempt.assignment.handler
        return failed(f"this worker has no handler {name!r}", code="UNKNOWN_HANDLER")
    try:
        with _span(attempt):
            value = await _call(handler, attempt)
    except asyncio.CancelledError:
        if attempt.context.stop_reason is None and _is_cancelled():
            raise
        return _ended_by(AttemptStopped("the handler cancelled itself"), attempt)
    # SystemExit too: a handler that calls sys.exit() ends itself, not the worker of the others.
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the worker loop's edge
        return _ended_by(error, attempt)
    finally:
        attempt.interrupt = None
    if attempt.context.stop_reason is StopReason.TIMED_OUT:
        return attempt.stopped()
    return _completed(value, attempt)


def _span(attempt: Attempt) -> AbstractContextManager[None]:
    given = attempt.assignment
    return tracing.span(
        f"phase {given.handler}",
        traceparent=given.traceparent,
        execution_id=given.execution_id,
        phase_id=given.phase_id,
        attempt=given.attempt,
    )


async def _call(handler: Handler, attempt: Attempt) -> object:
    context = attempt.context
    if handler.is_async:
        task = asyncio.current_task()
        assert task is not None
        attempt.interrupt = task.cancel
        return await cast("Awaitable[object]", handler.function(context))
    value = await in_daemon_thread(
        lambda: handler.function(context), name=f"phaseline-{context.phase_id}"
    )
    return await value if inspect.isawaitable(value) else value


def _ended_by(error: BaseException, attempt: Attempt) -> Outcome:
    if attempt.context.cancelled:
        return attempt.stopped()
    given = attempt.assignment
    log.warning(
        "attempt failed",
        execution_id=given.execution_id,
        phase_id=given.phase_id,
        attempt=given.attempt,
        error=str(error),
        # Where a handler fails on purpose, the stack says nothing.
        exc_info=None if isinstance(error, HandlerError) else error,
    )
    return failed_by(error)


def _completed(value: object, attempt: Attempt) -> Outcome:
    try:
        output = None if value is None else payload_of(value)
    except (TypeError, ValueError) as error:
        return failed(f"the output is no JSON: {error}", code="INVALID_OUTPUT", retryable=False)
    if output is not None and output.size > PAYLOAD_BYTES:
        return failed(
            f"the output has {output.size} bytes and can have {PAYLOAD_BYTES}",
            code="PAYLOAD_TOO_LARGE",
            retryable=False,
        )
    return Completed(output, attempt.context.artifacts)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
