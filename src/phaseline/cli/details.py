"""All there is to say of one execution, for `get` and for the end of `watch`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from phaseline.cli import execution_view, figures, style
from phaseline.cli.follow import Followed
from phaseline.cli.frame import Frame
from phaseline.v1.execution_pb2 import Execution, Phase
from phaseline.v1.execution_service_pb2 import ExecutionNode
from phaseline.v1.usage_pb2 import ModelUsage

_RESULT_LINES = 40
_RESULT_CHARACTERS = 2_000


def whole(execution: Execution, frame: Frame) -> RenderableType:
    """Return the execution as Get answered it: view, inputs, attempts, models, result."""
    followed = Followed.of(execution, frame.now)
    parts: list[RenderableType] = [execution_view.render(followed, frame)]
    parts += _section("inputs", _inputs(execution.inputs))
    parts += _section("earlier attempts", _attempts(execution))
    parts += _section("models", _models(execution))
    parts += result(execution)
    if execution.is_purged:
        parts += ["", Text("its content was purged", style="dim")]
    return Group(*parts)


def result(execution: Execution, *, lines: int = _RESULT_LINES) -> list[RenderableType]:
    """Return its result and where its artifacts are; empty if there are none."""
    parts: list[RenderableType] = []
    if execution.HasField("result"):
        text = figures.payload_text(execution.result)
        parts += _section("result", Text(_cut(text, lines, execution.execution_id)))
    if execution.artifact_ids:
        count = figures.count(len(execution.artifact_ids), "artifact")
        where = f"{count}: phaseline artifact list {execution.execution_id}"
        parts += ["", Text(where, style="dim")]
    return parts


def _cut(text: str, lines: int, execution_id: str) -> str:
    """Return *text* as far as it is short enough, with the way to the rest."""
    shown = "\n".join(text.splitlines()[:lines])[:_RESULT_CHARACTERS]
    left_out = len(text) - len(shown)
    if not left_out:
        return text
    more = figures.count(left_out, "more character")
    return f"{shown}\n… {more}: phaseline get {execution_id} -o json"


def tree(node: ExecutionNode, frame: Frame) -> RenderableType:
    """Return an execution with those it started, and what each subtree has used."""
    root = Tree(_branch(node, frame), guide_style="dim")
    _grow(root, node, frame)
    return root


def _grow(branch: Tree, node: ExecutionNode, frame: Frame) -> None:
    for child in node.children:
        _grow(branch.add(_branch(child, frame)), child, frame)


def _branch(node: ExecutionNode, frame: Frame) -> Text:
    execution = node.execution
    status = style.execution_status(execution)
    usage = execution.tree_usage if node.children else execution.usage
    facts = [
        f"{execution.completed_phases}/{execution.total_phases}",
        f"{figures.tokens(usage)} tokens",
        figures.cost(usage),
        execution.display.duration or figures.NONE,
    ]
    return Text.assemble(
        style.painted_mark(status, frame.turning),
        (f" {figures.plain(execution.workflow_id)}", "bold"),
        f" {execution.execution_id} ",
        (status, style.look(status).colour),
        ("  " + " · ".join(facts), "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _section(title: str, body: RenderableType | None) -> list[RenderableType]:
    if body is None:
        return []
    return ["", Text(title, style="dim"), Padding(body, (0, 0, 0, 2), expand=False)]


def _inputs(inputs: Mapping[str, str]) -> Table | None:
    if not inputs:
        return None
    table = Table.grid(padding=(0, 2))
    for name, value in sorted(inputs.items()):
        table.add_row(name, figures.printable(value))
    return table


def _attempts(execution: Execution) -> Table | None:
    """Return the attempts that failed and were repeated."""
    table = Table.grid(padding=(0, 2))
    for row in _attempt_rows(execution.phases):
        table.add_row(*row)
    return table if table.row_count else None


def _attempt_rows(phases: Iterable[Phase]) -> Iterator[tuple[str | Text, ...]]:
    for phase in phases:
        for attempt in phase.attempts:
            if attempt.attempt < phase.attempt:
                yield (
                    figures.plain(phase.phase_id),
                    f"try {attempt.attempt}",
                    figures.plain(attempt.assigned_to_worker),
                    f"{figures.tokens(attempt.usage)} tokens",
                    figures.cost(attempt.usage),
                    Text(figures.failure(attempt.failure), style="red"),
                )


def _models(execution: Execution) -> Table | None:
    if not execution.usage_by_model:
        return None
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("MODEL", no_wrap=True)
    for title in ("INPUT", "OUTPUT", "CACHE WRITE", "CACHE READ", "TOTAL", "COST"):
        table.add_column(title, justify="right", no_wrap=True)
    for usage in execution.usage_by_model:
        table.add_row(*_model(usage))
    return table


def _model(usage: ModelUsage) -> tuple[str, ...]:
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_creation_tokens,
        usage.cache_read_tokens,
        usage.total_tokens,
    )
    return figures.plain(usage.model), *(f"{n:,}" for n in counts), figures.model_cost(usage)
