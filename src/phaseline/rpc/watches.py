"""ExecutionService: what streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta

from phaseline.rpc.call import Call
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.watch.watching import Watching
from phaseline.wire.watches import read_watch, read_watch_active


class ExecutionWatches:
    """Streams what happens, as frames that are encoded already."""

    def __init__(self, watching: Watching, *, bookmark_interval: timedelta) -> None:
        self._watching, self._bookmark_interval = watching, bookmark_interval

    def Watch(self, request: pb.WatchRequest, call: Call) -> AsyncGenerator[bytes, None]:
        asked = read_watch(request, bookmark_interval=self._bookmark_interval)
        return self._watching.watch(
            call.caller,
            asked.execution_id,
            resume_token=asked.resume_token,
            full=asked.full,
            descendants=asked.descendants,
            bookmark_interval=asked.bookmark_interval,
            credentials_end=call.identity.expires_at,
        )

    def WatchActive(
        self, request: pb.WatchActiveRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        asked = read_watch_active(request, bookmark_interval=self._bookmark_interval)
        return self._watching.watch_active(
            call.caller,
            asked.matching,
            resume_token=asked.resume_token,
            min_interval=asked.min_interval,
            bookmark_interval=asked.bookmark_interval,
            credentials_end=call.identity.expires_at,
        )
