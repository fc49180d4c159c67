"""Reads what `gemini --output-format stream-json` prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from phaseline.worker.handlers.agent.events import Event, count, fields, text
from phaseline.worker.handlers.agent.journal import Journal
from phaseline.worker.handlers.agent.reader import Fault, Success, Verdict
from phaseline.worker.handlers.agent.tokens import UNKNOWN_MODEL, Tokens
from phaseline.worker.limits import PAYLOAD_BYTES

_SUB_AGENTS = ("invoke_agent", "delegate_to_agent")

#: Classes of the errors that end a run, to codes; the same request would end the same way.
_FINAL = {
    "FatalTurnLimitedError": "MAX_TURNS",
    "FatalAuthenticationError": "AGENT_NOT_AUTHORIZED",
    "FatalInputError": "AGENT_ERROR",
    "FatalConfigError": "AGENT_ERROR",
}
_INTERRUPTED = ("FatalCancellationError", "AbortError")

#: Characters of an answer that are kept, more than an output can have.
_LONGEST_TEXT = PAYLOAD_BYTES + 1024


class GeminiReader:
    """Reads one run."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._model = ""
        self._said: list[str] = []
        self._said_length = 0
        self._began_at: datetime | None = None
        self._result: Event | None = None
        self._by_type: Mapping[str, Callable[[Event], object]] = {
            "init": self._init,
            "message": self._message,
            "tool_use": self._tool_use,
            "tool_result": self._tool_result,
            "error": self._error,
            "result": self._take_result,
        }

    def read(self, event: Event) -> bool:
        read = self._by_type.get(text(event, "type"))
        if read is None:
            return False
        read(event)
        return True

    def verdict(self, exit_code: int | None) -> Verdict | None:
        result = self._result
        if result is None:
            return None
        error = fields(result.get("error"))
        if text(result, "status") == "success" or not (error or text(result, "status")):
            return Success(self._text)
        kind = text(error, "type")
        message = text(error, "message") or kind or "the agent failed"
        if kind in _INTERRUPTED:
            return Fault(message, "AGENT_INTERRUPTED")
        if kind in _FINAL:
            return Fault(message, _FINAL[kind], retryable=False)
        return Fault(message, "AGENT_ERROR")

    @property
    def _text(self) -> str:
        return "".join(self._said)

    def _init(self, event: Event) -> None:
        self._journal.session(text(event, "session_id"))
        self._model = text(event, "model")

    def _message(self, event: Event) -> None:
        said = text(event, "content")
        if text(event, "role") != "assistant" or not said:
            return
        if not self._said:
            self._began_at = self._journal.now
        if self._said_length < _LONGEST_TEXT:
            self._said.append(said[: _LONGEST_TEXT - self._said_length])
            self._said_length += len(said)

    def _record_message(self) -> None:
        if self._said:
            self._journal.note("message", began_at=self._began_at, output=self._text)

    def _called(self) -> None:
        """Forget what was said before: the answer is what follows the last call of a tool."""
        self._record_message()
        self._said, self._said_length = [], 0

    def _tool_use(self, event: Event) -> None:
        self._called()
        name = text(event, "tool_name") or "tool"
        self._journal.begin(
            text(event, "tool_id") or self._journal.new_key(name),
            "subagent" if name in _SUB_AGENTS else "tool",
            tool_name=name,
            tool_use_id=text(event, "tool_id"),
            input=event.get("parameters"),
        )

    def _tool_result(self, event: Event) -> None:
        self._called()
        key, error = text(event, "tool_id"), fields(event.get("error"))
        failed = text(event, "status") not in ("success", "")
        said = text(error, "message", "type") or text(event, "output") or "failed"
        output = event.get("output")
        if not self._journal.end(key, error=said if failed else None, output=output):
            self._journal.note("custom", tool_use_id=key, output=event)

    def _error(self, event: Event) -> None:
        severity = text(event, "severity") or "error"
        self._journal.note("error", error=text(event, "message") or severity)

    def _take_result(self, event: Event) -> None:
        self._record_message()
        self._result = event
        stats = fields(event.get("stats"))
        models = fields(stats.get("models"))
        if not models and count(stats.get("total_tokens")):
            # Old releases tell the sum only.
            models = {self._model or UNKNOWN_MODEL: stats}
        self._journal.consumed([_tokens_of(fields(each)).of(name) for name, each in models.items()])


def is_gemini(event: Event) -> bool:
    """Return whether *event* is one of Gemini's."""
    match event.get("type"):
        case "init":
            return "session_id" in event
        case "message":
            return event.get("role") in ("user", "assistant") and "content" in event
        case "tool_use":
            return "tool_name" in event
        case "tool_result":
            return "tool_id" in event
        case "result":
            return isinstance(event.get("status"), str)
        case _:
            return False


def _tokens_of(stats: Event) -> Tokens:
    whole = count(stats.get("input_tokens")) or 0
    cached = min(count(stats.get("cached")) or 0, whole)
    output = count(stats.get("output_tokens")) or 0
    # What a model thinks is in the total and in no count of its own.
    thought = max(0, (count(stats.get("total_tokens")) or 0) - whole - output)
    return Tokens(whole - cached, output + thought, 0, cached)
