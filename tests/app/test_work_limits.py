"""What time and the limits of queues do to leased phases, over the store."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from phaseline.app.limits import Limits
from phaseline.domain.report import (
    AbandonReason,
    DirectiveAction,
)
from phaseline.domain.workflow import RetryPolicy
from tests.support import make
from tests.support.app import App, opened, reporting
from tests.support.databases import BOTH
from tests.support.make import DONE, LEASE, MINUTE, ONCE, SECOND, phase_spec

pytestmark = pytest.mark.databases(*BOTH)


class TestTime:
    """What the clock does."""

    async def test_a_lost_worker_is_replaced_when_its_lease_ends(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        lost = await app.lease_one()
        await app.passes(LEASE - SECOND)
        assert await app.lease() == ()
        await app.passes(SECOND)
        second = await app.lease_one()
        assert (second.fencing_token, second.phase.attempt) == (2, 2)
        directive = await app.report(lost, DONE)
        assert directive.abandon_reason is AbandonReason.SUPERSEDED

    async def test_a_failed_attempt_comes_back_after_its_delay(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        await app.run(make.broken())
        assert await app.lease() == ()
        await app.passes(SECOND)
        assert (await app.lease_one()).phase.attempt == 2

    async def test_nothing_is_forgotten_over_any_downtime(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db") as one:
            await one.apply([phase_spec(retry_policy=RetryPolicy(initial_delay=MINUTE))])
            await one.start("later", start_at=one.clock.now() + MINUTE)
            await one.start("retried")
            await one.run(make.broken())
            await one.start("timed", run_timeout=10 * SECOND)
            await one.run(make.broken())
            await one.start("leased")
            await one.lease_one()
        await one.clock.advance(timedelta(days=3))
        async with opened(tmp_path / "db", one.clock) as two:
            await two.passes(timedelta())
            assert await two.statuses("later") == ("pending", "ready")
            assert await two.statuses("retried") == ("running", "ready")
            assert await two.statuses("timed") == ("failed", "skipped")
            # No server was there to take its report, so its worker gets the time to make it.
            assert await two.statuses("leased") == ("running", "running")
            await two.passes(LEASE)
            assert await two.statuses("leased") == ("running", "ready")

    async def test_a_worker_that_outlived_the_server_reports_to_the_next(
        self, tmp_path: Path
    ) -> None:
        async with opened(tmp_path / "db") as one:
            await one.apply([phase_spec(timeout=10 * SECOND, retry_policy=ONCE)])
            await one.start("e1")
            assigned = await one.lease_one()
        await one.clock.advance(timedelta(hours=1))
        async with opened(tmp_path / "db", one.clock) as two:
            await two.passes(timedelta())
            assert (await two.report(assigned, DONE)).action is DirectiveAction.ACCEPTED
            assert await two.statuses("e1") == ("completed", "completed")

    async def test_a_delayed_start_begins_when_its_time_has_come(self, app: App) -> None:
        await app.apply()
        await app.start("e1", start_at=app.clock.now() + MINUTE)
        await app.passes(MINUTE - SECOND)
        assert await app.lease() == ()
        await app.passes(SECOND)
        assert len(await app.lease()) == 1


class TestTotals:
    """Totals that no integer holds, which only a report that is not true can bring about."""

    HUGE = make.spent(10**18)

    async def test_past_64_bits_are_refused_and_the_rest_is_stored(self, app: App) -> None:
        await app.apply([phase_spec(retry_policy=make.EAGER)])
        await app.start("root")
        await app.start("e1", parent_execution_id="root", queue_name="mine")
        spent, refused = 0, 0
        for _ in range(11):
            assigned = await app.lease_one(queue_names=("mine",))
            told = await app.report(
                assigned, make.broken(), usage_by_model=self.HUGE, credits_nanos=7
            )
            assert told.action is DirectiveAction.ACCEPTED
            fields = [each.field for each in told.rejections]
            assert fields in ([], ["usage_by_model"])
            refused += bool(fields)
            spent += not fields
        assert (spent, refused) == (9, 2)
        one, root = await app.get("e1"), await app.get("root")
        assert one.usage.cost_nanos == root.tree_usage.cost_nanos == 9 * 10**18
        assert one.usage.credits_nanos == 9 * 7
        assert make.phase(one).attempt == 11


class TestQueueLimits:
    """How many phases of a queue are leased at the same time, a setting of the server."""

    LIMITS = Limits(queue_concurrency={"gpu": 2})

    async def test_hold_for_one_poll_and_for_many(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=self.LIMITS) as app:
            await app.apply()
            for number in range(6):
                await app.start(f"e{number}", queue_name="gpu")
            assert len(await app.lease(1, queue_names=("gpu",))) == 1
            answers = await asyncio.gather(*(app.lease(3, queue_names=("gpu",)) for _ in range(4)))
            assert sum(map(len, answers)) == 1

    async def test_free_a_place_with_each_outcome(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=self.LIMITS) as app:
            await app.apply()
            for number in range(4):
                await app.start(f"e{number}", queue_name="gpu")
            one, two = await app.lease(9, queue_names=("gpu",))
            waiting = asyncio.create_task(app.lease(9, queue_names=("gpu",), wait=MINUTE))
            await asyncio.sleep(0)
            more = make.lease_request("more", max_phases=9, queue_names=("gpu",))
            told = await app.tell(reporting(one, DONE), more=more)
            assert len(told.leased) == 1
            await app.report(two, DONE)
            assert len(await waiting) == 1

    async def test_leave_other_queues_alone(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=self.LIMITS) as app:
            await app.apply()
            for number in range(4):
                await app.start(f"gpu{number}", queue_name="gpu", priority=9)
            for number in range(4):
                await app.start(f"cpu{number}", queue_name="cpu")
            given = await app.lease(9, queue_names=("gpu", "cpu"))
            names = sorted(one.execution.spec.queue_name for one in given)
            assert names == ["cpu"] * 4 + ["gpu"] * 2
            assert len({one.execution.key for one in given}) == 6
            assert await app.lease(9, queue_names=("gpu", "cpu")) == ()

    async def test_are_counted_for_each_workspace(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=self.LIMITS) as app:
            for name in ("default", "other"):
                app.caller = type(app.caller)(name)
                await app.apply()
                for _ in range(3):
                    await app.start(queue_name="gpu")
                assert len(await app.lease(9, queue_names=("gpu",))) == 2
