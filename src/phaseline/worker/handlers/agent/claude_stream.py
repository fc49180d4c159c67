"""Reads what `claude -p --output-format stream-json --verbose` prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from phaseline.domain.failure import FailureKind
from phaseline.domain.usage import ModelUsage
from phaseline.worker.handlers.agent.claude_usage import ClaudeUsage
from phaseline.worker.handlers.agent.events import Event, count, fields, objects, text
from phaseline.worker.handlers.agent.journal import PREVIEW_BYTES, Journal
from phaseline.worker.handlers.agent.reader import Fault, Success, Verdict, fault_of_status
from phaseline.worker.handlers.agent.recent import Recent

#: Tools that start another agent, by the names of old and new releases.
_SUB_AGENTS = ("Task", "Agent")

#: What says only how things go on, or what other lines say as well.
_QUIET_TYPES = frozenset({
    "auth_status", "control_cancel_request", "control_request", "control_response", "keep_alive",
    "prompt_suggestion", "tool_progress", "tool_use_summary",
})  # fmt: skip
_QUIET_SUBTYPES = frozenset({
    "background_tasks_changed", "commands_changed", "files_persisted", "hook_progress",
    "hook_response", "hook_started", "local_command_output", "post_turn_summary",
    "session_state_changed", "status", "task_progress", "thinking_tokens", "vcs_state_changed",
})  # fmt: skip

_ENDED_WELL = ("completed", "success")
_ENDED = (*_ENDED_WELL, "failed", "killed", "stopped", "cancelled")

_REMEMBERED_CALLS = 1000


class _Call(msgspec.Struct):
    """A model call, of which each line has one part."""

    began_at: datetime | None
    parent: str
    said: str = ""


class ClaudeReader:
    """Reads one run. *before* is what the session had consumed, if the run took one up again."""

    def __init__(self, journal: Journal, *, before: Sequence[ModelUsage] = ()) -> None:
        self._journal = journal
        self._usage = ClaudeUsage(before)
        self._calls: Recent[str, _Call] = Recent(_REMEMBERED_CALLS)
        #: Tool calls that started an agent in the background, by the id of its task.
        self._tasks: Recent[str, str] = Recent(_REMEMBERED_CALLS)
        self._streamed = ""
        self._result: Event | None = None
        self._rejected_until: datetime | None = None
        self._last_at: datetime | None = None
        self._by_type: Mapping[str, Callable[[Event], bool]] = {
            "system": self._system,
            "assistant": self._assistant,
            "user": self._user,
            "stream_event": self._stream_event,
            "rate_limit_event": self._rate_limit,
            "result": self._take_result,
        }

    def read(self, event: Event) -> bool:
        kind = text(event, "type")
        read = self._by_type.get(kind)
        known = kind in _QUIET_TYPES if read is None else read(event)
        self._last_at = self._journal.now
        return known

    def verdict(self, exit_code: int | None) -> Verdict | None:
        result = self._result
        if result is None:
            return None
        subtype = text(result, "subtype")
        # Old releases say "error_max_turns" and yet that it is no error.
        if result.get("is_error") is True or subtype.startswith("error"):
            return self._fault(result, subtype)
        structured = result.get("structured_output")
        return Success(text(result, "result") if structured is None else structured)

    # What the run is

    def _system(self, event: Event) -> bool:
        subtype = text(event, "subtype")
        match subtype:
            case "init":
                self._journal.session(text(event, "session_id"))
                self._usage.asked_for(text(event, "model"))
            case "compact_boundary":
                self._journal.note("compaction", output=event.get("compact_metadata"))
            case "permission_denied":
                self._denied(event)
            case "api_retry":
                self._journal.note("error", error=f"the model is asked again: {_told(event)}")
            case "task_started":
                self._tasks.put(text(event, "task_id"), text(event, "tool_use_id"))
            case "task_updated" | "task_notification":
                self._task_changed(event)
            case _:
                return subtype in _QUIET_SUBTYPES
        return True

    def _rate_limit(self, event: Event) -> bool:
        limit = fields(event.get("rate_limit_info"))
        if text(limit, "status") != "rejected":
            return True
        resets_at = count(limit.get("resetsAt"))
        if resets_at is not None and resets_at < 10**11:
            self._rejected_until = datetime.fromtimestamp(resets_at, UTC)
        what = text(limit, "rateLimitType") or "rate"
        self._journal.note("error", error=f"the {what} limit is used up", output=limit)
        return True

    # What the model says

    def _assistant(self, event: Event) -> bool:
        message = fields(event.get("message"))
        parent = text(event, "parent_tool_use_id")
        model = text(message, "model")
        blocks = objects(message.get("content"))
        if model == "<synthetic>":
            self._synthetic(event, blocks, parent)
        else:
            self._model_call(message, model, parent, _said_in(blocks))
        for block in blocks:
            self._block(block, parent)
        return True

    def _model_call(self, message: Event, model: str, parent: str, said: str) -> None:
        key = text(message, "id") or self._journal.new_key("model")
        used = self._usage.message(key, model, fields(message.get("usage")))
        call = self._calls.get(key)
        if call is None:
            call = _Call(self._last_at or self._journal.now, parent)
            self._calls.put(key, call)
        if said and len(call.said) < PREVIEW_BYTES:
            call.said = f"{call.said}\n\n{said}" if call.said else said
        self._journal.note(
            "model",
            key=key,
            parent=call.parent,
            began_at=call.began_at,
            output=call.said,
            usage=used,
        )
        self._journal.consumed(self._usage.models)

    def _synthetic(self, event: Event, blocks: Sequence[Event], parent: str) -> None:
        """Take what the program says in place of a model."""
        said = _said_in(blocks)
        if event.get("error") or event.get("is_api_error_message"):
            self._journal.note("error", parent=parent, error=said or _told(event))
        elif said:
            self._journal.note("message", parent=parent, output=said)

    def _block(self, block: Event, parent: str) -> None:
        kind = text(block, "type")
        if kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
            name = text(block, "name")
            self._journal.begin(
                text(block, "id") or self._journal.new_key(name or kind),
                "subagent" if name in _SUB_AGENTS else "tool",
                tool_name=name or kind,
                tool_use_id=text(block, "id"),
                parent=parent,
                input=block.get("input"),
            )
        elif kind.endswith("tool_result"):
            self._tool_result(block, {})

    def _stream_event(self, event: Event) -> bool:
        # Sent besides whole lines, when asked for. Of use are the true counts of output only.
        inner = fields(event.get("event"))
        match text(inner, "type"):
            case "message_start":
                self._streamed = text(fields(inner.get("message")), "id")
            case "message_delta" if self._streamed and self._calls.get(self._streamed):
                self._usage.message(self._streamed, "", fields(inner.get("usage")))
                self._journal.consumed(self._usage.models)
        return True

    # What tools return

    def _user(self, event: Event) -> bool:
        for block in objects(fields(event.get("message")).get("content")):
            if text(block, "type").endswith("tool_result"):
                self._tool_result(block, event)
        return True

    def _tool_result(self, block: Event, event: Event) -> None:
        key = text(block, "tool_use_id")
        output = _content(block.get("content"))
        if self._journal.is_open(key) and _is_left_running(event, output):
            return
        said = output if isinstance(output, str) and output else "failed"
        error = said if block.get("is_error") is True else None
        ended = self._journal.end(key, error=error, output=output)
        if not ended and not self._journal.knows(key):
            # The call itself is in no line, as in a session that was taken up again.
            self._journal.note("custom", tool_use_id=key, error=error, output=output)

    def _task_changed(self, event: Event) -> None:
        status = text(event, "status") or text(fields(event.get("patch")), "status")
        task = text(event, "task_id")
        key = text(event, "tool_use_id") or self._tasks.get(task) or ""
        if status not in _ENDED or not self._journal.is_open(key):
            return
        error = None if status in _ENDED_WELL else text(event, "summary") or status
        self._journal.end(key, error=error, output=text(event, "summary"))

    def _denied(self, denial: Event) -> None:
        tool_use_id, name = text(denial, "tool_use_id"), text(denial, "tool_name")
        self._journal.note(
            "permission",
            key=f"denied-{tool_use_id}" if tool_use_id else "",
            tool_use_id=tool_use_id,
            parent=tool_use_id if self._journal.knows(tool_use_id) else "",
            error=_told(denial) or (f"{name} was not allowed" if name else "not allowed"),
            input=denial.get("tool_input"),
        )

    # How the run ends

    def _take_result(self, result: Event) -> bool:
        self._result = result
        self._journal.session(text(result, "session_id"))
        self._usage.result(result)
        self._journal.consumed(self._usage.models)
        for denial in objects(result.get("permission_denials")):
            self._denied(denial)
        return True

    def _fault(self, result: Event, subtype: str) -> Fault:
        reason = text(result, "terminal_reason")
        errors = result.get("errors")
        told = "; ".join(map(str, errors)) if isinstance(errors, list) else ""
        message = text(result, "result") or told or reason or subtype or "the agent failed"
        if subtype == "error_max_turns" or reason == "max_turns":
            return Fault(message, "MAX_TURNS", retryable=False)
        if subtype == "error_max_budget_usd":
            kind = FailureKind.BUDGET_EXCEEDED
            return Fault(message, "BUDGET_EXCEEDED", kind, retryable=False)
        if subtype == "error_max_structured_output_retries":
            return Fault(message, "INVALID_OUTPUT", FailureKind.INVALID_OUTPUT, retryable=False)
        if reason.startswith("aborted"):
            return Fault(message, "AGENT_INTERRUPTED")
        if reason == "api_error" or result.get("api_error_status") is not None:
            fault = fault_of_status(message, count(result.get("api_error_status")))
            return msgspec.structs.replace(fault, retry_delay=self._delay())
        return Fault(message, "AGENT_ERROR", retry_delay=self._delay())

    def _delay(self) -> timedelta:
        """Return how long the limit on use lasts that ended the run."""
        now = self._journal.now
        if self._rejected_until is None or now is None:
            return timedelta()
        return max(timedelta(), min(self._rejected_until - now, timedelta(days=1)))


def is_claude(event: Event) -> bool:
    """Return whether *event* is one of Claude Code's."""
    match event.get("type"):
        case "system":
            return isinstance(event.get("subtype"), str)
        case "assistant" | "user":
            return isinstance(event.get("message"), dict)
        case "result":
            return isinstance(event.get("subtype"), str)
        case "stream_event":
            return isinstance(event.get("event"), dict)
        case "rate_limit_event" | "control_request" | "control_response":
            return True
        case _:
            return False


def _said_in(blocks: Sequence[Event]) -> str:
    return "\n\n".join(said for block in blocks if (said := text(block, "text", "thinking")))


def _is_left_running(event: Event, output: object) -> bool:
    """Return whether a result says only that an agent goes to work in the background."""
    result = fields(event.get("tool_use_result"))
    if result.get("isAsync") is True or text(result, "status") == "async_launched":
        return True
    return isinstance(output, str) and output.startswith("Async agent launched")


def _content(content: object) -> object:
    """Return what a tool returned: its text, and of what is no text only that it is there."""
    if not isinstance(content, list):
        return content
    parts = [
        text(block, "text") or f"[{text(block, 'type') or 'no text'}]" for block in objects(content)
    ]
    return "\n".join(parts)


def _told(event: Event) -> str:
    error = event.get("error")
    if isinstance(error, dict):
        return text(error, "message", "type")
    return text(event, "error", "message", "content", "decision_reason", "reason")
