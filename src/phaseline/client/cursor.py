"""Where a watch is: what frames mean to a follower that may be cut off at any time."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from phaseline.v1.watch_pb2 import Change, WatchFrame

# Enough for the seam between a snapshot and what follows it, which is where repeats may come.
# More would let a watch that runs for months grow.
REMEMBERED = 10_000


class EventKind(StrEnum):
    """What a watch tells."""

    CHANGED = "changed"  #: a resource as one commit left it
    SYNCED = "synced"  #: what existed when the watch began was told; once, and after each restart
    RESTARTED = "restarted"  #: the token had expired: the present state follows, forget the rest


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """
    One thing that a watch tells.

    Keep `resume_token` once the event is processed: a watch resumed from it skips nothing. Changes
    that came in one message share it, and only the last has the new one, so that those before may
    come again; they then have the same revision.
    """

    kind: EventKind
    change: Change | None  #: of CHANGED only
    resume_token: str
    folded_count: int = 0  #: older versions left out by the server before this event


class Cursor:
    """Turns frames into events: each change once, in order, with a token that is safe."""

    def __init__(self, resume_token: str = "") -> None:
        self.token = resume_token
        self._is_synced = False
        self._is_restarting = False
        self._revisions: OrderedDict[tuple[str | int, ...], int] = OrderedDict()

    def restart(self) -> None:
        """Forget the place: the next stream begins with the present state."""
        self.token = ""
        self._is_synced = False
        self._is_restarting = True
        # What was told is told again, or a follower could not see what has vanished meanwhile.
        self._revisions.clear()

    def take(self, frame: WatchFrame) -> list[WatchEvent]:
        """Return the events of *frame* and move on behind it."""
        before, self.token = self.token, frame.resume_token or self.token
        events = [WatchEvent(*told, before) for told in self._told(frame)]
        if events:
            # Only now is all of the frame handed out.
            folded = frame.change_set.folded_count
            events[-1] = replace(events[-1], resume_token=self.token, folded_count=folded)
        return events

    def _told(self, frame: WatchFrame) -> Iterator[tuple[EventKind, Change | None]]:
        if self._is_restarting:
            self._is_restarting = False
            yield EventKind.RESTARTED, None
        for change in frame.change_set.changes:
            if self._is_new(change):
                yield EventKind.CHANGED, change
        # Each stream tells it anew, so once more after each reconnection.
        if frame.bookmark.synced and not self._is_synced:
            self._is_synced = True
            yield EventKind.SYNCED, None

    def _is_new(self, change: Change) -> bool:
        ids, revision = _identity(change)
        if revision <= self._revisions.get(ids, 0):
            return False
        self._revisions[ids] = revision
        self._revisions.move_to_end(ids)
        if len(self._revisions) > REMEMBERED:
            self._revisions.popitem(last=False)
        return True


def _identity(change: Change) -> tuple[tuple[str | int, ...], int]:
    """Return the ids and the revision of what changed."""
    match change.WhichOneof("resource"):
        case "phase":
            phase = change.phase
            return (phase.execution_id, phase.phase_id), phase.revision
        case "operation":
            operation = change.operation
            return (
                operation.execution_id,
                operation.phase_id,
                operation.attempt,
                operation.operation_id,
            ), operation.revision
        case _:
            return (change.execution.execution_id,), change.execution.revision
