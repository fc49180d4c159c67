"""What watching needs from the outside world, as protocols and the values that cross them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Protocol

from phaseline.app.changes import ActivePage, Entry, Folded, Part, TreePage
from phaseline.app.ports import Slot
from phaseline.app.queries import ExecutionFilter, OperationPage, OperationQuery
from phaseline.domain.execution import Content, Execution
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload
from phaseline.domain.report import OperationReport


class Kind(IntEnum):
    """What a change is, seen from one watch; the numbers are those of `ChangeKind`."""

    ADDED = 1
    MODIFIED = 2
    REMOVED = 3


class CloseReason(IntEnum):
    """Why the server ends a watch; the numbers are those of `CloseReason` on the wire."""

    COMPLETED = 1
    DRAINING = 2
    MAX_AGE = 3
    CREDENTIALS_EXPIRED = 4


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Call nothing. Harmless once it has called."""


class Clock(Protocol):
    """Tells the time, and calls back when it has come."""

    def now(self) -> datetime:
        """Return the present moment, UTC. May jump."""

    def time(self) -> float:
        """Return seconds that never jump; only differences mean anything."""

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call *callback* on the event loop once `time()` has reached *when*."""


class History(Protocol):
    """
    Reads what is committed, on connections that no writer waits for.

    Within a commit everything is ordered by execution_id. A read sees every commit that was
    announced, or named in an answer, before it began.
    """

    async def head(self) -> int:
        """Return the newest committed revision."""

    async def trimmed(self) -> int:
        """Return the newest revision that is no longer kept; 0 if all are."""

    async def entries_of(
        self, key: Key, *, descendants: bool, after: int, until: int, limit: int
    ) -> Sequence[Entry]:
        """
        Return what commits past *after* up to *until* did to the execution, all parts.

        If *descendants* with all below it. At most *limit* entries, but never half a commit: one
        that alone has more comes whole.
        """

    async def folded(
        self,
        workspace_id: str,
        matching: ExecutionFilter,
        *,
        after: int,
        until: int,
        past: tuple[int, str],
        limit: int,
    ) -> Sequence[Folded]:
        """
        Return what commits past *after* up to *until* did in the workspace, folded.

        One for each execution, in the order of the last versions, those past the revision and
        execution_id of *past* only, at most *limit*. May leave out what `matches_spec` refuses.
        """

    async def active_page(
        self, workspace_id: str, matching: ExecutionFilter, *, after_id: str, limit: int
    ) -> ActivePage:
        """Return active executions past *after_id* that match, by execution_id."""

    async def execution_page(
        self, key: Key, *, after: int, limit: int, full: bool
    ) -> TreePage | None:
        """
        Return the execution with its phases, and at most *limit* operations past ordinal *after*.

        If *full* with its content and outputs, and the operations with input and output.
        """

    async def pages_below(
        self, key: Key, *, after_id: str, limit: int, operations: int, full: bool
    ) -> Sequence[TreePage]:
        """
        Return at most *limit* descendants past *after_id*, by execution_id, as of one revision.

        Each as `execution_page` returns it, with its first *operations* operations.
        """

    async def settled(self, key: Key) -> tuple[bool, int]:
        """Return whether the execution and all below it are terminal, and as of which revision."""


class State(Protocol):
    """Reads the present state; a part of `Reads`, and as fresh."""

    async def status(self, key: Key) -> Execution | None:
        """Return the execution, perhaps without its phases."""

    async def content(self, key: Key) -> Content:
        """Return what the execution was given; empty if nothing, or if purged."""

    async def outputs(self, slots: Sequence[Slot]) -> Mapping[Slot, Payload]:
        """Return the outputs that are stored."""

    async def operations(self, query: OperationQuery) -> OperationPage:
        """Return one page, in the order of first record."""


class FrameCodec(Protocol):
    """
    Makes the bytes that are sent.

    Protobuf merges a message that follows another into it, so payloads are bytes that follow.
    """

    def change(
        self, kind: int, changed_at: datetime, part: Part, *, full: bool, payloads: bytes = b""
    ) -> bytes:
        """Return one change; in *full* with what that view adds and *payloads* after it."""

    def change_set(self, changes: Sequence[bytes], folded: int, token: str) -> bytes:
        """Return the frame of *changes*."""

    def opened(
        self, retention: timedelta, bookmark_interval: timedelta, max_age: timedelta, token: str
    ) -> bytes:
        """Return the first frame."""

    def bookmark(self, token: str, *, synced: bool) -> bytes:
        """Return the frame that only moves the token on, or with *synced* ends the snapshot."""

    def closing(self, reason: int, reconnect_delay: timedelta, token: str) -> bytes:
        """Return the last frame."""

    def content(self, content: Content) -> bytes:
        """Return what the full view of an execution adds of what it was given."""

    def result(self, result: Payload) -> bytes:
        """Return what the full view of an execution adds of what it produced."""

    def output(self, output: Payload) -> bytes:
        """Return what the full view of a phase adds of what it produced."""

    def operation_payloads(self, told: OperationReport) -> bytes:
        """Return what the full view of an operation adds."""
