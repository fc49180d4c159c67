"""Shows a watch while it lasts: drawn in place on a terminal, else line by line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from phaseline.cli import details, execution_view, tables
from phaseline.cli.follow import Board, Followed
from phaseline.cli.frame import Frame
from phaseline.cli.lines import Lines
from phaseline.client import EventKind

if TYPE_CHECKING:
    from phaseline.cli.output import Output
    from phaseline.cli.session import Session
    from phaseline.client import Watch
    from phaseline.v1.execution_pb2 import Execution
    from phaseline.v1.watch_pb2 import Change

_REDRAW_SECONDS = 0.1
_DISCONNECTED = Text("no connection to the server; trying again", style="yellow")


class State(Protocol):
    """What changes are folded into."""

    def apply(self, change: Change, now: float) -> None:
        """Fold in *change*."""

    def forget(self) -> None:
        """Begin anew."""


async def follow_execution(session: Session, watch: Watch, execution_id: str) -> Followed:
    """Show one execution until the watch ends; return what it then is."""
    followed = Followed(execution_id)

    def draw(frame: Frame) -> RenderableType:
        return execution_view.render(followed, frame) if followed.is_known else ""

    await _show(session, watch, followed, draw, Lines(about=execution_id))
    return followed


async def follow_active(session: Session, watch: Watch) -> None:
    """Show the active executions until the watch ends, which it does not by itself."""
    board = Board()
    await _show(
        session,
        watch,
        board,
        lambda frame: tables.board(board, frame, now=session.now()),
        Lines(),
    )


def conclude(output: Output, execution: Execution) -> None:
    """Say how a watched execution ended and what came of it."""
    if not output.is_table:
        return
    output.draw("")
    output.draw(execution_view.summary(execution))
    for part in details.result(execution):
        output.draw(part)


async def _show(
    session: Session,
    watch: Watch,
    state: State,
    draw: Callable[[Frame], RenderableType],
    lines: Lines,
) -> None:
    output = session.output
    redrawn = output.is_table and output.is_terminal
    heard = False

    def is_cut() -> bool:
        return heard and not watch.is_connected

    async with _drawn(session, draw, is_cut) if redrawn else _not_drawn(), watch:
        async for event in watch:
            heard = True
            if event.kind is EventKind.RESTARTED:
                state.forget()
            if event.change is None:
                continue
            state.apply(event.change, session.clock())
            if redrawn:
                continue
            if not output.is_table:
                output.write(event.change, in_stream=True)
            elif line := lines.line(event.change):
                output.text(line)


@asynccontextmanager
async def _drawn(
    session: Session, draw: Callable[[Frame], RenderableType], is_cut: Callable[[], bool]
) -> AsyncIterator[None]:
    """Draw again and again while the block runs, and a last time, whole, at its end."""
    console = session.output.console

    def live_frame() -> RenderableType:
        width, height = console.size
        # One line is left to the cursor, one to the notice.
        drawing = draw(Frame(session.clock(), width, height - 2, live=True))
        return Group(drawing, _DISCONNECTED) if is_cut() else drawing

    with Live(live_frame(), console=console, auto_refresh=False) as live:

        async def redraw() -> None:
            # Not rich's own thread: it would draw while a change is being folded in.
            while True:
                live.update(live_frame(), refresh=True)
                await asyncio.sleep(_REDRAW_SECONDS)

        task = asyncio.create_task(redraw())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            live.vertical_overflow = "visible"
            live.update(draw(Frame(session.clock(), console.width)), refresh=True)


@asynccontextmanager
async def _not_drawn() -> AsyncIterator[None]:
    yield
