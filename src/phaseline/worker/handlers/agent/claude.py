"""The adapter for Claude Code."""

from __future__ import annotations

from phaseline.worker.handlers.agent.adapter import Access, Adapter, Order
from phaseline.worker.handlers.agent.claude_stream import ClaudeReader, is_claude

_MODES = {
    Access.READ: "default",
    Access.EDIT: "acceptEdits",
    Access.FULL: "bypassPermissions",
}


def _arguments(order: Order) -> list[str]:
    # Without --verbose there is no stream, from 2.1.267 on.
    arguments = ["-p", "--output-format", "stream-json", "--verbose"]
    arguments += ["--permission-mode", _MODES[order.access]]
    if order.model:
        arguments += ["--model", order.model]
    if order.max_turns is not None:
        arguments += ["--max-turns", str(order.max_turns)]
    if order.budget_usd:
        arguments += ["--max-budget-usd", order.budget_usd]
    if order.session_id:
        arguments += ["--resume", order.session_id]
    return [*arguments, *order.args]


CLAUDE = Adapter(
    name="claude",
    program=("claude",),
    arguments=_arguments,
    environment=(
        "ANTHROPIC_*",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_CODE_USE_VERTEX",
        "CLAUDE_CONFIG_DIR",
    ),
    takes_max_turns=True,
    reader=lambda journal, beginning: ClaudeReader(journal, before=beginning.before),
    recognises=is_claude,
)
