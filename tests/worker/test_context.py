"""A handler sees its phase, and tells what it does."""

import asyncio
import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from phaseline.domain.payload import Payload, text_payload
from phaseline.domain.report import ArtifactDraft, OperationReport, Progress
from phaseline.domain.usage import ModelUsage
from phaseline.worker.context import Context, StopReason
from phaseline.worker.failures import AttemptStopped
from phaseline.worker.outbox import Outbox
from tests.support.clock import START, ManualClock, turns
from tests.support.source import assignment


class Told:
    """A context, and what it tells."""

    def __init__(self, **fields: object) -> None:
        self.clock = ManualClock()
        self.outbox = Outbox(lambda: None)
        self.context = Context(assignment(**fields), self.outbox, self.clock)  # type: ignore[arg-type]

    def operations(self) -> tuple[OperationReport, ...]:
        return self.outbox.take().operations


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def context(told: Told) -> Context:
    return told.context


def test_a_handler_sees_what_it_was_given() -> None:
    context = Told(
        prompt="Build it",
        task="the house",
        inputs={"colour": "red"},
        outputs={"plan": text_payload("bricks")},
        attempt=2,
        model="large",
        config={"depth": 3.0},
        checkpoint=text_payload("half"),
        remaining_budget_nanos=1_500_000_000,
    ).context

    assert context.prompt == "Build it"
    assert context.task == "the house"
    assert context.inputs["colour"] == "red"
    assert context.outputs["plan"].text() == "bricks"
    assert context.attempt == 2
    assert context.model == "large"
    assert context.config == {"depth": 3.0}
    assert context.checkpoint == text_payload("half")
    assert context.remaining_budget_usd == Decimal("1.5")


def test_no_limits_are_none(context: Context) -> None:
    assert context.timeout is None
    assert context.remaining_time is None
    assert context.remaining_budget_usd is None


async def test_the_remaining_time_runs_out() -> None:
    told = Told(timeout=timedelta(seconds=10))

    await told.clock.advance(timedelta(seconds=4))
    assert told.context.remaining_time == timedelta(seconds=6)
    await told.clock.advance(timedelta(seconds=60))
    assert told.context.remaining_time == timedelta()


def test_an_operation_is_told_when_it_begins_and_as_it_ended(told: Told) -> None:
    with told.context.operation("git", input=["clone"], tool_use_id="call-7") as operation:
        (begun,) = told.operations()
        operation.returned("done")
    (ended,) = told.operations()

    assert begun == OperationReport(
        operation_id="git-1",
        operation_type="tool",
        tool_name="git",
        tool_use_id="call-7",
        timestamp=START,
        input=Payload(data=b'["clone"]', media_type="application/json"),
    )
    assert ended.success is True
    assert ended.completed_at == START
    assert ended.output == text_payload("done")


async def test_an_operation_can_be_left_asynchronously(told: Told) -> None:
    async with told.context.operation("git"):
        await told.clock.advance(timedelta(seconds=3))
    (ended,) = told.operations()

    assert ended.completed_at == START + timedelta(seconds=3)


def test_an_exception_fails_the_operation_and_goes_on(told: Told) -> None:
    with pytest.raises(KeyError), told.context.operation("lookup"):
        raise KeyError("colour")

    (ended,) = told.operations()
    assert ended.success is False
    assert ended.error_message == "'colour'"


async def test_an_operation_that_is_cancelled_is_stopped(told: Told) -> None:
    async def work() -> None:
        async with told.context.operation("sleep"):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await turns()
    task.cancel()
    await turns()

    (ended,) = told.operations()
    assert (ended.success, ended.error_message) == (False, "stopped")


def test_an_operation_can_fail_without_an_exception(told: Told) -> None:
    with told.context.operation("lint") as operation:
        operation.fail("3 errors")

    (ended,) = told.operations()
    assert (ended.success, ended.error_message) == (False, "3 errors")


def test_operations_inside_an_operation_are_its_children(told: Told) -> None:
    with told.context.operation("outer"):
        with told.context.operation("inner"):
            pass
        with told.context.operation("sibling"):
            pass
    with told.context.operation("after"):
        pass

    parents = {each.tool_name: each.parent_operation_id for each in told.operations()}
    assert parents == {"outer": "", "inner": "outer-1", "sibling": "outer-1", "after": ""}


def test_only_a_tool_call_has_a_tool_name(told: Told) -> None:
    with told.context.operation("plan", type="model") as operation:
        operation.usage("large", input_tokens=3, cost_usd="0.5")

    (ended,) = told.operations()
    assert (ended.operation_id, ended.operation_type, ended.tool_name) == ("plan-1", "model", "")
    assert ended.usage == ModelUsage("large", 3, cost_nanos=500_000_000)


