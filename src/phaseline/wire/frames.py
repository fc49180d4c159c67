"""
Frames of a watch, put together from bytes that were encoded once.

Protobuf writes a message in a field as a tag, a length and the message's own bytes, and two halves
of a message one after the other are that message. So a change that many watchers are sent is
encoded once, and each frame is a few short joins around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from phaseline.app.changes import Part, Resource
from phaseline.domain.execution import Content
from phaseline.domain.payload import Payload
from phaseline.domain.report import OperationReport
from phaseline.v1 import execution_pb2, execution_service_pb2, watch_pb2
from phaseline.wire.executions import add_content
from phaseline.wire.payloads import payload_message
from phaseline.wire.scalars import duration, timestamp

_LENGTH_DELIMITED = 2
#: Changes are of a few hundred lengths.
_MOST_LENGTHS = 4096


def _tag(number: int) -> bytes:
    # One byte is enough: the fields that we write so have numbers below 16.
    return bytes((number << 3 | _LENGTH_DELIMITED,))


_RESOURCE_TAGS = {
    Resource.EXECUTION: _tag(watch_pb2.Change.EXECUTION_FIELD_NUMBER),
    Resource.PHASE: _tag(watch_pb2.Change.PHASE_FIELD_NUMBER),
    Resource.OPERATION: _tag(watch_pb2.Change.OPERATION_FIELD_NUMBER),
}
_KINDS: dict[int, bytes] = {
    kind: watch_pb2.Change(kind=kind).SerializeToString() for kind in watch_pb2.ChangeKind.values()
}
_CHANGES = _tag(watch_pb2.ChangeSet.CHANGES_FIELD_NUMBER)
_CHANGE_SET = _tag(watch_pb2.WatchFrame.CHANGE_SET_FIELD_NUMBER)
_RESUME_TOKEN = _tag(watch_pb2.WatchFrame.RESUME_TOKEN_FIELD_NUMBER)
# The same in WatchActiveResponse, so that the bytes of a frame serve both.
_FRAME = _tag(execution_service_pb2.WatchResponse.FRAME_FIELD_NUMBER)


_BOOKMARK = watch_pb2.WatchFrame(bookmark=watch_pb2.Bookmark()).SerializeToString()
_SYNCED = watch_pb2.WatchFrame(bookmark=watch_pb2.Bookmark(synced=True)).SerializeToString()


class Frames:
    """
    Makes the bytes that watchers are sent.

    What the full view adds to a part is made apart, and goes behind the bytes of the part.
    """

    def change(
        self,
        kind: int,
        changed_at: datetime,
        part: Part,
        *,
        full: bool,
        payloads: bytes = b"",
    ) -> bytes:
        """Return one change, ready for any number of frames."""
        body = part.body + part.extra + payloads if full else part.body
        head = _KINDS[kind] + _changed_at(changed_at) + _RESOURCE_TAGS[part.resource]
        return b"".join((head, _varint(len(body)), body))

    def change_set(self, changes: Sequence[bytes], folded: int, token: str) -> bytes:
        """Return the frame of *changes*, each made by `change`, in the order given."""
        count = watch_pb2.ChangeSet(folded_count=folded).SerializeToString() if folded else b""
        body = b"".join((*_fields(_CHANGES, changes), count))
        return _frame(_field(_CHANGE_SET, body), token)

    def opened(
        self, retention: timedelta, bookmark_interval: timedelta, max_age: timedelta, token: str
    ) -> bytes:
        """Return the first frame."""
        opened = watch_pb2.WatchOpened(
            retention=duration(retention),
            bookmark_interval=duration(bookmark_interval),
            max_age=duration(max_age),
        )
        return _frame(watch_pb2.WatchFrame(opened=opened).SerializeToString(), token)

    def bookmark(self, token: str, *, synced: bool) -> bytes:
        """Return the frame that only moves the token on, or with *synced* ends the snapshot."""
        return _frame(_SYNCED if synced else _BOOKMARK, token)

    def closing(self, reason: int, reconnect_delay: timedelta, token: str) -> bytes:
        """Return the last frame."""
        closing = watch_pb2.WatchClosing(
            reason=watch_pb2.CloseReason.ValueType(reason),
            reconnect_delay=duration(reconnect_delay),
        )
        return _frame(watch_pb2.WatchFrame(closing=closing).SerializeToString(), token)

    def content(self, content: Content) -> bytes:
        """Return what the full view of an execution adds of what it was given."""
        message = execution_pb2.Execution()
        add_content(message, content)
        return message.SerializeToString()

    def result(self, result: Payload) -> bytes:
        """Return what the full view of an execution adds of what it produced."""
        return execution_pb2.Execution(result=payload_message(result)).SerializeToString()

    def output(self, output: Payload) -> bytes:
        """Return what the full view of a phase adds of what it produced."""
        return execution_pb2.Phase(output=payload_message(output)).SerializeToString()

    def operation_payloads(self, told: OperationReport) -> bytes:
        """Return what the full view of an operation adds."""
        return execution_pb2.Operation(
            input=None if told.input is None else payload_message(told.input),
            output=None if told.output is None else payload_message(told.output),
        ).SerializeToString()


@lru_cache
def _changed_at(moment: datetime) -> bytes:
    """Return what all parts of an entry, and all who are sent it, have in common."""
    return watch_pb2.Change(changed_at=timestamp(moment)).SerializeToString()


def _frame(kind: bytes, token: str) -> bytes:
    """Return the response that holds a WatchFrame of *kind*."""
    text = token.encode()
    return _field(_FRAME, b"".join((kind, _RESUME_TOKEN, _varint(len(text)), text)))


def _field(tag: bytes, body: bytes) -> bytes:
    return b"".join((tag, _varint(len(body)), body))


def _fields(tag: bytes, bodies: Iterable[bytes]) -> Iterable[bytes]:
    for body in bodies:
        yield tag
        yield _varint(len(body))
        yield body


@lru_cache(_MOST_LENGTHS)
def _varint(number: int) -> bytes:
    """Return *number* in groups of seven bits, the lowest first, all but the last marked."""
    if number < 0x80:
        return bytes((number,))
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
