"""What is asked about one execution has its defaults and its ranges."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from phaseline.domain.errors import InvalidArgument
from phaseline.v1 import artifact_service_pb2
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1.execution_pb2 import EXECUTION_VIEW_BASIC, EXECUTION_VIEW_FULL
from phaseline.wire.artifacts import read_get_artifact
from phaseline.wire.controls import (
    AskedCancel,
    AskedControl,
    AskedRetry,
    read_cancel,
    read_control,
    read_retry,
)
from phaseline.wire.requests import (
    AskedExecution,
    AskedStatus,
    AskedTree,
    AskedWait,
    read_get,
    read_get_nesting,
    read_get_status,
    read_wait,
)
from phaseline.wire.watches import AskedWatch, read_watch, read_watch_active

SECOND = timedelta(seconds=1)


def cancel(request: pb.CancelRequest) -> AskedCancel:
    return read_cancel(request, grace=30 * SECOND)


def watch(request: pb.WatchRequest) -> AskedWatch:
    return read_watch(request, bookmark_interval=15 * SECOND)


def watch_active(request: pb.WatchActiveRequest) -> object:
    return read_watch_active(request, bookmark_interval=15 * SECOND)


def test_a_status_may_be_of_a_workflow() -> None:
    assert read_get_status(pb.GetStatusRequest(execution_id="x")) == AskedStatus("x", "")
    request = pb.GetStatusRequest(execution_id="x", workflow_id="w")
    assert read_get_status(request) == AskedStatus("x", "w")


def test_get_asks_for_everything_unless_told_otherwise() -> None:
    assert read_get(pb.GetRequest(execution_id="x")) == AskedExecution("x", True, ())
    request = pb.GetRequest(execution_id="x", view=EXECUTION_VIEW_BASIC, phase_ids=["p"])
    assert read_get(request) == AskedExecution("x", False, ("p",))


def test_wait_waits_half_a_minute_for_the_end() -> None:
    asked = read_wait(pb.WaitRequest(execution_id="x"))
    assert asked == AskedWait("x", 0, timedelta(seconds=30), True)


def test_wait_may_not_wait_at_all() -> None:
    request = pb.WaitRequest(
        execution_id="x", after_revision=7, timeout=Duration(), view=EXECUTION_VIEW_BASIC
    )
    assert read_wait(request) == AskedWait("x", 7, timedelta(), False)


def test_cancel_gives_the_grace_of_the_server() -> None:
    assert cancel(pb.CancelRequest(execution_id="x")) == AskedCancel("x", "", 30 * SECOND, "")


def test_cancel_is_read_as_asked() -> None:
    request = pb.CancelRequest(
        execution_id="x", reason="enough", grace_period=Duration(seconds=600), request_id="r"
    )
    assert cancel(request) == AskedCancel("x", "enough", 600 * SECOND, "r")


@pytest.mark.parametrize("kind", [pb.PauseRequest, pb.ResumeRequest, pb.PurgeRequest])
def test_other_controls_name_an_execution_only(kind: Any) -> None:
    asked = read_control(kind(execution_id="x", request_id="r"))
    assert asked == AskedControl("x", "r")


def test_a_retry_leaves_limits_as_they_are() -> None:
    assert read_retry(pb.RetryRequest(execution_id="x")) == AskedRetry("x", None, None, "")


def test_a_retry_may_set_other_limits() -> None:
    request = pb.RetryRequest(
        execution_id="x", max_budget_usd="2", run_timeout=Duration(seconds=5), request_id="r"
    )
    assert read_retry(request) == AskedRetry("x", 2 * 10**9, 5 * SECOND, "r")


@pytest.mark.parametrize(
    ("request_", "asked"),
    [
        (pb.GetNestingRequest(execution_id="x"), AskedTree("x", "")),
        (pb.GetNestingRequest(chat_message_id="m"), AskedTree("", "m")),
        (pb.GetNestingRequest(), AskedTree("", "")),
    ],
)
def test_a_tree_is_asked_for_by_its_top_or_by_a_message(
    request_: pb.GetNestingRequest, asked: AskedTree
) -> None:
    assert read_get_nesting(request_) == asked


def test_a_watch_has_defaults() -> None:
    asked = watch(pb.WatchRequest(execution_id="x"))
    assert asked == AskedWatch("x", "", False, False, 15 * SECOND)


def test_a_watch_is_read_as_asked() -> None:
    request = pb.WatchRequest(
        execution_id="x",
        resume_token="t",
        view=EXECUTION_VIEW_FULL,
        include_descendants=True,
        bookmark_interval=Duration(seconds=300),
    )
    assert watch(request) == AskedWatch("x", "t", True, True, 300 * SECOND)


def test_a_watch_of_active_executions_has_a_filter_and_a_pace() -> None:
    asked = read_watch_active(
        pb.WatchActiveRequest(
            filter=pb.ExecutionFilter(batch_id="b"), min_interval=Duration(seconds=60)
        ),
        bookmark_interval=15 * SECOND,
    )
    assert asked.matching.batch_id == "b"
    assert (asked.min_interval, asked.bookmark_interval) == (60 * SECOND, 15 * SECOND)


@pytest.mark.parametrize(
    ("read", "request_", "field"),
    [
        (read_get_status, pb.GetStatusRequest(), "execution_id"),
        (read_get_status, pb.GetStatusRequest(execution_id="x" * 129), "execution_id"),
        (read_get_status, pb.GetStatusRequest(execution_id="x\0"), "execution_id"),
        (
            read_get_status,
            pb.GetStatusRequest(execution_id="x", workflow_id="w" * 129),
            "workflow_id",
        ),
        (read_get, pb.GetRequest(), "execution_id"),
        (read_get, pb.GetRequest(execution_id="x", view=9), "view"),  # type: ignore[arg-type]
        (read_get, pb.GetRequest(execution_id="x", phase_ids=["p"] * 101), "phase_ids"),
        (read_get, pb.GetRequest(execution_id="x", phase_ids=[""]), "phase_ids[0]"),
        (read_wait, pb.WaitRequest(), "execution_id"),
        (read_wait, pb.WaitRequest(execution_id="x", after_revision=-1), "after_revision"),
        (read_wait, pb.WaitRequest(execution_id="x", timeout=Duration(seconds=61)), "timeout"),
        (read_wait, pb.WaitRequest(execution_id="x", timeout=Duration(seconds=-1)), "timeout"),
        (cancel, pb.CancelRequest(), "execution_id"),
        (cancel, pb.CancelRequest(execution_id="x", reason="r" * 1025), "reason"),
        (cancel, pb.CancelRequest(execution_id="x", request_id="r" * 129), "request_id"),
        (
            cancel,
            pb.CancelRequest(execution_id="x", grace_period=Duration(seconds=601)),
            "grace_period",
        ),
        (read_control, pb.PauseRequest(), "execution_id"),
        (read_control, pb.PurgeRequest(execution_id="x", request_id="r" * 129), "request_id"),
        (read_retry, pb.RetryRequest(), "execution_id"),
        (read_retry, pb.RetryRequest(execution_id="x", max_budget_usd="-1"), "max_budget_usd"),
        (read_retry, pb.RetryRequest(execution_id="x", run_timeout=Duration()), "run_timeout"),
        (read_retry, pb.RetryRequest(execution_id="x", request_id="r" * 129), "request_id"),
        (read_get_nesting, pb.GetNestingRequest(execution_id="x" * 129), "execution_id"),
        (read_get_nesting, pb.GetNestingRequest(chat_message_id="\0"), "chat_message_id"),
        (watch, pb.WatchRequest(), "execution_id"),
        (watch, pb.WatchRequest(execution_id="x", resume_token="t" * 4097), "resume_token"),
        (
            watch,
            pb.WatchRequest(execution_id="x", bookmark_interval=Duration(nanos=1)),
            "bookmark_interval",
        ),
        (
            watch_active,
            pb.WatchActiveRequest(bookmark_interval=Duration(seconds=301)),
            "bookmark_interval",
        ),
        (watch_active, pb.WatchActiveRequest(min_interval=Duration(seconds=61)), "min_interval"),
        (
            watch_active,
            pb.WatchActiveRequest(filter=pb.ExecutionFilter(repos=[""])),
            "filter.repos[0]",
        ),
        (read_get_artifact, artifact_service_pb2.GetArtifactRequest(), "artifact_id"),
    ],
)
def test_what_is_out_of_range_has_its_path(
    read: Callable[[Any], object], request_: object, field: str
) -> None:
    with pytest.raises(InvalidArgument) as error:
        read(request_)
    assert [each.field for each in error.value.violations] == [field]