def test_what_is_too_long_for_an_operation_is_cut(told: Told) -> None:
    with told.context.operation("t" * 300, input="x" * 100_000) as operation:
        operation.returned("y" * 100_000)
        operation.fail("z" * 5000)

    (ended,) = told.operations()
    assert len(ended.operation_id) <= 128
    assert len(ended.tool_name) == 128
    assert len(ended.error_message) == 1024
    assert ended.input is not None
    assert ended.input.size <= 64 * 1024
    assert ended.output is not None
    assert ended.output.size <= 64 * 1024


def test_an_operation_can_be_recorded_as_it_is(told: Told) -> None:
    report = OperationReport("op-1", "message", success=True, error_message="bad \udcff byte")
    told.context.record(report)

    (recorded,) = told.operations()
    assert recorded.error_message == "bad ? byte"


def test_operations_of_all_threads_are_told_apart(told: Told) -> None:
    def work() -> None:
        for _ in range(100):
            with told.context.operation("git"):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({each.operation_id for each in told.operations()}) == 400


def test_usage_replaces_and_more_usage_adds(told: Told) -> None:
    told.context.usage("large", input_tokens=100, cost_usd=Decimal("0.000000001"))
    told.context.usage("large", input_tokens=150, cache_read_tokens=5, cost_usd=Decimal("1e-9"))
    told.context.add_usage("small", output_tokens=1)
    told.context.add_usage("small", output_tokens=2)

    assert told.outbox.take().usage_by_model == (
        ModelUsage("large", 150, cache_read_tokens=5, cost_nanos=1),
        ModelUsage("small", output_tokens=3),
    )


def test_progress_is_the_latest(told: Told) -> None:
    told.context.progress(10, "begun")
    told.context.progress(40, "m" * 300)

    assert told.outbox.take().progress == Progress(40, "m" * 256)


def test_a_checkpoint_a_session_and_credits_are_told(told: Told) -> None:
    told.context.save_checkpoint({"page": 3})
    told.context.session("session-9")
    told.context.credits("2.5")

    news = told.outbox.take()
    assert news.checkpoint == Payload(data=b'{"page":3}', media_type="application/json")
    assert news.session_id == "session-9"
    assert news.credits_nanos == 2_500_000_000


def test_artifacts_are_kept_for_the_end_one_for_each_name(context: Context) -> None:
    context.artifact("notes.md", "draft")
    context.artifact("notes.md", "final")
    context.artifact("data", b"\x00")
    context.artifact("figure", b"<svg/>", media_type="image/svg+xml")

    assert context.artifacts == (
        ArtifactDraft("notes.md", Payload(data=b"final", media_type="text/markdown")),
        ArtifactDraft("data", Payload(data=b"\x00", media_type="application/octet-stream")),
        ArtifactDraft("figure", Payload(data=b"<svg/>", media_type="image/svg+xml")),
    )


def test_what_the_server_would_refuse_is_refused_where_it_is_said(context: Context) -> None:
    with pytest.raises(ValueError, match="0 to 100 percent, not 101"):
        context.progress(101)
    with pytest.raises(ValueError, match="cannot be negative"):
        context.usage("large", input_tokens=-1)
    with pytest.raises(ValueError, match="the name of a model"):
        context.usage("")
    with pytest.raises(ValueError, match="decimal"):
        context.credits("-1")
    with pytest.raises(ValueError, match="1 to 256 characters"):
        context.artifact("", "x")
    with pytest.raises(ValueError, match="keep it elsewhere"):
        context.artifact("large.bin", bytes(1024 * 1024 + 1))
    with pytest.raises(ValueError, match="keep it elsewhere"):
        context.save_checkpoint("x" * (1024 * 1024 + 1))
    with pytest.raises(ValueError, match="session_id"):
        context.session("s" * 129)
    for number in range(100):
        context.artifact(f"{number}.txt", "x")
    with pytest.raises(ValueError, match="100 artifacts at most"):
        context.artifact("one too many", "x")


async def test_being_told_to_stop_is_seen_in_every_way(context: Context) -> None:
    waiting = asyncio.create_task(context.wait_cancelled())
    context.raise_if_cancelled()
    assert not context.cancelled
    await turns()
    assert not waiting.done()

    context.tell_to_stop(StopReason.DRAINING)

    assert context.cancelled
    assert context.stop_reason is StopReason.DRAINING
    with pytest.raises(AttemptStopped):
        context.raise_if_cancelled()
    await waiting
    await context.wait_cancelled()
