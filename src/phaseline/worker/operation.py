"""An operation while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar, Token
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from phaseline.domain.money import parse_amount
from phaseline.domain.report import OperationReport
from phaseline.domain.usage import ModelUsage
from phaseline.worker.failures import AttemptStopped
from phaseline.worker.limits import ERROR_LENGTH, OPERATION_PAYLOAD_BYTES
from phaseline.worker.values import payload_of, shortened

#: The operation inside which the running code is; each task and each thread has its own.
_enclosing: ContextVar[str] = ContextVar("phaseline_operation_id", default="")


class Operation:
    """
    A context manager, plain or async, that records an operation when it begins and as it ended.

    It ended well unless an exception leaves the block or `fail` was called. Operations that begin
    inside the block become its children.
    """

    def __init__(
        self,
        report: OperationReport,
        record: Callable[[OperationReport], None],
        now: Callable[[], datetime],
    ) -> None:
        self._report = report
        self._record = record
        self._now = now
        self._error_message = ""
        self._token: Token[str] | None = None

    @property
    def operation_id(self) -> str:
        return self._report.operation_id

    def returned(self, output: object) -> None:
        """Say what it returned: text, bytes, a Payload, or what JSON can say. Cut at 64 KiB."""
        payload = shortened(payload_of(output), OPERATION_PAYLOAD_BYTES)
        self._report = replace(self._report, output=payload)

    def fail(self, error_message: str) -> None:
        """Say that it failed, although no exception leaves the block."""
        self._error_message = error_message or "failed"

    def usage(
        self,
        model: str,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_creation_tokens: int = 0,
        cache_read_tokens: int = 0,
        cost_usd: Decimal | str | None = None,
    ) -> None:
        """Show what it consumed. Totals come from `Context.usage` alone."""
        usage = model_usage(
            model,
            (input_tokens, output_tokens, cache_creation_tokens, cache_read_tokens),
            cost_usd,
        )
        self._report = replace(self._report, usage=usage)

    def __enter__(self) -> Self:
        parent = self._report.parent_operation_id or _enclosing.get()
        self._report = replace(self._report, timestamp=self._now(), parent_operation_id=parent)
        self._token = _enclosing.set(self.operation_id)
        self._record(self._report)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._token is not None:
            _enclosing.reset(self._token)
        if error is not None:
            self._error_message = _said_by(error)
        self._record(
            replace(
                self._report,
                success=not self._error_message,
                completed_at=self._now(),
                error_message=self._error_message[:ERROR_LENGTH],
            )
        )

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)


def model_usage(
    model: str, tokens: tuple[int, int, int, int], cost_usd: Decimal | str | None
) -> ModelUsage:
    """Return usage from what a handler says. Raises `ValueError` for what cannot be."""
    if not model:
        raise ValueError("usage needs the name of a model")
    if min(tokens) < 0:
        raise ValueError(f"token counts cannot be negative: {tokens}")
    return ModelUsage(model, *tokens, cost_nanos=None if cost_usd is None else nanos(cost_usd))


def nanos(amount: Decimal | str) -> int:
    """Return an exact amount in nanos. Raises `ValueError` if it is none."""
    return parse_amount(format(amount, "f") if isinstance(amount, Decimal) else amount)


def _said_by(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError | AttemptStopped):
        return "stopped"
    return str(error) or type(error).__name__
