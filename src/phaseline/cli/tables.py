"""Lists as tables: executions, workflows, artifacts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from phaseline.cli import figures, style
from phaseline.cli.follow import Board, Durations
from phaseline.cli.frame import Frame
from phaseline.v1.artifact_pb2 import Artifact
from phaseline.v1.execution_pb2 import Execution
from phaseline.v1.workflow_pb2 import Workflow

_WIDE = 120
_LONGEST = 32


def executions(
    listed: Sequence[Execution],
    frame: Frame,
    *,
    now: datetime,
    durations: Durations | None = None,
) -> Table:
    """
    Return *listed* in their order.

    On a narrow screen the ids are cut to what tells them apart, which is enough for any command,
    and the phases are left out.
    """
    ids = [one.execution_id for one in listed]
    shown = figures.short_ids(ids) if frame.width < _WIDE else {one: one for one in ids}
    told = durations or Durations()
    table = _table("", "ID")
    _elastic(table, "WORKFLOW")
    table.add_column("STATUS", no_wrap=True)
    if frame.wide:
        _elastic(table, "PHASE")
    _numbers(table, "DONE", "TOKENS", "COST", "TIME", "AGE")
    for one in listed:
        status = style.execution_status(one)
        table.add_row(
            style.painted_mark(status, frame.turning),
            shown[one.execution_id],
            figures.plain(one.workflow_id),
            Text(status, style=style.look(status).colour),
            *([_where(one)] if frame.wide else []),
            f"{one.completed_phases}/{one.total_phases}",
            figures.tokens(one.usage),
            figures.cost(one.usage),
            figures.duration(told.of_execution(one, frame.now)),
            figures.age(one.created_at, now),
        )
    return table


def board(shown: Board, frame: Frame, *, now: datetime) -> RenderableType:
    """Return the active executions that fit, newest first, and those that ended last."""
    active = shown.newest_first()
    room = len(active)
    if frame.height is not None:
        others = 4 + (len(shown.ended) + 3 if shown.ended else 0)
        room = max(1, frame.height - others)
    title = Text(f"{len(active)} active", style="bold")
    if active:
        title.append(f" · {_statuses(active)}", style="not bold")
    parts: list[RenderableType] = [title]
    if active:
        parts += ["", executions(active[:room], frame, now=now, durations=shown.durations)]
    if len(active) > room:
        parts.append(Text(f"and {len(active) - room} older ones", style="dim"))
    if shown.ended:
        ended = executions(list(shown.ended), frame, now=now)
        parts += ["", Text("ended last", style="dim"), ended]
    return Group(*parts)


def workflows(listed: Iterable[Workflow], frame: Frame, *, now: datetime) -> Table:
    """Return *listed* in their order."""
    table = _table("WORKFLOW", "NAME")
    table.expand = frame.bounded
    _numbers(table, "VERSION", "UPDATED")
    table.add_column("DESCRIPTION", no_wrap=True, overflow="ellipsis", ratio=1)
    for one in listed:
        table.add_row(
            one.workflow_id,
            figures.plain(one.name),
            str(one.version),
            figures.age(one.updated_at, now),
            Text(figures.plain(one.description), style="dim"),
        )
    return table


def artifacts(listed: Iterable[Artifact]) -> Table:
    """Return *listed* in their order."""
    table = _table("ARTIFACT")
    _elastic(table, "PHASE", "NAME", "MEDIA TYPE")
    _numbers(table, "SIZE")
    for one in listed:
        table.add_row(
            one.artifact_id,
            figures.plain(one.phase_id),
            figures.plain(one.name),
            figures.plain(one.content.media_type or "application/json"),
            figures.size(one.size_bytes) if one.size_bytes else figures.plain(one.content.uri),
        )
    return table


def _table(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for title in titles:
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    return table


def _elastic(table: Table, *titles: str) -> None:
    """Add columns that are cut first when there is no room; rich spares what must not wrap."""
    for title in titles:
        table.add_column(title, overflow="ellipsis", max_width=_LONGEST)


def _numbers(table: Table, *titles: str) -> None:
    for title in titles:
        table.add_column(title, no_wrap=True, justify="right")


def _where(execution: Execution) -> Text:
    """Return its running phases, or the next one; of a failed one, where and why it failed."""
    if execution.HasField("failure"):
        failure = execution.failure
        return Text(figures.plain(failure.phase_id or failure.code), style="red")
    running = execution.workflow_detail.running_phases
    if len(running) > 1:
        return Text(figures.plain(f"{running[0]} +{len(running) - 1}"))
    return Text(figures.plain(execution.current_phase))


def _statuses(listed: Iterable[Execution]) -> str:
    counts: dict[str, int] = {}
    for one in listed:
        status = style.execution_status(one)
        counts[status] = counts.get(status, 0) + 1
    return ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
