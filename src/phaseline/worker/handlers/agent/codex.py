"""The adapter for Codex."""

from __future__ import annotations

from phaseline.worker.handlers.agent.adapter import Access, Adapter, Order
from phaseline.worker.handlers.agent.codex_stream import CodexReader, is_codex

_SANDBOXES = {
    Access.READ: "read-only",
    Access.EDIT: "workspace-write",
    Access.FULL: "danger-full-access",
}


def _arguments(order: Order) -> list[str]:
    arguments = ["exec", "--json", "--skip-git-repo-check", "--sandbox", _SANDBOXES[order.access]]
    if order.model:
        arguments += ["--model", order.model]
    arguments += order.args
    if order.session_id:
        arguments += ["resume", order.session_id]
    return [*arguments, "-"]


CODEX = Adapter(
    name="codex",
    program=("codex",),
    arguments=_arguments,
    environment=("OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_API_KEY", "CODEX_HOME"),
    reader=lambda journal, beginning: CodexReader(
        journal, model=beginning.model, before=beginning.before
    ),
    recognises=is_codex,
)
