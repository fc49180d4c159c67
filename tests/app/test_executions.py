"""Reading and awaiting executions."""

import asyncio

import pytest

from phaseline.app.executions import Listed, phase_position
from phaseline.app.queries import ExecutionFilter, Order
from phaseline.domain.errors import InvalidArgument, NotFound
from phaseline.domain.report import OperationReport
from tests.support.app import App
from tests.support.make import DONE, SECOND


async def test_how_far_an_execution_is(app: App) -> None:
    await app.apply(2)
    await app.start("e1")
    await app.run()
    one = await app.executions.status(app.caller, "e1")
    assert (one.status, one.completed_phases, one.current_phase) == ("running", 1, "p1")
    assert (await app.executions.status(app.caller, "e1", "flow")).key == one.key


@pytest.mark.parametrize(("execution_id", "workflow_id"), [("nobody", ""), ("e1", "other")])
async def test_what_is_not_there_is_not_found(
    app: App, execution_id: str, workflow_id: str
) -> None:
    await app.apply()
    await app.start("e1")
    with pytest.raises(NotFound) as caught:
        await app.executions.status(app.caller, execution_id, workflow_id)
    assert caught.value.reason == "EXECUTION_NOT_FOUND"


async def test_what_belongs_to_another_workspace_is_not_found(app: App) -> None:
    await app.apply()
    await app.start("e1")
    app.caller = type(app.caller)("other")
    for read in (app.executions.status, app.executions.get):
        with pytest.raises(NotFound):
            await read(app.caller, "e1")


async def test_phases_can_be_asked_for_by_name(app: App) -> None:
    await app.apply(2)
    await app.start("e1")
    await app.run(operations=(OperationReport("1", "tool"),))
    detail = await app.executions.get(app.caller, "e1", phase_ids=("p1",))
    assert tuple(detail.operations) == ()
    with pytest.raises(NotFound) as caught:
        await app.executions.get(app.caller, "e1", phase_ids=("p1", "nobody"))
    assert (caught.value.reason, caught.value.resource_name) == ("PHASE_NOT_FOUND", "nobody")
    assert phase_position(detail.execution, "p1") == 1


class TestWait:
    """Waiting for an end, or for a change."""

    async def test_ends_when_the_execution_does(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        waiting = asyncio.create_task(
            app.executions.wait(app.caller, "e1", after_revision=0, limit=asyncio.timeout(60))
        )
        await app.run()
        waited = await waiting
        assert (waited.satisfied, waited.detail.execution.status) == (True, "completed")

    async def test_ends_with_the_next_change(self, app: App) -> None:
        await app.apply()
        started = await app.start("e1")
        waiting = asyncio.create_task(
            app.executions.wait(
                app.caller, "e1", after_revision=started.revision, limit=asyncio.timeout(60)
            )
        )
        await asyncio.sleep(0)
        await app.lease_one()
        waited = await waiting
        assert waited.satisfied
        assert waited.detail.execution.revision > started.revision

    async def test_is_over_at_once_if_it_has_happened(self, app: App) -> None:
        await app.apply()
        started = await app.start("e1")
        await app.run()
        for after_revision in (started.revision, 0):
            waited = await app.executions.wait(
                app.caller, "e1", after_revision=after_revision, limit=asyncio.timeout(60)
            )
            assert waited.satisfied

    async def test_tells_when_the_time_is_over(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        waited = await app.executions.wait(
            app.caller, "e1", after_revision=0, limit=asyncio.timeout(0.005)
        )
        assert (waited.satisfied, waited.detail.execution.status) == (False, "pending")

    async def test_for_nobody_is_not_found(self, app: App) -> None:
        with pytest.raises(NotFound):
            await app.executions.wait(
                app.caller, "nobody", after_revision=0, limit=asyncio.timeout(60)
            )


class TestPages:
    """Lists in pages."""

    async def test_skip_and_repeat_nothing(self, app: App) -> None:
        await app.apply()
        for number in range(5):
            await app.start(f"e{number}")
            await app.clock.advance(SECOND)
        seen, token = [], ""
        while True:
            listed = await self._list(app, token)
            seen += [one.spec.execution_id for one in listed.page.executions]
            token = listed.next_page_token
            if not token:
                break
        assert seen == ["e4", "e3", "e2", "e1", "e0"]

    async def test_can_be_asked_for_by_number(self, app: App) -> None:
        await app.apply()
        for number in range(5):
            await app.start(f"e{number}")
            await app.clock.advance(SECOND)
        listed = await app.executions.list(
            app.caller,
            matching=ExecutionFilter(),
            order=Order.CREATED_AT_ASC,
            page_size=2,
            page=3,
        )
        assert [one.spec.execution_id for one in listed.page.executions] == ["e4"]
        assert (listed.page.total_size, listed.next_page_token) == (5, "")

    async def test_belong_to_a_filter_an_order_and_a_workspace(self, app: App) -> None:
        await app.apply()
        for _ in range(3):
            await app.start()
        token = (await self._list(app, "")).next_page_token
        for matching, order in (
            (ExecutionFilter(batch_id="b"), Order.CREATED_AT_DESC),
            (ExecutionFilter(), Order.CREATED_AT_ASC),
        ):
            with pytest.raises(InvalidArgument) as caught:
                await app.executions.list(
                    app.caller, matching=matching, order=order, page_size=2, page_token=token
                )
            assert caught.value.reason == "PAGE_TOKEN_INVALID"
        with pytest.raises(InvalidArgument):
            await self._list(app, "forged")
        app.caller = type(app.caller)("other")
        with pytest.raises(InvalidArgument):
            await self._list(app, token)

    async def test_of_operations_follow_the_order_of_first_record(self, app: App) -> None:
        await app.apply(2)
        await app.start("e1")
        for phase in range(2):
            names = tuple(OperationReport(f"{phase}-{n}", "tool") for n in range(3))
            await app.run(DONE, operations=names)
        seen, token = [], ""
        for _ in range(3):
            listed = await app.executions.operations(
                app.caller, "e1", page_size=2, page_token=token
            )
            seen += [one.reported.operation_id for one in listed.page.operations]
            token = listed.next_page_token
        assert (seen, token) == (["0-0", "0-1", "0-2", "1-0", "1-1", "1-2"], "")
        listed = await app.executions.operations(app.caller, "e1", phase_id="p1", page_size=9)
        assert [one.reported.operation_id for one in listed.page.operations] == seen[3:]
        assert listed.page.total_size == 3
        with pytest.raises(NotFound):
            await app.executions.operations(app.caller, "e1", phase_id="nobody", page_size=9)

    async def _list(self, app: App, token: str) -> Listed:
        return await app.executions.list(
            app.caller,
            matching=ExecutionFilter(),
            order=Order.CREATED_AT_DESC,
            page_size=2,
            page_token=token,
        )
