"""Answering a repeated write as it was answered first."""

from __future__ import annotations

import msgspec

from phaseline.app.ports import Answered, Remembered, View
from phaseline.domain.errors import InvalidArgument, Reason
from phaseline.domain.ids import Key


class Idempotency(msgspec.Struct, frozen=True):
    """What identifies a write: who sends it, its request_id, and a digest of all it says."""

    workspace_id: str
    method: str
    #: Empty: the write is not to be remembered.
    request_id: str = ""
    digest: bytes = b""

    @property
    def needs(self) -> tuple[tuple[str, str], ...]:
        return ((self.workspace_id, self.request_id),) if self.request_id else ()

    def earlier(self, view: View) -> Answered | None:
        """Return the same write, answered before; raise `InvalidArgument` if it was another."""
        if not self.request_id:
            return None
        answered = view.answered(self.workspace_id, self.request_id)
        if answered is None:
            return None
        if (answered.method, answered.digest) != (self.method, self.digest):
            raise InvalidArgument.of(
                "request_id",
                f"was used for another request: {answered.method}",
                Reason.REQUEST_ID_REUSED,
            )
        return answered

    def remember(self, answer: bytes = b"", key: Key | None = None) -> tuple[Remembered, ...]:
        """Return what is to be stored, so that a repeat is answered with *answer*, or *key*."""
        if not self.request_id:
            return ()
        return (
            Remembered(self.workspace_id, self.request_id, self.method, self.digest, answer, key),
        )
