"""The phases of an execution as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from phaseline.cli import figures, style
from phaseline.cli.follow import Followed
from phaseline.cli.frame import Frame
from phaseline.domain.lifecycle import is_leased
from phaseline.v1.execution_pb2 import Execution, Phase

_BAR = 12
_SHORTEST = 3


def table(followed: Followed, frame: Frame) -> Table:
    """
    Return the phases in workflow order.

    Without room for all, those that ended first are left out, then those furthest ahead.
    """
    # Expanded with one elastic column: rich would otherwise cut all columns of a narrow terminal.
    result = Table(
        box=None, padding=(0, 1), pad_edge=False, header_style="dim", expand=frame.bounded
    )
    result.add_column("", no_wrap=True)
    result.add_column("PHASE", no_wrap=True, overflow="ellipsis", max_width=24)
    result.add_column("STATUS", no_wrap=True)
    result.add_column("TRY", no_wrap=True, justify="right")
    if frame.wide:
        result.add_column("WORKER", no_wrap=True, overflow="ellipsis", max_width=20)
    for title in ("TOKENS", "COST", "TIME"):
        result.add_column(title, no_wrap=True, justify="right")
    result.add_column("PROGRESS", no_wrap=True, overflow="ellipsis", ratio=1)
    before, shown, after = _fit(list(followed.phases.values()), frame.height)
    _add_note(result, before, "before")
    for phase in shown:
        result.add_row(*_row(followed, phase, frame))
    _add_note(result, after, "after")
    return result


def progress(execution: Execution, phase: Phase, *, wide: bool = True) -> Text:
    """Return what a phase does, waits for or failed of."""
    if style.phase_is(is_leased, phase) and phase.HasField("progress"):
        return _bar(phase, wide=wide)
    if phase.HasField("failure"):
        text = Text(figures.failure(phase.failure), style="red")
        if phase.HasField("next_attempt_at"):
            at = figures.clock(phase.next_attempt_at)
            return Text(f"next attempt {at} after ", style="yellow").append_text(text)
        return text
    if style.waits_for_worker(execution, phase):
        return Text(f"waits for a worker with handler {figures.plain(phase.handler)}", style="dim")
    if phase.artifact_ids:
        return Text(figures.count(len(phase.artifact_ids), "artifact"), style="dim")
    return Text()


def _row(followed: Followed, phase: Phase, frame: Frame) -> list[str | Text]:
    status = style.phase_status(phase)
    begun = phase.attempt > 0
    took = figures.duration(followed.durations.of_phase(phase, frame.now))
    return [
        style.painted_mark(status, frame.turning),
        figures.plain(phase.phase_id),
        Text(status, style=style.look(status).colour),
        str(phase.attempt) if begun else "",
        *([figures.plain(phase.assigned_to_worker)] if frame.wide else []),
        figures.tokens(phase.usage) if begun else "",
        figures.cost(phase.usage) if begun else "",
        took if begun else "",
        progress(followed.execution, phase, wide=frame.wide),
    ]


def _fit(phases: Sequence[Phase], room: int | None) -> tuple[int, Sequence[Phase], int]:
    """Return the phases for *room* lines, and how many are left out before and after them."""
    if room is None or len(phases) <= max(room, _SHORTEST):
        return 0, phases, 0
    size = max(room - 2, _SHORTEST)
    busy = (at for at, phase in enumerate(phases) if not style.is_phase_terminal(phase))
    first = next(busy, len(phases))
    start = max(0, min(first - 1, len(phases) - size))
    return start, phases[start : start + size], len(phases) - start - size


def _add_note(result: Table, left_out: int, where: str) -> None:
    if left_out:
        result.add_row("", Text(f"{left_out} more {where}", style="dim"))


def _bar(phase: Phase, *, wide: bool) -> Text:
    percent = max(0, min(100, phase.progress.percent))
    text = Text()
    if wide:
        done = percent * _BAR // 100
        text.append("━" * done, style="blue").append("━" * (_BAR - done), style="bright_black")
        text.append(" ")
    text.append(f"{percent:>3}% ")
    return text.append(figures.plain(phase.progress.message), style="dim")
