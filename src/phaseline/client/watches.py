"""Following executions live."""

from datetime import timedelta
from typing import TypeAlias

from phaseline.client import rpcs
from phaseline.client.active import LiveActive
from phaseline.client.calls import Calls
from phaseline.client.requests import duration
from phaseline.client.transport import Stream
from phaseline.client.watch import Framed, Watch
from phaseline.v1 import execution_pb2, execution_service_pb2

_View: TypeAlias = execution_pb2.ExecutionView.ValueType


class Watches:
    """The part of a client that follows executions."""

    _calls: Calls

    def watch(
        self,
        execution_id: str,
        *,
        resume_token: str = "",
        view: _View = execution_pb2.EXECUTION_VIEW_UNSPECIFIED,
        include_descendants: bool = False,
        bookmark_interval: timedelta | None = None,
    ) -> Watch:
        """
        Yield every version of an execution, of its phases and of its operations, in order.

        Begins with the present state, or goes on from *resume_token*; the token that `execute`
        returned gives the whole history. Ends when all of it is terminal.
        """

        def open_stream(resume_token: str) -> Stream[Framed]:
            request = execution_service_pb2.WatchRequest(
                execution_id=execution_id,
                resume_token=resume_token,
                view=view,
                include_descendants=include_descendants,
                bookmark_interval=duration(bookmark_interval),
            )
            return self._calls.transport.stream(rpcs.WATCH, request)

        return Watch(
            open_stream,
            self._calls.clock,
            resume_token=resume_token,
            bookmark_interval=bookmark_interval,
            patience=self._calls.timeout,
        )

    def watch_active(
        self,
        *,
        filter: execution_service_pb2.ExecutionFilter | None = None,
        resume_token: str = "",
        min_interval: timedelta | None = None,
        bookmark_interval: timedelta | None = None,
    ) -> Watch:
        """
        Yield the newest versions of all active executions; one that ends is told as REMOVED.

        Begins with the present state, or goes on from *resume_token*. Never ends by itself.
        """

        def open_stream(resume_token: str) -> Stream[Framed]:
            request = execution_service_pb2.WatchActiveRequest(
                filter=filter,
                resume_token=resume_token,
                min_interval=duration(min_interval),
                bookmark_interval=duration(bookmark_interval),
            )
            return self._calls.transport.stream(rpcs.WATCH_ACTIVE, request)

        return Watch(
            open_stream,
            self._calls.clock,
            resume_token=resume_token,
            bookmark_interval=bookmark_interval,
            patience=self._calls.timeout,
        )

    def live_active(
        self,
        filter: execution_service_pb2.ExecutionFilter | None = None,
        *,
        min_interval: timedelta | None = None,
    ) -> LiveActive:
        """Return what keeps a live dictionary of the active executions, for `async with`."""
        return LiveActive(self.watch_active(filter=filter, min_interval=min_interval))
