"""Starting many executions at once: all or none, or each that can be, and the same for a repeat."""

import asyncio
from pathlib import Path

import pytest

from phaseline.app.batches import BatchStarted
from phaseline.app.limits import Limits
from phaseline.app.queries import ExecutionFilter, Order
from phaseline.app.refusals import Refusal
from phaseline.app.starting import Started
from phaseline.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from phaseline.domain.start import StartRequest
from phaseline.domain.workflow import InputSpec
from tests.support import make
from tests.support.app import App, opened

GOOD, BAD = make.start_request(), make.start_request("nobody")


async def _batch(app: App, *requests: StartRequest, partial: bool = False) -> BatchStarted:
    return await app.batches.execute(app.caller, requests, allow_partial=partial)


async def _count(app: App) -> int:
    listed = await app.executions.list(
        app.caller, matching=ExecutionFilter(), order=Order.CREATED_AT_DESC, page_size=100
    )
    return listed.page.total_size


async def test_large_ones_share_no_commit(app: App) -> None:
    await app.apply()
    head = app.heard.head
    requests = [make.start_request() for _ in range(501)]
    await asyncio.gather(_batch(app, *requests), _batch(app, *requests))
    assert app.heard.head == head + 2


async def test_all_are_started_in_one_commit(app: App) -> None:
    await app.apply()
    head = app.heard.head
    batch = await _batch(app, *(make.start_request(task=f"t{n}") for n in range(20)))
    assert app.heard.head == head + 1
    ids = [one.execution_id for one in batch.results if isinstance(one, Started)]
    assert len(set(ids)) == 20
    for number in (0, 19):
        detail = await app.executions.get(app.caller, ids[number])
        assert detail.content.task == f"t{number}"
        assert detail.execution.spec.batch_id == batch.batch_id
        assert detail.execution.revision == app.heard.head
    assert all(isinstance(one, Started) and one.revision == head + 1 for one in batch.results)


async def test_its_executions_are_found_by_its_id(app: App) -> None:
    await app.apply()
    batch = await app.batches.execute(app.caller, [GOOD, GOOD], batch_id="b-1")
    assert batch.batch_id == "b-1"
    await app.start()
    listed = await app.executions.list(
        app.caller,
        matching=ExecutionFilter(batch_id="b-1"),
        order=Order.CREATED_AT_DESC,
        page_size=10,
    )
    assert listed.page.total_size == 2


async def test_none_is_started_if_one_cannot_be(app: App) -> None:
    await app.apply()
    with pytest.raises(NotFound) as caught:
        await _batch(app, GOOD, GOOD, BAD)
    assert caught.value.metadata["field"] == "executions[2]"
    assert await _count(app) == 0


async def test_fields_are_those_of_the_batch(app: App) -> None:
    await app.apply(inputs=(InputSpec("topic", required=True),))
    good = make.start_request(inputs={"topic": "x"})
    with pytest.raises(InvalidArgument) as caught:
        await _batch(app, good, GOOD)
    assert [each.field for each in caught.value.violations] == ["executions[1].inputs[topic]"]
    assert caught.value.reason == "MISSING_INPUT"


async def test_what_is_wrong_with_fields_is_told_of_all_at_once(app: App) -> None:
    await app.apply()
    with pytest.raises(InvalidArgument) as caught:
        await _batch(
            app, make.start_request(priority=500), GOOD, make.start_request(execution_id="a b")
        )
    assert [each.field for each in caught.value.violations] == [
        "executions[0].priority",
        "executions[2].execution_id",
    ]


async def test_a_lease_that_is_unknown_is_told_with_its_place(app: App) -> None:
    await app.apply()
    with pytest.raises(FailedPrecondition) as caught:
        await _batch(app, GOOD, make.start_request(lease_token="forged"))
    assert caught.value.metadata["field"] == "executions[1]"


async def test_in_part_each_that_can_be_is_started(app: App) -> None:
    await app.apply()
    await app.start("taken")
    batch = await _batch(
        app,
        GOOD,
        BAD,
        make.start_request(execution_id="taken"),
        make.start_request(priority=500),
        GOOD,
        make.start_request(lease_token="forged"),
        make.start_request(parent_execution_id="nobody"),
        partial=True,
    )
    started = [isinstance(one, Started) for one in batch.results]
    assert started == [True, False, False, False, True, False, False]
    errors = [one.error() for one in batch.results if isinstance(one, Refusal)]
    assert [type(error) for error in errors] == [
        NotFound,
        AlreadyExists,
        InvalidArgument,
        FailedPrecondition,
        NotFound,
    ]
    # As Execute would have answered: without the place in the batch.
    (violation,) = errors[2].violations
    assert violation.field == "priority"
    assert await _count(app) == 3


