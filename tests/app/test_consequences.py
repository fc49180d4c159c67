"""What a change of one execution means for others: totals of trees, budgets, concurrency limits."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from phaseline.app.prices import Price
from phaseline.domain.errors import FailedPrecondition
from phaseline.domain.failure import FailureKind
from phaseline.domain.ids import Key
from phaseline.domain.report import DirectiveAction
from phaseline.domain.usage import ModelUsage
from phaseline.domain.workflow import InputSpec
from phaseline.store import working
from tests.support import make
from tests.support.app import App, opened
from tests.support.make import DONE, MINUTE, ONCE, SECOND, SILENCE, phase_spec


class TestTreeUsage:
    """The usage of an execution and all below it."""

    async def test_is_the_sum_over_the_tree_at_every_level(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        leases = {"root": await app.lease_one()}
        for name, parent in (("left", "root"), ("right", "root"), ("leaf", "left")):
            await app.start(name, parent_execution_id=parent)
            leases[name] = await app.lease_one()
        for cost, name in enumerate(leases, 1):
            await app.report(leases[name], usage_by_model=make.spent(10**cost))
        trees = {name: (await app.get(name)).tree_usage.cost_nanos for name in leases}
        assert trees == {"root": 11110, "left": 10100, "right": 1000, "leaf": 10000}
        assert (await app.get("root")).usage.cost_nanos == 10

    async def test_follows_a_report_that_replaces_another(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        await app.lease_one()
        await app.start("child", parent_execution_id="root")
        assigned = await app.lease_one()
        for cost in (5, 9, 2):
            await app.report(assigned, usage_by_model=make.spent(cost))
            assert (await app.get("root")).tree_usage.cost_nanos == cost

    async def test_counts_all_reports_of_one_batch(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        await app.lease_one()
        for number in range(5):
            await app.start(f"e{number}", parent_execution_id="root")
        leases = await app.lease(5)
        await asyncio.gather(
            *(app.report(lease, DONE, usage_by_model=make.spent(3)) for lease in leases)
        )
        root = await app.get("root")
        assert (root.below.cost_nanos, root.below.total_tokens) == (15, 50)

    async def test_counts_what_is_spent_after_the_root_has_ended(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        lease = await app.lease_one()
        await app.start("child", lease_token=lease.lease_token)
        await app.report(lease, DONE)
        await app.run(usage_by_model=make.spent(7))
        root = await app.get("root")
        assert (root.status, root.tree_usage.cost_nanos) == ("completed", 7)

    async def test_counts_what_is_spent_below_a_root_that_memory_has_forgotten(
        self, tmp_path: Path
    ) -> None:
        async with opened(tmp_path / "db") as one:
            await one.apply()
            await one.start("root")
            lease = await one.lease_one()
            await one.start("child", lease_token=lease.lease_token)
            await one.report(lease, DONE)
        async with opened(tmp_path / "db", one.clock) as two:
            await two.run(usage_by_model=make.spent(7))
            assert (await two.get("root")).tree_usage.cost_nanos == 7


class TestBudgets:
    """The most that an execution and all below it may cost."""

    async def test_stop_what_reaches_them(self, app: App) -> None:
        await app.apply(2, max_budget_nanos=10)
        await app.start("e1")
        assigned = await app.lease_one()
        assert assigned.remaining_budget_nanos == 10
        directive = await app.report(assigned, usage_by_model=make.spent(9))
        assert directive.action is DirectiveAction.CONTINUE
        directive = await app.report(assigned, usage_by_model=make.spent(10))
        # It hears so at once, and not with its next report.
        assert directive.action is DirectiveAction.CANCEL
        assert directive.cancellation is not None
        assert directive.cancellation.cancelled_by == "system"
        assert await app.statuses("e1") == ("cancelling", "running", "skipped")
        await app.report(assigned, make.stopped(), usage_by_model=make.spent(12))
        one = await app.get("e1")
        assert make.statuses(one) == ("failed", "cancelled", "skipped")
        assert one.failure is not None
        assert (one.failure.kind, one.failure.code) == (
            FailureKind.BUDGET_EXCEEDED,
            "BUDGET_EXCEEDED",
        )
        assert one.usage.cost_nanos == 12

    async def test_stop_between_phases(self, app: App) -> None:
        await app.apply(2, max_budget_nanos=10)
        await app.start("e1")
        await app.run(usage_by_model=make.spent(11))
        assert await app.statuses("e1") == ("failed", "completed", "skipped")

    async def test_leave_what_is_completed_with_its_last_money(self, app: App) -> None:
        await app.apply(max_budget_nanos=10)
        await app.start("e1")
        await app.run(usage_by_model=make.spent(11))
        assert await app.statuses("e1") == ("completed", "completed")

    async def test_are_of_the_whole_tree(self, app: App) -> None:
        await app.apply()
        await app.start("root", max_budget_nanos=10)
        lease = await app.lease_one()
        await app.start("left", lease_token=lease.lease_token)
        await app.start("right", lease_token=lease.lease_token)
        left, right = await app.lease(2)
        assert (left.remaining_budget_nanos, right.remaining_budget_nanos) == (10, 10)
        await app.report(left, usage_by_model=make.spent(4))
        await app.report(right, usage_by_model=make.spent(6))
        assert [(await app.get(name)).status for name in ("root", "left", "right")] == [
            "cancelling"
        ] * 3
        root = await app.get("root")
        assert root.failure is not None
        assert root.failure.code == "BUDGET_EXCEEDED"
        child = await app.get("left")
        assert (child.failure, child.cancellation is not None) == (None, True)
        for assigned in (lease, left, right):
            assert (await app.report(assigned)).action is DirectiveAction.CANCEL
            await app.report(assigned, make.stopped())
        assert [(await app.get(name)).status for name in ("root", "left", "right")] == [
            "failed",
            "cancelled",
            "cancelled",
        ]

    async def test_of_a_child_stop_the_child_alone(self, app: App) -> None:
        await app.apply()
        await app.start("root", max_budget_nanos=100)
        await app.lease_one()
        await app.start("child", parent_execution_id="root", max_budget_nanos=5)
        await app.start("other", parent_execution_id="root")
        child, other = await app.lease(2)
        assert (child.remaining_budget_nanos, other.remaining_budget_nanos) == (5, 100)
        await app.report(child, usage_by_model=make.spent(5))
        status = [(await app.get(name)).status for name in ("root", "child", "other")]
        assert status == ["running", "cancelling", "running"]

    async def test_tell_a_worker_the_least_that_is_left_above(self, app: App) -> None:
        await app.apply(2)
        await app.start("root", max_budget_nanos=10)
        lease = await app.lease_one()
        await app.start("child", lease_token=lease.lease_token, max_budget_nanos=100)
        await app.report(lease, usage_by_model=make.spent(7))
        assert (await app.lease_one()).remaining_budget_nanos == 3

    async def test_stop_what_an_ended_execution_had_started(self, app: App) -> None:
        await app.apply()
        await app.start("root", max_budget_nanos=10)
        lease = await app.lease_one()
        await app.start("child", lease_token=lease.lease_token)
        await app.start("waiting", lease_token=lease.lease_token)
        await app.report(lease, DONE)
        await app.report(await app.lease_one(), usage_by_model=make.spent(10))
        assert (await app.get("root")).status == "completed"
        assert (await app.get("child")).status == "cancelling"
        assert (await app.get("waiting")).status == "cancelled"

    async def test_cannot_be_kept_without_a_price(self, app: App) -> None:
        await app.apply(2, max_budget_nanos=10)
        await app.start("e1")
        assigned = await app.lease_one()
        directive = await app.report(
            assigned, usage_by_model=(ModelUsage("nobody-knows-it", input_tokens=1),)
        )
        assert directive.action is DirectiveAction.CANCEL
        one = await app.get("e1")
        assert one.failure is not None
        assert one.failure.code == "MODEL_PRICE_UNKNOWN"
        assert not one.usage.cost_complete

    async def test_need_no_price_where_there_is_none(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        await app.run(usage_by_model=(ModelUsage("nobody-knows-it", input_tokens=1),))
        one = await app.get("e1")
        assert (one.status, one.usage.cost_complete, one.usage.cost_nanos) == (
            "completed",
            False,
            0,
        )

    async def test_count_by_the_prices_of_the_operator(self, tmp_path: Path) -> None:
        prices = {"ours": Price(input=Decimal(2), output=Decimal(0))}
        async with opened(tmp_path / "db", prices=prices) as app:
            await app.apply()
            await app.start("e1")
            await app.run(usage_by_model=(ModelUsage("ours", input_tokens=1_000_000),))
            assert (await app.get("e1")).usage.cost_nanos == 2 * 10**9

    async def test_above_let_nothing_more_start(self, app: App) -> None:
        await app.apply()
        await app.start("root", max_budget_nanos=10)
        lease = await app.lease_one()
        await app.start("child", lease_token=lease.lease_token)
        await app.report(lease, DONE)
        child = await app.lease_one()
        await app.pause("child")
        await app.report(child, DONE, usage_by_model=make.spent(10))
        await app.start("other", max_budget_nanos=10)
        assigned = await app.lease_one()
        await app.report(assigned, usage_by_model=make.spent(9))
        await app.start("fits", parent_execution_id="other")
        with pytest.raises(FailedPrecondition) as caught:
            await app.retry("root")
        assert caught.value.reason == "INVALID_STATUS"

    async def test_above_are_in_the_way_of_a_retry(self, app: App) -> None:
        await app.apply([phase_spec(retry_policy=ONCE)])
        await app.start("root", max_budget_nanos=10)
        lease = await app.lease_one()
        await app.start("child", lease_token=lease.lease_token)
        await app.pause("root")
        await app.run(make.broken(), usage_by_model=make.spent(10))
        assert (await app.get("root")).status == "cancelling"
        with pytest.raises(FailedPrecondition) as caught:
            await app.retry("child")
        assert caught.value.reason == "PARENT_NOT_ACTIVE"

    async def test_count_again_after_a_whole_tree_has_left_memory(
        self, app: App, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(working, "_KEPT_ENDED", 0)
        await app.apply([phase_spec(retry_policy=ONCE)])
        await app.start("root", max_budget_nanos=10)
        lease = await app.lease_one()
        await app.start("child", lease_token=lease.lease_token)
        await app.run(make.broken(), usage_by_model=make.spent(3))
        await app.report(lease, make.broken(), usage_by_model=make.spent(1))
        assert not app.store.working.get(Key("default", "root"))
        await app.retry("root")
        await app.retry("child")
        root, child = await app.lease(2)
        assert (root.remaining_budget_nanos, child.remaining_budget_nanos) == (6, 6)
        await app.report(root, DONE)
        await app.report(child, make.released())
        assert (await app.lease_one()).remaining_budget_nanos == 6

    async def test_raised_by_a_retry_are_new(self, app: App) -> None:
        await app.apply(2, max_budget_nanos=10)
        await app.start("e1")
        await app.run(usage_by_model=make.spent(10))
        with pytest.raises(FailedPrecondition) as caught:
            await app.retry("e1")
        assert caught.value.reason == "BUDGET_EXCEEDED"
        await app.retry("e1", max_budget_nanos=20)
        assigned = await app.lease_one()
        assert assigned.remaining_budget_nanos == 10
        await app.report(assigned, DONE, usage_by_model=make.spent(5))
        one = await app.get("e1")
        assert (one.status, one.usage.cost_nanos, one.max_budget_nanos) == ("completed", 15, 20)


class TestConcurrencyLimits:
    """How many executions with one key run at the same time."""

    async def test_hold_back_what_is_over_them(self, app: App) -> None:
        await app.apply(2, concurrency=make.limit(2))
        answers = await asyncio.gather(*(app.start(f"e{number}") for number in range(5)))
        assert len(answers) == 5
        given = await app.lease(9)
        assert [one.execution.spec.execution_id for one in given] == ["e0", "e1"]
        # A place is kept from the first phase to the end.
        await app.report(given[0], DONE)
        assert [one.execution.spec.execution_id for one in await app.lease(9)] == ["e0"]

    async def test_hand_on_a_place_with_every_end(self, app: App) -> None:
        await app.apply([phase_spec(retry_policy=ONCE)], concurrency=make.limit(1))
        for number in range(5):
            await app.start(f"e{number}")
        await app.run()
        await app.run(make.broken())
        await app.cancel("e2")
        assert (await app.lease_one()).execution.spec.execution_id == "e3"
        await app.cancel("e3", SECOND)
        assert await app.lease(9) == ()
        await app.passes(SILENCE + SECOND)
        assert (await app.lease_one()).execution.spec.execution_id == "e4"

    async def test_hand_on_a_place_when_a_budget_ends_an_execution(self, app: App) -> None:
        await app.apply(2, concurrency=make.limit(1), max_budget_nanos=5)
        for number in range(2):
            await app.start(f"e{number}")
        await app.run(usage_by_model=make.spent(5))
        assert (await app.get("e0")).status == "failed"
        assert (await app.lease_one()).execution.spec.execution_id == "e1"

    async def test_hand_on_a_place_when_time_ends_an_execution(self, app: App) -> None:
        await app.apply([phase_spec(retry_policy=make.EAGER)], concurrency=make.limit(1))
        await app.start("e0", run_timeout=MINUTE)
        await app.start("e1")
        await app.run(make.broken())
        await app.passes(MINUTE)
        assert (await app.get("e0")).status == "failed"
        assert (await app.lease_one()).execution.spec.execution_id == "e1"

    async def test_prefer_priority_then_age(self, app: App) -> None:
        await app.apply(concurrency=make.limit(1))
        for number, priority in enumerate((0, 0, 5, 5)):
            await app.start(f"e{number}", priority=priority)
            await app.clock.advance(SECOND)
        ran = [(await app.run()).execution.spec.execution_id for _ in range(4)]
        assert ran == ["e0", "e2", "e3", "e1"]

    async def test_are_for_each_key(self, app: App) -> None:
        await app.apply(
            inputs=(InputSpec("team"),), concurrency=make.limit(1, "{{team}}/$ARGUMENTS")
        )
        for team in ("a", "a", "b", "b", "b"):
            await app.start(inputs={"team": team}, task="t")
        assert len(await app.lease(9)) == 2
        await app.start(inputs={"team": "a"}, concurrency_key="own")
        assert len(await app.lease(9)) == 1

    async def test_are_for_each_workflow_and_workspace(self, app: App) -> None:
        for workspace in ("default", "other"):
            app.caller = type(app.caller)(workspace)
            for workflow_id in ("flow", "flow2"):
                await app.apply(workflow_id=workflow_id, concurrency=make.limit(1))
                for _ in range(2):
                    await app.start(workflow_id=workflow_id)
            assert len(await app.lease(9)) == 2

    async def test_give_no_place_before_the_start_is_due(self, app: App) -> None:
        await app.apply(concurrency=make.limit(1))
        await app.start("later", start_at=app.clock.now() + MINUTE, priority=9)
        await app.start("now")
        await app.start("next")
        assert (await app.lease_one()).execution.spec.execution_id == "now"
        await app.passes(MINUTE)
        assert await app.statuses("later") == ("pending", "pending")
        await app.cancel("now", SECOND)
        await app.passes(SECOND)
        assert (await app.lease_one()).execution.spec.execution_id == "later"

    async def test_give_a_free_place_when_the_start_is_due(self, app: App) -> None:
        await app.apply(concurrency=make.limit(2))
        for number in range(4):
            await app.start(f"e{number}", start_at=app.clock.now() + MINUTE)
        await app.passes(MINUTE)
        given = await app.lease(9)
        assert [one.execution.spec.execution_id for one in given] == ["e0", "e1"]

    async def test_pass_over_what_is_paused(self, app: App) -> None:
        await app.apply(concurrency=make.limit(1))
        for number in range(3):
            await app.start(f"e{number}")
        await app.pause("e1")
        ran = [(await app.run()).execution.spec.execution_id for _ in range(2)]
        assert ran == ["e0", "e2"]
        await app.resume("e1")
        assert (await app.run()).execution.spec.execution_id == "e1"

    async def test_keep_the_place_of_what_is_paused_later(self, app: App) -> None:
        await app.apply(2, concurrency=make.limit(1))
        await app.start("e0")
        await app.start("e1")
        await app.run()
        await app.pause("e0")
        assert await app.lease(9) == ()
        assert await app.statuses("e1") == ("pending", "pending", "pending")

    async def test_hold_for_what_is_retried(self, app: App) -> None:
        await app.apply([phase_spec(retry_policy=ONCE)], concurrency=make.limit(1))
        await app.start("e0")
        await app.run(make.broken())
        await app.start("e1")
        assert make.statuses(await app.retry("e0")) == ("pending", "pending")
        await app.run()
        assert (await app.lease_one()).execution.spec.execution_id == "e0"
        await app.start("e2")
        await app.cancel("e2")
        assert make.statuses(await app.retry("e2")) == ("pending", "pending")

    async def test_of_a_new_version_hold_for_its_executions(self, app: App) -> None:
        await app.apply(concurrency=make.limit(1))
        for number in range(3):
            await app.start(f"old{number}")
        await app.apply(concurrency=make.limit(3))
        for number in range(3):
            await app.start(f"new{number}", priority=1)
        given = [one.execution.spec.execution_id for one in await app.lease(9)]
        assert given == ["old0", "new0", "new1"] or sorted(given) == ["new0", "new1", "old0"]

    async def test_are_kept_over_a_restart(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db") as one:
            await one.apply(2, concurrency=make.limit(1))
            await one.start("e0")
            await one.start("e1")
            await one.run()
        async with opened(tmp_path / "db", one.clock) as two:
            await two.start("e2")
            assert (await two.run()).execution.spec.execution_id == "e0"
            assert (await two.lease_one()).execution.spec.execution_id == "e1"
            assert await two.lease(9) == ()

    async def test_are_never_exceeded_under_contention(self, app: App) -> None:
        await app.apply(2, concurrency=make.limit(3))
        running, most, ended = set[str](), 0, 0
        starting = [asyncio.create_task(app.start()) for _ in range(30)]

        async def worker() -> None:
            nonlocal most, ended
            while ended < 60:
                for assigned in await app.lease(2):
                    running.add(assigned.execution.spec.execution_id)
                    most = max(most, len(running))
                    await asyncio.sleep(0)
                    if assigned.position == 1:
                        running.discard(assigned.execution.spec.execution_id)
                    await app.report(assigned, DONE)
                    ended += 1

        await asyncio.gather(*(worker() for _ in range(6)), *starting)
        assert (most, ended) == (3, 60)
