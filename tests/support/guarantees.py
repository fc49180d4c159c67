"""
What a watch promises, as functions over what was seen.

They know nothing of how a watch is made. They run over frames from unit tests, from gRPC streams,
from streams that were cut and resumed, and from servers that were killed. Each function is one of
the guarantees of the README, and raises `AssertionError` where it does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from phaseline.domain.errors import OutOfRange, PhaselineError
from phaseline.v1 import execution_pb2, watch_pb2
from phaseline.v1.watch_pb2 import ChangeKind, CloseReason, WatchFrame

MAX_CHANGES = 100
MAX_FRAME_SIZE = 3 * 1024 * 1024

#: What names a resource: the execution_id, then phase_id, attempt and operation_id if it has them.
Id = tuple[str, ...]

_TERMINAL = {
    execution_pb2.EXECUTION_STATUS_COMPLETED,
    execution_pb2.EXECUTION_STATUS_FAILED,
    execution_pb2.EXECUTION_STATUS_CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One change, as a watcher saw it."""

    id: Id
    revision: int
    kind: str
    #: Of an execution.
    is_terminal: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, and when it came, in seconds."""

    #: "opened", "change_set", "bookmark" or "closing".
    kind: str
    token: str
    at: float = 0.0
    changes: tuple[Seen, ...] = ()
    folded: int = 0
    synced: bool = False
    reason: str = ""
    size: int = 0


#: All frames of one stream, from its opening on.
Stream = Sequence[Frame]
#: Streams of which each was resumed from the last token of the one before.
History = Sequence[Stream]


@dataclass(frozen=True, slots=True)
class Version:
    """One resource as one commit left it: what there was to see."""

    id: Id
    revision: int
    is_new: bool = False
    #: Of an execution: whether it was active and matched the filter, before and after.
    was_wanted: bool = False
    is_wanted: bool = False


def frame_of(message: WatchFrame, at: float = 0.0) -> Frame:
    """Return what a watcher sees of *message*."""
    return Frame(
        kind=message.WhichOneof("kind") or "",
        token=message.resume_token,
        at=at,
        changes=tuple(map(_seen, message.change_set.changes)),
        folded=message.change_set.folded_count,
        synced=message.bookmark.synced,
        reason=_reason(message.closing) if message.HasField("closing") else "",
        size=message.ByteSize(),
    )


def well_formed(stream: Stream) -> None:
    """A stream is opened once, every frame has a token, and no change set is empty."""
    kinds = [frame.kind for frame in stream]
    assert kinds[:1] in ([], ["opened"]), f"begins with {kinds[0]}"
    assert kinds.count("opened") <= 1, "opened twice"
    for frame in stream:
        assert frame.token, f"a {frame.kind} frame has no token"
        assert bool(frame.changes) == (frame.kind == "change_set"), f"{frame.kind} is empty"


def ordered(history: History) -> None:
    """Revisions of a resource only rise."""
    newest: dict[Id, int] = {}
    for change in _changes(history):
        assert change.revision > newest.get(change.id, 0), f"{change} after {newest[change.id]}"
        newest[change.id] = change.revision


def in_commit_order(history: History) -> None:
    """In a watch of every version, what follows the snapshot comes in the order of commits."""
    newest = 0
    for change in _changes_after_sync(history):
        assert change.revision >= newest, f"{change} after revision {newest}"
        newest = change.revision


def unique(history: History) -> None:
    """No change comes twice."""
    seen: set[tuple[Id, int]] = set()
    for change in _changes(history):
        assert (change.id, change.revision) not in seen, f"{change} came twice"
        seen.add((change.id, change.revision))


def every_version(history: History, log: Sequence[Version], *, after: int | None = None) -> None:
    """
    Nothing is missing from a watch of every version that is up to date.

    *log* has all versions of what is watched. With *after* the watch began at that revision, else
    with a snapshot: then of each resource every version is seen from the first that was sent on.
    """
    seen = _revisions_by_id(_changes(history))
    for id, revisions in _revisions_by_id(log).items():
        assert after is not None or id in seen, f"nothing was seen of {id}, which has {revisions}"
        least = seen[id][0] if after is None else after + 1
        wanted = [revision for revision in revisions if revision >= least]
        assert seen.get(id, []) == wanted, f"of {id} came {seen.get(id, [])}, not {wanted}"


def newest_versions(
    history: History, log: Sequence[Version], *, after: int, had: Mapping[Id, int] | None = None
) -> None:
    """
    Nothing is missing from a watch of active executions that is up to date.

    Its reader, who *had* some to begin with, holds what is active in the newest version. And it was
    told of each execution that was active at any time past *after*: the revision it began with, or
    one that was committed when it was synced.
    """
    newest = {version.id: version for version in log}
    active = {id: version.revision for id, version in newest.items() if version.is_wanted}
    held = _held(history, had or {})
    assert held == active, f"the reader holds {held}, and active are {active}"
    told = {change.id: change.revision for change in _changes(history)}
    for version in log:
        if version.revision > after and (version.was_wanted or version.is_wanted):
            assert told.get(version.id, 0) >= version.revision, f"{version} was never told"


def kinds_fit(history: History, held: Iterable[Id] = ()) -> None:
    """
    ADDED is what the reader does not have, MODIFIED what it has.

    REMOVED may be what it never had. *held* is what it had at the beginning.
    """
    has = set(held)
    for change in _changes(history):
        assert change.kind != "ADDED" or change.id not in has, f"{change}, but the reader has it"
        assert change.kind != "MODIFIED" or change.id in has, f"{change}, and the reader lacks it"
        if change.kind == "REMOVED":
            has.discard(change.id)
        else:
            has.add(change.id)


def resumable(history: History, log: Sequence[Version], *, after: int | None = None) -> None:
    """Cut and resumed, a watch of every version tells the same as one that was not."""
    ordered(history)
    unique(history)
    every_version(history, log, after=after)


def synced(stream: Stream) -> None:
    """The end of the snapshot is marked exactly once; call it for a stream that was up to date."""
    marks = [frame for frame in stream if frame.synced]
    assert len(marks) == 1, f"marked {len(marks)} times"


def bookmarked(stream: Stream, interval: timedelta, *, until: float | None = None) -> None:
    """A stream is never silent for longer than its interval, up to *until* if that is given."""
    times = [frame.at for frame in stream] + ([] if until is None else [until])
    for earlier, later in pairwise(times):
        silence = later - earlier
        assert silence <= interval.total_seconds(), f"silent for {silence} s from {earlier} on"


def moved_on(before: Frame, bookmark: Frame) -> None:
    """A bookmark after something was committed has another token than the frame before it."""
    assert bookmark.kind == "bookmark", f"a {bookmark.kind} came"
    assert bookmark.token != before.token, "the token stood still"


def trimmed(error: PhaselineError | None, *, after: int, oldest: int) -> None:
    """A watch from *after* is refused if *oldest* is all that is kept, and only then."""
    if after >= oldest - 1:
        assert error is None, f"refused: {error}"
        return
    assert isinstance(error, OutOfRange), f"not refused, but {error!r}"
    assert error.reason == "RESUME_TOKEN_EXPIRED", error.reason
    assert error.metadata["oldest_revision"] == str(oldest), error.metadata


def bounded(stream: Stream) -> None:
    """No frame is larger than a client must take."""
    for frame in stream:
        assert len(frame.changes) <= MAX_CHANGES, f"{len(frame.changes)} changes in a frame"
        assert frame.size < MAX_FRAME_SIZE, f"{frame.size} bytes in a frame"


def closing(stream: Stream, reason: str) -> None:
    """The last frame says why the server ended the stream, and no other does."""
    reasons = [frame.reason for frame in stream if frame.kind == "closing"]
    assert reasons == [reason], f"closed with {reasons}"
    assert stream[-1].kind == "closing", f"a {stream[-1].kind} came after the end"


def closes_after_the_last_version(history: History, id: Id) -> None:
    """A watch that is COMPLETED has told the terminal version of what it watched."""
    assert history[-1][-1].reason == "COMPLETED", f"closed as {history[-1][-1].reason!r}"
    versions = [change for change in _changes(history) if change.id == id]
    assert not versions or versions[-1].is_terminal, f"the last was {versions[-1]}"


def durable(history: History, stored: Mapping[Id, int]) -> None:
    """What was seen is stored, in that version or a newer one, whatever crashed since."""
    for change in _changes(history):
        assert stored.get(change.id, 0) >= change.revision, f"{change} is not stored"


def counted(history: History, log: Sequence[Version], *, after: int) -> None:
    """What is not sent is counted, in a watch without a filter that began at a revision."""
    left_out = sum(frame.folded for stream in history for frame in stream)
    sent = sum(1 for _ in _changes(history))
    due = sum(version.revision > after for version in log)
    assert left_out + sent == due, f"{sent} sent and {left_out} left out of {due}"


def _changes(history: History) -> Iterator[Seen]:
    for stream in history:
        for frame in stream:
            yield from frame.changes


def _changes_after_sync(history: History) -> Iterator[Seen]:
    is_synced = False
    for stream in history:
        for frame in stream:
            is_synced = is_synced or frame.synced
            if is_synced:
                yield from frame.changes


def _held(history: History, had: Mapping[Id, int]) -> dict[Id, int]:
    """Return what a reader has that keeps what is active."""
    held = dict(had)
    for change in _changes(history):
        if change.kind == "REMOVED":
            held.pop(change.id, None)
        else:
            held[change.id] = change.revision
    return held


def _revisions_by_id(items: Iterable[Seen] | Iterable[Version]) -> dict[Id, list[int]]:
    revisions: dict[Id, list[int]] = {}
    for item in items:
        revisions.setdefault(item.id, []).append(item.revision)
    return revisions


def _reason(closing: watch_pb2.WatchClosing) -> str:
    return CloseReason.Name(closing.reason).removeprefix("CLOSE_REASON_")


def _seen(change: watch_pb2.Change) -> Seen:
    kind = ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_")
    match change.WhichOneof("resource"):
        case "phase":
            phase = change.phase
            return Seen((phase.execution_id, phase.phase_id), phase.revision, kind)
        case "operation":
            told = change.operation
            id = (told.execution_id, told.phase_id, str(told.attempt), told.operation_id)
            return Seen(id, told.revision, kind)
        case _:
            execution = change.execution
            is_terminal = execution.status in _TERMINAL
            return Seen((execution.execution_id,), execution.revision, kind, is_terminal)
