"""One execution on the screen: what it is, how far it is, what it does."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from phaseline.cli import figures, operation_view, phase_view, style
from phaseline.cli.follow import Followed
from phaseline.cli.frame import Frame
from phaseline.domain.lifecycle import has_not_begun, is_paused
from phaseline.v1.execution_pb2 import Execution

_TAIL = 10
_DESCENDANTS = 8
_SEPARATOR = " · "


def render(followed: Followed, frame: Frame) -> RenderableType:
    """
    Return the whole view within the frame.

    When lines are short, operations are left out first, then phases that are over or far ahead.
    """
    top = header(followed, frame)
    parts: list[RenderableType] = [top]
    below = descendants(followed, frame) if followed.descendants else None
    room = None
    if frame.height is not None:
        # Two lines for a blank and the titles of each table.
        room = frame.height - len(top.renderables) - 2 - (below.row_count + 2 if below else 0)
    if followed.phases:
        parts += ["", phase_view.table(followed, frame._replace(height=room))]
    if below:
        parts += ["", below]
    tail = _TAIL if room is None else max(0, min(_TAIL, room - len(followed.phases) - 1))
    if followed.operations and tail:
        last = list(followed.operations.values())[-tail:]
        parts.append("")
        if frame.height is None:
            parts += _other_operations(followed, len(last))
        parts.append(operation_view.table(last, frame))
    return Group(*parts)


def _other_operations(followed: Followed, shown: int) -> list[RenderableType]:
    """Return how many operations there are besides those *shown*, and the way to them."""
    counted = sum(phase.operation_count for phase in followed.phases.values())
    others = max(counted, len(followed.operations)) - shown
    if others <= 0:
        return []
    way = f"phaseline operations {followed.execution_id}"
    return [Text(f"{figures.count(others, 'more operation')}: {way}", style="dim")]


def header(followed: Followed, frame: Frame) -> Group:
    """Return what it runs, where it stands and what it has used."""
    execution = followed.execution
    lines = [_title(execution), _state(followed, frame)]
    lines += [_fact(label, text) for label, text in _facts(execution) if text]
    lines += [text for text in (_trouble(execution), _next_step(execution)) if text]
    if frame.height is not None:
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)


def summary(execution: Execution) -> Text:
    """Return in one line how it ended."""
    status = style.execution_status(execution)
    look = style.look(status)
    text = Text.assemble((f"{look.mark} {status}", f"bold {look.colour}"))
    took = figures.duration(execution.duration.ToTimedelta())
    return text.append(" in " + _SEPARATOR.join([took, _phases(execution), *_used(execution)]))


def descendants(followed: Followed, frame: Frame) -> Table:
    """Return the executions below it, one a line; on a screen those that go on, then the newest."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("DESCENDANT", no_wrap=True)
    table.add_column("WORKFLOW", overflow="ellipsis")
    table.add_column("STATUS", no_wrap=True)
    for title in ("PHASES", "TOKENS", "COST", "TIME"):
        table.add_column(title, no_wrap=True, justify="right")
    everyone = list(followed.descendants.values())
    shown = everyone
    if frame.height is not None:
        newest_first = everyone[::-1]
        shown = sorted(newest_first, key=style.is_terminal)[:_DESCENDANTS]
    for child in shown:
        table.add_row(*_descendant(followed, child, frame))
    if len(everyone) > len(shown):
        table.add_row("", Text(f"and {len(everyone) - len(shown)} more", style="dim"))
    return table


def _descendant(followed: Followed, child: Execution, frame: Frame) -> list[str | Text]:
    status = style.execution_status(child)
    return [
        style.painted_mark(status, frame.turning),
        child.execution_id,
        figures.plain(child.workflow_id),
        Text(status, style=style.look(status).colour),
        f"{child.completed_phases}/{child.total_phases}",
        figures.tokens(child.usage),
        figures.cost(child.usage),
        figures.duration(followed.durations.of_execution(child, frame.now)),
    ]


def _title(execution: Execution) -> Text:
    name = figures.plain(execution.workflow_name or execution.workflow_id)
    version, id_ = f" v{execution.workflow_version}", execution.execution_id
    return Text.assemble((name, "bold"), (version, "dim"), _SEPARATOR, (id_, "cyan"))


def _state(followed: Followed, frame: Frame) -> Text:
    execution = followed.execution
    status = style.execution_status(execution)
    took = figures.duration(followed.durations.of_execution(execution, frame.now))
    facts = [took, _phases(execution), *_used(execution)]
    return Text.assemble(
        style.painted_mark(status, frame.turning),
        (f" {status}", f"bold {style.look(status).colour}"),
        "  " + _SEPARATOR.join(facts),
    )


def _phases(execution: Execution) -> str:
    return f"{execution.completed_phases} of {execution.total_phases} phases"


def _used(execution: Execution) -> list[str]:
    """Return tokens, cost and what else it has used."""
    usage, tree = execution.usage, execution.tree_usage
    cost = figures.cost(usage)
    if execution.max_budget_usd:
        cost += f" of {figures.money(execution.max_budget_usd)}"
    if tree.cost_usd and tree.cost_usd != usage.cost_usd:
        cost += f" ({figures.cost(tree)} with descendants)"
    used = [f"{figures.tokens(usage)} tokens", cost]
    if usage.tool_call_count:
        used.append(figures.count(usage.tool_call_count, "tool call"))
    if usage.credits_used not in ("", "0"):
        used.append(f"{usage.credits_used} credits")
    return used


def _fact(label: str, text: str, colour: str = "") -> Text:
    return Text.assemble((f"{label:<8}", "dim"), (figures.plain(text), colour))


def _facts(execution: Execution) -> list[tuple[str, str]]:
    return [
        ("task", execution.task),
        ("repos", " ".join(execution.repos)),
        ("labels", figures.pairs(execution.labels)),
        ("parent", execution.parent_execution_id),
    ]


def _trouble(execution: Execution) -> Text | None:
    if execution.HasField("failure"):
        failure = execution.failure
        where = f"{failure.phase_id}: " if failure.phase_id else ""
        return _fact("failure", f"{where}{figures.failure(failure)}", "red")
    if execution.HasField("cancellation"):
        cancellation = execution.cancellation
        reason = f": {cancellation.reason}" if cancellation.reason else ""
        return _fact("stopped", f"by {cancellation.cancelled_by}{reason}")
    return None


def _next_step(execution: Execution) -> Text | None:
    if style.execution_is(is_paused, execution):
        text = f"paused; go on with: phaseline resume {execution.execution_id}"
        return Text(text, style="yellow")
    if style.execution_is(has_not_begun, execution) and execution.HasField("start_at"):
        return _fact("begins", f"{figures.date_and_time(execution.start_at)}")
    return None
