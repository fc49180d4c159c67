"""Reads what `codex exec --json` prints."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from phaseline.domain.usage import ModelUsage
from phaseline.worker.handlers.agent.events import Event, count, fields, text
from phaseline.worker.handlers.agent.journal import Journal
from phaseline.worker.handlers.agent.reader import Fault, Success, Verdict, fault_of_status
from phaseline.worker.handlers.agent.tokens import NONE, UNKNOWN_MODEL, Tokens

#: Items that are calls of a tool.
_TOOLS = ("command_execution", "file_change", "web_search", "mcp_tool_call", "collab_tool_call")
_FAILED = ("failed", "declined")

#: As in "unexpected status 401 Unauthorized" and "last status: 429 Too Many Requests".
_STATUS = re.compile(r"\bstatus:? ([45]\d\d)\b")

_QUIET = ("turn.started", "item.plan.delta")


class CodexReader:
    """
    Reads one run.

    Codex names no model: *model* is the one it was asked to use. *before* is what the session had
    consumed, if the run took one up again: Codex goes on counting.
    """

    def __init__(
        self, journal: Journal, *, model: str = "", before: Sequence[ModelUsage] = ()
    ) -> None:
        self._journal = journal
        self._model = model or UNKNOWN_MODEL
        self._before = sum(map(Tokens.in_usage, before), NONE)
        #: Of turns before the last one that count for themselves, and of the last one.
        self._earlier = NONE
        self._latest = NONE
        self._threads = 0
        self._said = ""
        self._last_error = ""
        self._verdict: Verdict | None = None
        self._by_type: Mapping[str, Callable[[Event], object]] = {
            "thread.started": self._thread_started,
            "session.created": self._thread_started,
            "turn.started": self._turn_started,
            "turn.completed": self._turn_completed,
            "turn.failed": self._turn_failed,
            "error": self._error,
            "item.started": self._item,
            "item.updated": self._item,
            "item.completed": self._item,
        }

    def read(self, event: Event) -> bool:
        kind = text(event, "type")
        read = self._by_type.get(kind)
        if read is None:
            return kind in _QUIET
        return read(event) is not False

    def verdict(self, exit_code: int | None) -> Verdict | None:
        if self._verdict is None and self._last_error:
            return _fault(self._last_error)
        return self._verdict

    # Threads and turns

    def _thread_started(self, event: Event) -> None:
        self._threads += 1
        self._journal.session(text(event, "thread_id", "session_id"))

    def _turn_started(self, event: Event) -> None:
        self._verdict, self._last_error = None, ""

    def _turn_completed(self, event: Event) -> None:
        usage = fields(event.get("usage"))
        if usage:
            self._take_usage(_tokens_of(usage))
        self._verdict = Success(self._said)

    def _turn_failed(self, event: Event) -> None:
        error = event.get("error")
        said = text(fields(error), "message") or text(event, "error", "message")
        self._verdict = _fault(said or self._last_error or "the turn failed")

    def _error(self, event: Event) -> None:
        # Fatal, or only a notice that it connects once more: the end of the turn will tell.
        self._last_error = text(event, "message") or text(fields(event.get("error")), "message")
        self._journal.note("error", error=_plain(self._last_error) or "an error")

    def _take_usage(self, tokens: Tokens) -> None:
        # Each turn tells what the thread has consumed since its beginning. Counts that go back
        # can only be of another thread, or of a release that counts each turn for itself.
        if tokens.covers(self._before):
            tokens -= self._before
        if not tokens.covers(self._latest):
            self._earlier += self._latest
        self._latest = tokens
        whole = self._earlier + self._latest
        self._journal.consumed((whole.of(self._model),))

    # Items

    def _item(self, event: Event) -> bool:
        item = fields(event.get("item"))
        kind = text(item, "type", "item_type")
        has_ended = text(event, "type") == "item.completed"
        # Items are numbered anew in each thread, of which the log of several runs has several.
        prefix = f"thread-{self._threads}-" if self._threads > 1 else ""
        key = prefix + (text(item, "id") or self._journal.new_key(kind))
        if kind in _TOOLS:
            self._tool(key, kind, item, has_ended=has_ended)
        elif kind in ("agent_message", "assistant_message"):
            self._message(key, text(item, "text"))
        elif kind in ("reasoning", "plan"):
            self._journal.note(kind, key=key, output=text(item, "text"))
        elif kind == "todo_list":
            self._journal.note("plan", key=key, output=item.get("items"))
        elif kind == "error":
            self._journal.note("error", key=key, error=_plain(text(item, "message")) or "a warning")
        else:
            return False
        return True

    def _message(self, key: str, said: str) -> None:
        self._said = said
        self._journal.note("message", key=key, output=said)

    def _tool(self, key: str, kind: str, item: Event, *, has_ended: bool) -> None:
        tool = text(item, "tool")
        is_sub_agent = kind == "collab_tool_call" and tool == "spawn_agent"
        self._journal.begin(
            key,
            "subagent" if is_sub_agent else "tool",
            tool_name=_tool_name(kind, item),
            tool_use_id=text(item, "id"),
            input=_input(kind, item),
        )
        if has_ended:
            self._journal.end(key, error=_error_of(item), output=_output(item))
            if text(item, "status") == "declined":
                self._journal.note(
                    "permission",
                    key=f"denied-{key}",
                    tool_use_id=text(item, "id"),
                    parent=key,
                    error=f"{kind} was not allowed",
                )


def is_codex(event: Event) -> bool:
    """Return whether *event* is one of Codex's."""
    return text(event, "type").startswith(("thread.", "turn.", "item.", "session.created"))


