"""What a program tells of itself while it runs, as JSON lines in a file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec.structs import asdict, replace

from phaseline.domain.report import OperationReport
from phaseline.domain.usage import ModelUsage
from phaseline.worker.context import Context
from phaseline.worker.operation import model_usage
from phaseline.worker.values import payload_of, plain

_LOOK_EVERY = 0.075
_CHUNK = 64 * 1024
#: Read at a time, so that a program that tells much does not hold up the others.
_AT_A_TIME = 16 * _CHUNK
_LONGEST_LINE = 1024 * 1024
_SHOWN = 200


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _Progress(_Strict, frozen=True):
    percent: float
    message: str | None = None


class _Usage(_Strict, frozen=True):
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_tokens: int = 0
    cache_read_tokens: int = 0
    cost_usd: Decimal | None = None


class _Operation(_Strict, frozen=True):
    operation_id: str
    operation_type: str | None = None
    parent_operation_id: str | None = None
    tool_name: str | None = None
    tool_use_id: str | None = None
    success: bool | None = None
    timestamp: datetime | None = None
    completed_at: datetime | None = None
    error_message: str | None = None
    usage: _Usage | None = None
    input: object = None
    output: object = None


class _Line(_Strict, frozen=True):
    progress: _Progress | None = None
    operation: _Operation | None = None
    usage: _Usage | None = None
    credits_used: Decimal | None = None
    session_id: str | None = None


_decoder = msgspec.json.Decoder(_Line)


class ReportFile:
    """
    The file that a program appends to. What it says of the attempt goes to *context*.

    Lines that make no sense are counted, and otherwise passed over: a program that talks nonsense
    may still do its work well.
    """

    def __init__(self, path: Path, context: Context, parent_operation_id: str) -> None:
        self.malformed = 0
        self.first_malformed = ""
        self._path = path
        self._context = context
        self._parent_operation_id = parent_operation_id
        self._fd = -1
        self._rest = b""
        self._is_too_long = False
        self._going_on: dict[str, _Operation] = {}

    def open(self) -> None:
        """Open the file, which must be there. Blocks."""
        # A local file, mostly in memory: to look there each time by a thread would cost more.
        self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the file, if it was opened."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Read what is appended while the block runs."""
        self._look_later()
        try:
            yield
        finally:
            self._timer.cancel()

    async def read_rest(self) -> None:
        """Read to the end; a last line may lack its end."""
        while self._read_some():  # noqa: ASYNC110 - lets others run between the lots
            await asyncio.sleep(0)
        if self._rest and not self._is_too_long:
            self._take(self._rest)
        self._rest = b""

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look)

    def _look(self) -> None:
        self._read_some()
        self._look_later()

    def _read_some(self) -> bool:
        """Read what is there, up to some amount; return whether there may be more."""
        for _ in range(_AT_A_TIME // _CHUNK):
            chunk = os.read(self._fd, _CHUNK)
            if not chunk:
                return False
            self._split(chunk)
        return True

    def _split(self, chunk: bytes) -> None:
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            whole, self._rest = self._rest + line, b""
            if not self._is_too_long:
                self._take(whole)
            self._is_too_long = False
        self._rest += rest
        if len(self._rest) > _LONGEST_LINE:
            if not self._is_too_long:
                self._note(self._rest)
            self._rest, self._is_too_long = b"", True

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            self._tell(_decoder.decode(line))
        except (msgspec.MsgspecError, ValueError, TypeError):
            self._note(line)

    def _note(self, line: bytes) -> None:
        self.malformed += 1
        self.first_malformed = self.first_malformed or plain(
            line[:_SHOWN].decode(errors="replace"), _SHOWN
        )

    def _tell(self, line: _Line) -> None:
        if line.progress is not None:
            self._context.progress(int(line.progress.percent), line.progress.message or "")
        if line.operation is not None:
            self._context.record(self._operation(self._whole(line.operation)))
        if line.usage is not None:
            self._tell_usage(line.usage)
        if line.credits_used is not None:
            self._context.credits(line.credits_used)
        if line.session_id is not None:
            self._context.session(line.session_id)

    def _tell_usage(self, told: _Usage) -> None:
        self._context.usage(
            told.model,
            input_tokens=told.input_tokens,
            output_tokens=told.output_tokens,
            cache_creation_tokens=told.cache_creation_tokens,
            cache_read_tokens=told.cache_read_tokens,
            cost_usd=told.cost_usd,
        )

    def _whole(self, told: _Operation) -> _Operation:
        """Return an operation with what earlier lines said of it and this one does not repeat."""
        before = self._going_on.pop(told.operation_id, None)
        if before is None:
            whole = replace(told, timestamp=told.timestamp or self._context.now)
        else:
            whole = replace(before, **{k: v for k, v in asdict(told).items() if v is not None})
        if whole.success is None:
            self._going_on[whole.operation_id] = whole
        return whole

    def _operation(self, told: _Operation) -> OperationReport:
        return OperationReport(
            operation_id=told.operation_id,
            operation_type=told.operation_type or "tool",
            parent_operation_id=told.parent_operation_id or self._parent_operation_id,
            tool_name=told.tool_name or "",
            tool_use_id=told.tool_use_id or "",
            success=told.success,
            timestamp=_utc(told.timestamp),
            completed_at=_utc(told.completed_at),
            error_message=told.error_message or "",
            usage=None if told.usage is None else _model_usage(told.usage),
            input=None if told.input is None else payload_of(told.input),
            output=None if told.output is None else payload_of(told.output),
        )


def _model_usage(told: _Usage) -> ModelUsage:
    tokens = (
        told.input_tokens,
        told.output_tokens,
        told.cache_creation_tokens,
        told.cache_read_tokens,
    )
    return model_usage(told.model, tokens, told.cost_usd)


def _utc(moment: datetime | None) -> datetime | None:
    """Return *moment* in UTC, which is what a moment without a zone is taken for."""
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)
