"""The adapter for Gemini CLI."""

from __future__ import annotations

from phaseline.worker.handlers.agent.adapter import Access, Adapter, Order
from phaseline.worker.handlers.agent.gemini_stream import GeminiReader, is_gemini
from phaseline.worker.handlers.agent.reader import Fault

_MODES = {Access.READ: "default", Access.EDIT: "auto_edit", Access.FULL: "yolo"}


def _arguments(order: Order) -> list[str]:
    arguments = ["--output-format", "stream-json", "--approval-mode", _MODES[order.access]]
    if order.model:
        arguments += ["--model", order.model]
    if order.session_id:
        arguments += ["--resume", order.session_id]
    return [*arguments, *order.args]


GEMINI = Adapter(
    name="gemini",
    program=("gemini",),
    arguments=_arguments,
    environment=(
        "GEMINI_*",
        "GOOGLE_API_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_CLOUD_PROJECT",
        "GOOGLE_GENAI_USE_VERTEXAI",
    ),
    # It refuses to do anything in a directory that nobody has told it to trust.
    in_own_directory={"GEMINI_CLI_TRUST_WORKSPACE": "true"},
    reader=lambda journal, _: GeminiReader(journal),
    recognises=is_gemini,
    exit_codes={
        41: Fault("the agent could not authenticate", "AGENT_NOT_AUTHORIZED", retryable=False),
        42: Fault("the agent refused its input", "AGENT_ERROR", retryable=False),
        52: Fault("the agent refused its settings", "AGENT_ERROR", retryable=False),
        53: Fault("the agent reached its limit of turns", "MAX_TURNS", retryable=False),
        130: Fault("the agent was interrupted", "AGENT_INTERRUPTED"),
    },
)