async def test_each_sees_those_before_it(app: App) -> None:
    await app.apply(concurrency=make.limit(2))
    batch = await _batch(
        app,
        make.start_request(execution_id="e1"),
        make.start_request(execution_id="e1"),
        make.start_request(execution_id="c1", parent_execution_id="e1", step_key="s"),
        make.start_request(parent_execution_id="e1", step_key="s"),
        GOOD,
        partial=True,
    )
    first, second, child, repeat, last = batch.results
    assert isinstance(first, Started)
    assert isinstance(second, Refusal)
    assert isinstance(child, Started)
    assert isinstance(repeat, Started)
    assert isinstance(last, Started)
    assert (repeat.execution_id, repeat.created) == ("c1", False)
    assert (await app.get("e1")).tree_size == 2
    assert len(await app.lease(9)) == 2


class TestRepeats:
    """The same request_id."""

    async def test_get_the_first_answer(self, app: App) -> None:
        await app.apply()

        async def ask() -> BatchStarted:
            return await app.batches.execute(
                app.caller, [GOOD, BAD], allow_partial=True, request_id="r1", digest=b"d"
            )

        first = await ask()
        await app.run()
        await app.apply(workflow_id="nobody")
        again = await ask()
        assert again.batch_id == first.batch_id
        one, two = again.results
        assert isinstance(one, Started)
        assert isinstance(first.results[0], Started)
        assert (one.execution_id, one.created) == (first.results[0].execution_id, False)
        assert one.revision == first.results[0].revision
        assert two == first.results[1]
        assert await _count(app) == 1

    async def test_in_the_same_commit_start_nothing(self, app: App) -> None:
        await app.apply()
        answers = await asyncio.gather(
            *(
                app.batches.execute(app.caller, [GOOD], request_id="r1", digest=b"d")
                for _ in range(3)
            )
        )
        assert len({answer.batch_id for answer in answers}) == 1
        assert await _count(app) == 1

    async def test_with_another_body_are_refused(self, app: App) -> None:
        await app.apply()
        await app.batches.execute(app.caller, [GOOD], request_id="r1", digest=b"d")
        with pytest.raises(InvalidArgument) as caught:
            await app.batches.execute(app.caller, [GOOD], request_id="r1", digest=b"other")
        assert caught.value.reason == "REQUEST_ID_REUSED"

    async def test_of_what_was_refused_try_again(self, app: App) -> None:
        await app.apply()
        with pytest.raises(NotFound):
            await app.batches.execute(app.caller, [BAD], request_id="r1", digest=b"d")
        await app.apply(workflow_id="nobody")
        batch = await app.batches.execute(app.caller, [BAD], request_id="r1", digest=b"d")
        assert isinstance(batch.results[0], Started)


class TestLimits:
    """How many at once."""

    @pytest.mark.parametrize("count", [0, 4])
    async def test_hold_for_the_batch(self, tmp_path: Path, count: int) -> None:
        async with opened(tmp_path / "db", limits=Limits(batch=3)) as app:
            await app.apply()
            with pytest.raises(InvalidArgument) as caught:
                await _batch(app, *[GOOD] * count)
            assert caught.value.violations[0].field == "executions"
            await _batch(app, *[GOOD] * 3)

    async def test_hold_for_active_executions(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=Limits(active_executions=2)) as app:
            await app.apply()
            with pytest.raises(ResourceExhausted):
                await _batch(app, *[GOOD] * 3)
            batch = await _batch(app, *[GOOD] * 3, partial=True)
            assert [isinstance(one, Started) for one in batch.results] == [True, True, False]

    async def test_hold_for_trees(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=Limits(tree_size=2)) as app:
            await app.apply()
            await app.start("root")
            child = make.start_request(parent_execution_id="root")
            batch = await _batch(app, child, child, partial=True)
            assert [isinstance(one, Started) for one in batch.results] == [True, False]

    async def test_leave_the_idempotency_to_the_batch(self, app: App) -> None:
        await app.apply()
        with pytest.raises(InvalidArgument) as caught:
            await _batch(app, GOOD, make.start_request(request_id="r1"))
        assert caught.value.violations[0].field == "executions[1].request_id"

    async def test_hold_for_the_id(self, app: App) -> None:
        with pytest.raises(InvalidArgument) as caught:
            await app.batches.execute(app.caller, [GOOD], batch_id="a b")
        assert caught.value.violations[0].field == "batch_id"
