"""A watch that outlives its streams."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self

from phaseline.client.cursor import Cursor, WatchEvent
from phaseline.client.pace import Backoff, Clock, is_worth_repeating
from phaseline.client.transport import Stream
from phaseline.domain.errors import (
    DeadlineExceeded,
    Internal,
    PhaselineError,
    Reason,
    ResourceExhausted,
    Unavailable,
)
from phaseline.v1.watch_pb2 import CLOSE_REASON_COMPLETED, WatchClosing, WatchFrame, WatchOpened

DEFAULT_BOOKMARK_INTERVAL = timedelta(seconds=15)
_FAREWELL_SECONDS = 5.0


class Framed(Protocol):
    """An answer that carries a frame."""

    @property
    def frame(self) -> WatchFrame:
        """The frame."""


class Watch:
    """
    Yields what happens, from stream after stream, as if they were one.

    It resumes when a stream is cut, closed by the server, or silent for twice the interval that the
    server promised. Until its first stream is open it tries for *patience*, then for ever. It ends
    when everything watched is terminal, and raises what trying again cannot cure. For one reader at
    a time; a read that is cancelled loses nothing.
    """

    def __init__(
        self,
        open_stream: Callable[[str], Stream[Framed]],
        clock: Clock,
        *,
        resume_token: str,
        bookmark_interval: timedelta | None,
        patience: timedelta,
    ) -> None:
        self._open_stream = open_stream
        self._clock = clock
        self._cursor = Cursor(resume_token)
        self._pending: deque[WatchEvent] = deque()
        self._resume_token = resume_token
        self._stream: Stream[Framed] | None = None
        self._silence = _dead_after(bookmark_interval or DEFAULT_BOOKMARK_INTERVAL)
        self._backoff = Backoff()
        self._patience = patience.total_seconds()
        self._give_up_at: float | None = None
        self._was_opened = False
        self._brought_news = False
        self._is_connected = False
        self._is_over = False

    @property
    def is_connected(self) -> bool:
        """Whether a stream is open that the server has answered, so that news arrives at once."""
        return self._is_connected

    @property
    def resume_token(self) -> str:
        """The token of the last event, or a newer one if nothing happened since."""
        return self._resume_token

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchEvent:
        while not self._pending:
            if self._is_over:
                raise StopAsyncIteration
            await self._read_frame()
        event = self._pending.popleft()
        self._resume_token = event.resume_token
        return event

    async def aclose(self) -> None:
        """End the watch."""
        self._is_over = True
        self._pending.clear()
        self._hang_up()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _read_frame(self) -> None:
        try:
            answer = await self._connected().read(self._silence)
        except PhaselineError as error:
            failure = error
        except BaseException:
            self._hang_up()  # a cancelled read has ended the call: the next one resumes
            raise
        else:
            if answer is not None:
                self._is_connected = True
                await self._take(answer.frame)
                return
            failure = Unavailable("the stream ended without saying why", reason="UNAVAILABLE")
        self._hang_up()
        await self._recover(failure)

    def _connected(self) -> Stream[Framed]:
        if self._give_up_at is None:
            self._give_up_at = self._clock.now() + self._patience
        if self._stream is None:
            self._brought_news = False
            self._stream = self._open_stream(self._cursor.token)
        return self._stream

    def _hang_up(self) -> None:
        self._is_connected = False
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()

    async def _take(self, frame: WatchFrame) -> None:
        self._pending.extend(self._cursor.take(frame))
        if not self._pending:
            self._resume_token = self._cursor.token
        match frame.WhichOneof("kind"):
            case "opened":
                self._opened(frame.opened)
            case "closing":
                await self._closing(frame.closing)
            case _:
                self._brought_news = True
                self._backoff.reset()

    def _opened(self, opened: WatchOpened) -> None:
        self._was_opened = True
        if opened.HasField("bookmark_interval"):
            self._silence = _dead_after(opened.bookmark_interval.ToTimedelta())

    async def _closing(self, closing: WatchClosing) -> None:
        self._is_connected = False
        stream, self._stream = self._stream, None
        if stream is not None:
            # The server ends it by itself. To hang up now would look like a failure there.
            with suppress(PhaselineError):
                await stream.read(_FAREWELL_SECONDS)
            stream.cancel()
        if closing.reason == CLOSE_REASON_COMPLETED:
            self._is_over = True
            return
        told = closing.reconnect_delay.ToTimedelta().total_seconds()
        # One that only opens and closes would otherwise keep us busy for nothing.
        await self._clock.sleep(told if self._brought_news else self._backoff.next(at_least=told))

    async def _recover(self, error: PhaselineError) -> None:
        """Return when it is time for another stream, or raise *error*."""
        if error.reason == Reason.RESUME_TOKEN_EXPIRED and self._cursor.token:
            self._cursor.restart()
            return
        if not self._can_resume(error):
            raise error
        delay = self._backoff.after(error)
        if not self._was_opened and self._clock.now() + delay >= (self._give_up_at or 0.0):
            raise error
        await self._clock.sleep(delay)

    def _can_resume(self, error: PhaselineError) -> bool:
        if isinstance(error, ResourceExhausted) and self._was_opened:
            return True  # the stream that is one too many may be our own, dead but still counted
        if isinstance(error, Internal | DeadlineExceeded):
            # Proxies end streams so. A server that is broken would do it before any news.
            return self._brought_news
        return is_worth_repeating(error)


def _dead_after(bookmark_interval: timedelta) -> float:
    return 2 * bookmark_interval.total_seconds()
