"""What a watch sends, for tests."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from phaseline.v1 import watch_pb2 as pb
from phaseline.v1.execution_pb2 import Execution, Operation, Phase

ADDED, MODIFIED, REMOVED = pb.CHANGE_KIND_ADDED, pb.CHANGE_KIND_MODIFIED, pb.CHANGE_KIND_REMOVED


def opened(token: str, *, bookmark_interval: timedelta | None = None) -> pb.WatchFrame:
    """Return the first frame of a stream."""
    frame = pb.WatchFrame(opened=pb.WatchOpened(), resume_token=token)
    if bookmark_interval is not None:
        frame.opened.bookmark_interval.FromTimedelta(bookmark_interval)
    return frame


def execution(
    execution_id: str, revision: int, kind: pb.ChangeKind.ValueType = MODIFIED
) -> pb.Change:
    """Return a version of an execution."""
    version = Execution(execution_id=execution_id, revision=revision)
    return pb.Change(kind=kind, execution=version)


def phase(phase_id: str, revision: int) -> pb.Change:
    """Return a version of a phase."""
    version = Phase(execution_id="x-1", phase_id=phase_id, revision=revision)
    return pb.Change(kind=MODIFIED, phase=version)


def operation(operation_id: str, revision: int, *, attempt: int = 1) -> pb.Change:
    """Return a version of an operation."""
    version = Operation(
        execution_id="x-1",
        phase_id="plan",
        attempt=attempt,
        operation_id=operation_id,
        revision=revision,
    )
    return pb.Change(kind=ADDED, operation=version)


def changes(token: str, *changes: pb.Change, folded_count: int = 0) -> pb.WatchFrame:
    """Return a frame of changes."""
    change_set = pb.ChangeSet(changes=changes, folded_count=folded_count)
    return pb.WatchFrame(change_set=change_set, resume_token=token)


def bookmark(token: str, *, synced: bool = False) -> pb.WatchFrame:
    """Return a bookmark."""
    return pb.WatchFrame(bookmark=pb.Bookmark(synced=synced), resume_token=token)


def closing(
    token: str, reason: pb.CloseReason.ValueType, reconnect_delay: float = 0.0
) -> pb.WatchFrame:
    """Return the last frame of a stream."""
    delay = Duration()
    delay.FromTimedelta(timedelta(seconds=reconnect_delay))
    return pb.WatchFrame(
        closing=pb.WatchClosing(reason=reason, reconnect_delay=delay), resume_token=token
    )


def completed(token: str) -> pb.WatchFrame:
    """Return the last frame of a watch whose executions are all terminal."""
    return closing(token, pb.CLOSE_REASON_COMPLETED)
