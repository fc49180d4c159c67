"""What a servicer knows of a call besides its request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, TypeAlias, cast

import grpc

from phaseline import tracing
from phaseline.app.caller import Caller
from phaseline.rpc.auth import Identity

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]

# What is left for an answer to reach a caller that stops waiting at its deadline.
_ANSWER_TIME = timedelta(seconds=1)
_NO_TIME = timedelta()
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class Call:
    """One call: who makes it, and how long they wait."""

    __slots__ = ("_context", "identity")

    def __init__(self, identity: Identity, context: Context) -> None:
        self.identity, self._context = identity, context

    @property
    def caller(self) -> Caller:
        """Who calls, and where it may look."""
        return self.identity.caller

    @property
    def traceparent(self) -> str:
        """The W3C trace context to go on with: of this call, or its caller; empty without one."""
        return tracing.current_traceparent() or self.callers_traceparent

    @property
    def callers_traceparent(self) -> str:
        """The W3C trace context of the caller; empty without one."""
        for key, value in metadata_of(self._context):
            if key == "traceparent" and isinstance(value, str) and _TRACEPARENT.fullmatch(value):
                return value
        return ""

    def patience(self, longest: timedelta) -> timedelta:
        """Return how long to wait: at most *longest*, and so that the answer comes in time."""
        # None without a deadline, which the stubs do not say.
        remaining = cast("float | None", self._context.time_remaining())
        if remaining is None or remaining >= longest.total_seconds() + 1:
            return longest
        return max(timedelta(seconds=remaining) - _ANSWER_TIME, _NO_TIME)


def metadata_of(context: Context) -> Metadata:
    """Return the metadata that came with a call."""
    # Pairs; the stubs call it a Metadata, which only clients have.
    return cast("Metadata", context.invocation_metadata())
