"""The streams of ExecutionService, as their callers see them."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from phaseline.v1 import execution_pb2, watch_pb2
from phaseline.v1 import execution_service_pb2 as pb
from tests.rpc.callers import complete, start, started
from tests.support.rpc import Api, refusal


async def until(frames: Any, kind: str) -> list[watch_pb2.WatchFrame]:
    """Return the frames up to the first of that kind."""
    seen: list[watch_pb2.WatchFrame] = []
    while not seen or seen[-1].WhichOneof("kind") != kind:
        seen.append((await frames.read()).frame)
    return seen


def changes(frames: list[watch_pb2.WatchFrame]) -> list[watch_pb2.Change]:
    return [change for frame in frames for change in frame.change_set.changes]


async def test_a_watch_from_the_start_tells_everything_and_ends(api: Api) -> None:
    answer = await api.executions.Execute(start())
    await complete(api)
    await complete(api)
    frames = api.executions.Watch(
        pb.WatchRequest(execution_id=answer.execution_id, resume_token=answer.resume_token)
    )
    seen = await until(frames, "closing")
    assert seen[0].WhichOneof("kind") == "opened"
    assert seen[-1].closing.reason == watch_pb2.CLOSE_REASON_COMPLETED
    assert not await frames.read()
    told = [each.execution for each in changes(seen) if each.HasField("execution")]
    assert [each.completed_phases for each in told] == [0, 0, 1, 1, 2]


async def test_a_watch_tells_what_it_was_asked_for(api: Api) -> None:
    execution_id = await started(api, task="look")
    request = pb.WatchRequest(
        execution_id=execution_id,
        view=execution_pb2.EXECUTION_VIEW_FULL,
        bookmark_interval=Duration(seconds=7),
    )
    frames = api.executions.Watch(request)
    seen = await until(frames, "bookmark")
    frames.cancel()
    assert seen[0].opened.bookmark_interval.seconds == 7
    assert changes(seen)[0].execution.task == "look"


async def test_active_executions_come_and_go(api: Api) -> None:
    listed = await api.executions.ListActive(pb.ListActiveRequest())
    frames = api.executions.WatchActive(pb.WatchActiveRequest(resume_token=listed.resume_token))
    await frames.read()
    execution_id = await started(api)
    added = changes(await until(frames, "change_set"))
    assert [each.execution.execution_id for each in added] == [execution_id]
    await api.executions.Cancel(pb.CancelRequest(execution_id=execution_id))
    kinds = {each.kind for each in changes(await until(frames, "change_set"))}
    frames.cancel()
    assert kinds == {watch_pb2.CHANGE_KIND_REMOVED}


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.WatchRequest(execution_id="gone"), "EXECUTION_NOT_FOUND"),
        (pb.WatchRequest(execution_id="x", resume_token="t"), "RESUME_TOKEN_INVALID"),
        (pb.WatchRequest(), "INVALID_FIELD"),
    ],
)
async def test_what_cannot_be_watched_is_refused(
    api: Api, request_: pb.WatchRequest, reason: str
) -> None:
    frames = api.executions.Watch(request_)

    async def read_all() -> None:
        while await frames.read():
            pass

    assert (await refusal(read_all())).reason == reason


async def test_a_filter_that_cannot_be_is_refused(api: Api) -> None:
    request = pb.WatchActiveRequest(filter=pb.ExecutionFilter(repos=[""]))
    error = await refusal(api.executions.WatchActive(request).read())
    assert [each.field for each in error.violations] == ["filter.repos[0]"]
