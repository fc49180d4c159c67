"""Streams of agents, and what is seen in them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from phaseline.domain.report import OperationReport
from phaseline.domain.usage import ModelUsage
from phaseline.worker.handlers.agent.adapter import Beginning
from phaseline.worker.handlers.agent.adapters import ADAPTERS
from phaseline.worker.handlers.agent.events import Event, moment
from phaseline.worker.handlers.agent.reader import Fault, Success, Verdict
from phaseline.worker.handlers.agent.stream import Stream

ROOT = Path(__file__).parents[2]

#: A program that plays an agent.
STAND_IN = Path(__file__).with_name("stand_in_agent.py")


def recorded_streams() -> Path | None:
    """Return where the recorded streams of real agents are, if they are on this machine."""
    data = Path(os.environ.get("PHASELINE_SHARED_DATA") or ROOT.parent / "shared" / "data")
    streams = data / "agent-streams"
    return streams if (streams / "facts.json").is_file() else None


class Seen:
    """What a stream told, as a listener that keeps it all."""

    def __init__(self) -> None:
        self.reports: list[OperationReport] = []
        self.models: tuple[ModelUsage, ...] = ()
        self.session_id = ""
        self.percents: list[int] = []
        self.artifacts: dict[str, object] = {}

    def record(self, report: OperationReport) -> None:
        self.reports.append(report)

    def replace_usage(self, models: Sequence[ModelUsage]) -> None:
        self.models = tuple(models)

    def session(self, session_id: str) -> None:
        self.session_id = session_id

    def progress(self, percent: int, message: str = "") -> None:
        self.percents.append(percent)

    def artifact(self, name: str, content: object, media_type: str = "") -> None:
        if not name:
            raise ValueError("an artifact needs a name")
        self.artifacts[name] = content

    @property
    def operations(self) -> dict[str, OperationReport]:
        """The operations by id, each as it was told last, in the order in which they began."""
        return {each.operation_id: each for each in self.reports}

    def of_type(self, *types: str) -> list[OperationReport]:
        """The operations of some types."""
        return [each for each in self.operations.values() if each.operation_type in types]

    @property
    def tools(self) -> list[OperationReport]:
        """The calls of tools."""
        return [each for each in self.operations.values() if each.tool_name]

    @property
    def tool_names(self) -> Counter[str]:
        """How often each tool was called."""
        return Counter(each.tool_name for each in self.tools)

    def tokens(self) -> tuple[int, int, int, int]:
        """What all models have consumed: input, output, written to and read from a cache."""
        return (
            sum(each.input_tokens for each in self.models),
            sum(each.output_tokens for each in self.models),
            sum(each.cache_creation_tokens for each in self.models),
            sum(each.cache_read_tokens for each in self.models),
        )


class Watched:
    """A stream that a test feeds."""

    def __init__(self, adapter: str, *, model: str = "", before: Sequence[ModelUsage] = ()) -> None:
        self.seen = Seen()
        self.stream = Stream(
            ADAPTERS[adapter], self.seen, _when, Beginning(model=model, before=before)
        )

    def says(self, *events: Event) -> Seen:
        """Let the agent print events, each on a line."""
        self.stream.feed(lines(events))
        return self.seen

    def ends(self, exit_code: int | None = 0) -> Verdict:
        """Let the agent end."""
        return self.stream.end(exit_code)

    def succeeds(self) -> object:
        """Let the agent end well; return its output."""
        verdict = self.ends()
        assert isinstance(verdict, Success), verdict
        return verdict.output

    def fails(self, exit_code: int | None = 0) -> Fault:
        """Let the agent end, which it does not do well."""
        verdict = self.ends(exit_code)
        assert isinstance(verdict, Fault), verdict
        return verdict


def read_whole(adapter: str, data: bytes, *, exit_code: int | None = None) -> tuple[Seen, Verdict]:
    """Read a stream at once."""
    watched = Watched(adapter)
    watched.stream.feed(data)
    return watched.seen, watched.ends(exit_code)


def lines(events: Iterable[Event]) -> bytes:
    """Return events as an agent prints them."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def _when(event: Event) -> datetime | None:
    return moment(event.get("timestamp"))


needs_recorded_streams = pytest.mark.skipif(
    recorded_streams() is None, reason="the recorded streams are not on this machine"
)
