"""The change log as the rest of the program sees it: what each commit did, in commit order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import Protocol

import msgspec

from phaseline.domain.execution import Content, Execution, Operation
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.domain.payload import Payload


class Resource(IntEnum):
    """What a part of a change is a version of."""

    EXECUTION = 0
    PHASE = 1
    OPERATION = 2


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One resource as a commit left it, encoded once for everybody who is sent it."""

    resource: Resource
    #: The commit made the resource, and did not just change it.
    is_new: bool
    body: bytes
    #: What the full view adds to the body, payloads left out.
    extra: bytes = b""
    #: Position of the phase, ordinal of the operation: its place among those of the execution.
    ordinal: int = 0
    #: This version has a result, an output, or an input or output, which is stored apart.
    has_payload: bool = False


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What one commit did to one execution: the execution first, then phases, then operations."""

    revision: int
    key: Key
    root_execution_id: str
    changed_at: datetime
    #: None if the commit made it.
    status_before: ExecutionStatus | None
    status_after: ExecutionStatus
    parts: tuple[Part, ...]
    #: For what never changes of it: its spec. None once the execution is deleted.
    execution: Execution | None = None


class Folded(msgspec.Struct, frozen=True):
    """All that a range of the log did to one execution, as its last version and what led there."""

    #: The last in the range; the part of the execution alone is needed.
    entry: Entry
    #: Where the execution stood before the range; None if the range made it.
    status_before: ExecutionStatus | None
    #: Where it stood in between, each status once.
    passed: frozenset[ExecutionStatus] = frozenset()
    #: Versions in the range that are older than the last.
    left_out: int = 0


class Commit(msgspec.Struct, frozen=True):
    """All that one commit did."""

    revision: int
    entries: tuple[Entry, ...]


class Announcer(Protocol):
    """Is told of each commit, in order, right after it."""

    def committed(self, commit: Commit) -> None:
        """Take note of *commit*; never blocks and never fails."""

    def advance(self, head: int) -> None:
        """Take note that others committed up to *head*, and that the log alone tells what."""


class Feed(Protocol):
    """Knows how far commits have come."""

    @property
    def head(self) -> int:
        """The newest committed revision."""

    async def changed(self, key: Key, *, after: int) -> None:
        """Return once a revision past *after* changed the execution."""


class ActivePage(msgspec.Struct, frozen=True):
    """Some active executions, by execution_id, as of one revision."""

    executions: Sequence[Execution]
    has_more: bool
    revision: int


class TreePage(msgspec.Struct, frozen=True):
    """An execution with phases and operations, to send it whole, as of one revision."""

    execution: Execution
    content: Content
    outputs: dict[int, Payload]
    operations: Sequence[Operation]
    revision: int
