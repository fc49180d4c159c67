"""Operations as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from rich.table import Table
from rich.text import Text

from phaseline.cli import figures, style
from phaseline.cli.frame import Frame
from phaseline.v1.execution_pb2 import Operation


def table(operations: Sequence[Operation], frame: Frame) -> Table:
    """Return *operations* in their order."""
    result = Table(
        box=None, padding=(0, 1), show_header=False, pad_edge=False, expand=frame.bounded
    )
    result.add_column(no_wrap=True, style="dim")
    result.add_column(no_wrap=True, style="dim", max_width=20)
    result.add_column(no_wrap=True, overflow="ellipsis", max_width=40)
    result.add_column(no_wrap=True, justify="right")
    result.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for operation in operations:
        result.add_row(
            figures.clock(operation.timestamp) if operation.HasField("timestamp") else "",
            figures.plain(operation.phase_id),
            _title(operation, frame.turning),
            took(operation),
            _detail(operation),
        )
    return result


def name(operation: Operation) -> str:
    """Return what it is: the tool, the model, or else its type."""
    return figures.plain(operation.tool_name or operation.usage.model or operation.operation_type)


def took(operation: Operation) -> str:
    """Return how long it took, by its worker's clock; empty while it goes on."""
    if not (operation.HasField("timestamp") and operation.HasField("completed_at")):
        return ""
    spent = figures.moment(operation.completed_at) - figures.moment(operation.timestamp)
    if timedelta() <= spent < timedelta(seconds=10):
        return f"{spent.total_seconds():.1f}s"
    return figures.duration(max(spent, timedelta()))


def _title(operation: Operation, now: float | None) -> Text:
    status = style.operation_status(operation)
    text = Text("  " if operation.parent_operation_id else "")
    text.append(style.mark(status, now) + " ", style=style.look(status).colour)
    text.append(name(operation))
    kind = figures.plain(operation.operation_type)
    if kind != text.plain.split()[-1]:
        text.append(f" {kind}", style="dim")
    return text


def _detail(operation: Operation) -> Text:
    if operation.error_message:
        return Text(figures.plain(operation.error_message), style="red")
    if not operation.usage.total_tokens:
        return Text()
    parts = [f"{figures.tokens(operation.usage)} tokens"]
    if operation.usage.cost_usd:
        parts.append(figures.money(operation.usage.cost_usd))
    return Text(" · ".join(parts), style="dim")