def _tokens_of(usage: Event) -> Tokens:
    # The cached ones are in the input, and reasoning is in the output.
    whole = count(usage.get("input_tokens")) or 0
    cached = count(usage.get("cached_input_tokens")) or 0
    written = count(usage.get("cache_write_input_tokens")) or 0
    output = count(usage.get("output_tokens")) or 0
    return Tokens(max(0, whole - cached - written), output, written, cached)


def _tool_name(kind: str, item: Event) -> str:
    tool = text(item, "tool")
    if kind == "mcp_tool_call":
        return f"mcp__{text(item, 'server')}__{tool}"
    return tool if kind == "collab_tool_call" and tool else kind


def _input(kind: str, item: Event) -> object:
    match kind:
        case "command_execution":
            return item.get("command")
        case "file_change":
            return item.get("changes")
        case "mcp_tool_call":
            return item.get("arguments")
        case "collab_tool_call":
            return item.get("prompt")
        case _:
            return item.get("query")


def _output(item: Event) -> object:
    output = text(item, "aggregated_output")
    return output or item.get("result") or item.get("agents_states") or item.get("action")


def _error_of(item: Event) -> str | None:
    """Return why a call of a tool failed, None if it did not."""
    error, exit_code = item.get("error"), item.get("exit_code")
    if text(item, "status") not in _FAILED and not error and exit_code in (None, 0):
        return None
    said = text(fields(error), "message") or text(item, "error")
    return said or (f"exit code {exit_code}" if exit_code else text(item, "status") or "failed")


def _fault(said: str) -> Fault:
    inside = _inside(said)
    if text(fields(inside.get("error")), "type") == "invalid_request_error":
        return fault_of_status(_plain(said), 400)
    in_text = _STATUS.search(said)
    status = int(in_text[1]) if in_text else count(inside.get("status"))
    if status is not None:
        return fault_of_status(_plain(said), status)
    return Fault(_plain(said), "AGENT_ERROR")


def _plain(said: str) -> str:
    """Return the text in an error that is JSON inside of a text."""
    inside = _inside(said)
    error = inside.get("error")
    return text(fields(error), "message") or text(inside, "detail", "message", "error") or said


def _inside(said: str) -> Event:
    if not said.lstrip().startswith("{"):
        return {}
    try:
        return fields(msgspec.json.decode(said))
    except (msgspec.MsgspecError, RecursionError):
        return {}
