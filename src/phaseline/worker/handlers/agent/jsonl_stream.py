"""
The neutral format, for agents without an adapter of their own: one JSON object a line.

Each line has one of these fields, and others are kept as they are, as operations of type "custom":

    {"session_id": "..."}
    {"message": "text of the agent"}
    {"operation": {"operation_id": "1", "tool_name": "Bash", "input": ...}}
    {"operation": {"operation_id": "1", "success": true, "output": ...}}
    {"usage": {"model": "...", "input_tokens": 1, "output_tokens": 2, "cache_creation_tokens": 3,
               "cache_read_tokens": 4, "cost_usd": "0.01"}}
    {"progress": {"percent": 50, "message": "..."}}
    {"artifact": {"name": "report.md", "content": "...", "media_type": "text/markdown"}}
    {"result": {"output": ...}}
    {"result": {"error": {"message": "...", "code": "UPPER_SNAKE", "retryable": false}}}

An operation may also say its operation_type ("tool" unless it is said), parent_operation_id,
tool_use_id and error_message. Usage is what a model has consumed up to now, the four counts
disjoint; without a cost the server prices it. A program that ends with exit code 0 and without a
result is taken to have done its work: its last message is the output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from phaseline.domain.usage import ModelUsage
from phaseline.worker.handlers.agent.events import Event, count, fields, text
from phaseline.worker.handlers.agent.journal import Journal
from phaseline.worker.handlers.agent.reader import Fault, Success, Verdict
from phaseline.worker.handlers.agent.tokens import Tokens, nanos_of

_FIELDS = frozenset(
    {"session_id", "message", "operation", "usage", "progress", "artifact", "result"}
)

_LONGEST_DELAY = timedelta(days=1)


class JsonlReader:
    """Reads one run."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._usage: dict[str, ModelUsage] = {}
        self._said = ""
        self._verdict: Verdict | None = None
        self._by_field: Mapping[str, Callable[[object], bool]] = {
            "session_id": self._session,
            "message": self._message,
            "operation": self._operation,
            "usage": self._take_usage,
            "progress": self._progress,
            "artifact": self._artifact,
            "result": self._result,
        }

    def read(self, event: Event) -> bool:
        known = [read(event[name]) for name, read in self._by_field.items() if name in event]
        return bool(known) and all(known)

    def verdict(self, exit_code: int | None) -> Verdict | None:
        return Success(self._said) if self._verdict is None and exit_code == 0 else self._verdict

    def _session(self, value: object) -> bool:
        if isinstance(value, str):
            self._journal.session(value)
        return isinstance(value, str)

    def _message(self, value: object) -> bool:
        if isinstance(value, str):
            self._said = value
            self._journal.note("message", output=value)
        return isinstance(value, str)

    def _operation(self, value: object) -> bool:
        told = fields(value)
        key = text(told, "operation_id")
        if not key:
            return False
        tool = text(told, "tool_name")
        self._journal.begin(
            key,
            text(told, "operation_type") or "tool",
            tool_name=tool,
            tool_use_id=text(told, "tool_use_id"),
            parent=text(told, "parent_operation_id"),
            input=told.get("input"),
        )
        success = told.get("success")
        if isinstance(success, bool):
            error = None if success else text(told, "error_message") or "failed"
            self._journal.end(key, error=error, output=told.get("output"))
        return True

    def _take_usage(self, value: object) -> bool:
        told = fields(value)
        model = text(told, "model")
        tokens = Tokens(
            count(told.get("input_tokens")) or 0,
            count(told.get("output_tokens")) or 0,
            count(told.get("cache_creation_tokens")) or 0,
            count(told.get("cache_read_tokens")) or 0,
        )
        if not model:
            return False
        usage = tokens.of(model, nanos_of(told.get("cost_usd")))
        self._usage[usage.model] = usage
        self._journal.consumed(tuple(self._usage.values()))
        return True

    def _progress(self, value: object) -> bool:
        percent = count(fields(value).get("percent"))
        if percent is None or percent > 100:
            return False
        self._journal.progress(percent, text(fields(value), "message"))
        return True

    def _artifact(self, value: object) -> bool:
        told = fields(value)
        try:
            self._journal.artifact(
                text(told, "name"), told.get("content") or "", text(told, "media_type")
            )
        except ValueError as error:
            self._journal.note("error", error=str(error))
        return True

    def _result(self, value: object) -> bool:
        told = fields(value)
        error = told.get("error")
        if not error:
            output = told.get("output")
            self._verdict = Success(self._said if output is None else output)
        else:
            self._verdict = _fault(fields(error), error)
        return True


def is_jsonl(event: Event) -> bool:
    """Return whether *event* is one of the neutral format."""
    return bool(event) and event.keys() <= _FIELDS


def _fault(error: Event, value: object) -> Fault:
    retryable = error.get("retryable")
    delay = count(error.get("retry_delay_seconds")) or 0
    return Fault(
        text(error, "message") or str(value),
        text(error, "code") or "AGENT_ERROR",
        retryable=retryable if isinstance(retryable, bool) else None,
        retry_delay=min(timedelta(seconds=min(delay, 10**6)), _LONGEST_DELAY),
    )
