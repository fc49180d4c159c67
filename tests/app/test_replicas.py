"""Servers that share a database are as one: each sees what any has answered, at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from phaseline.app.executions import Listed
from phaseline.app.limits import Limits
from phaseline.app.ports import Slot
from phaseline.app.queries import ExecutionFilter, Order
from phaseline.app.retention import DeleteEnded
from phaseline.domain.errors import NotFound, ResourceExhausted
from phaseline.domain.execution import NO_CONTENT, Content, Execution
from phaseline.domain.ids import Key
from phaseline.domain.payload import text_payload
from phaseline.domain.report import Completed, DirectiveAction, OperationReport
from phaseline.store import following, working
from tests.support import make
from tests.support.app import App, opened
from tests.support.clock import turns
from tests.support.databases import POSTGRESQL
from tests.support.make import DONE, LEASE, MINUTE, SECOND

pytestmark = pytest.mark.databases(POSTGRESQL)


@pytest.fixture
async def apps(tmp_path: Path) -> AsyncIterator[list[App]]:
    """Two servers of one database, on one clock."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(opened(tmp_path / "db"))
        two = await stack.enter_async_context(opened(tmp_path / "db", one.clock))
        yield [one, two]


async def status(app: App, execution_id: str) -> Execution:
    return await app.executions.status(app.caller, execution_id)


async def page(app: App, token: str = "") -> Listed:
    return await app.executions.list(
        app.caller,
        matching=ExecutionFilter(),
        order=Order.CREATED_AT_DESC,
        page_size=2,
        page_token=token,
    )


async def test_a_read_on_any_sees_every_answered_write(apps: list[App]) -> None:
    one, two = apps
    await one.apply()
    await two.start("e1")
    assert (await status(one, "e1")).status == "pending"
    assigned = await one.lease_one()
    assert (await status(two, "e1")).status == "running"
    await two.report(assigned, Completed(text_payload("done")))
    assert (await status(one, "e1")).status == "completed"
    assert (await one.executions.get(one.caller, "e1")).outputs[0].text() == "done"
    await one.purge("e1")
    assert (await status(two, "e1")).is_purged
    assert (await two.executions.get(two.caller, "e1")).outputs == {}


async def test_a_newer_version_of_a_workflow_is_run_by_all(apps: list[App]) -> None:
    one, two = apps
    await one.apply(1)
    await two.start("e1")
    await one.apply(2)
    await two.start("e2")
    assert len((await two.get("e2")).phases) == 2
    assert len((await one.get("e1")).phases) == 1


async def test_a_repeat_gets_the_first_answer_wherever_it_arrives(apps: list[App]) -> None:
    one, two = apps
    await one.apply()
    first = await one.start(request_id="r1", digest=b"same")
    second = await two.start(request_id="r1", digest=b"same")
    assert (first.created, second.created) == (True, False)
    assert first.execution_id == second.execution_id


async def test_no_phase_is_leased_twice(apps: list[App]) -> None:
    await apps[0].apply()
    for at in range(20):
        await apps[0].start(f"e{at}")
    found = await asyncio.gather(*(app.lease(2) for app in apps * 5))
    leased = [each.execution.spec.execution_id for some in found for each in some]
    assert sorted(leased) == sorted(f"e{at}" for at in range(20))


async def test_limits_hold_for_all_together(tmp_path: Path) -> None:
    limits = Limits(active_executions=5, queue_concurrency={"default": 2})
    async with opened(tmp_path / "db", limits=limits) as one:
        await one.apply()
        async with opened(tmp_path / "db", one.clock, limits) as two:
            started = await asyncio.gather(
                *(app.start(f"e{at}") for at, app in enumerate([one, two] * 4)),
                return_exceptions=True,
            )
            refused = [each for each in started if isinstance(each, BaseException)]
            assert [type(each) for each in refused] == [ResourceExhausted] * 3
            found = await asyncio.gather(*(app.lease(2) for app in (one, two, one, two)))
            assert sum(map(len, found)) == 2


async def test_a_report_counts_wherever_it_arrives_and_once(apps: list[App]) -> None:
    one, two = apps
    await one.apply()
    await one.start("e1")
    assigned = await one.lease_one()
    for app, name in ((one, "a"), (two, "b"), (one, "a"), (two, "a"), (one, "b"), (one, "c")):
        await app.report(assigned, operations=(OperationReport(name, "tool"),))
    found = await two.executions.operations(two.caller, "e1", page_size=10)
    assert [each.reported.operation_id for each in found.page.operations] == ["a", "b", "c"]
    assert [each.ordinal for each in found.page.operations] == [0, 1, 2]
    told = await asyncio.gather(*(app.report(assigned, DONE) for app in apps))
    assert [each.action for each in told] == [DirectiveAction.ACCEPTED] * 2
    assert sorted(each.replayed for each in told) == [False, True]


async def test_a_lease_that_one_has_renewed_no_other_ends(apps: list[App]) -> None:
    one, two = apps
    await one.apply()
    await one.start("e1")
    assigned = await one.lease_one()
    await one.clock.advance(LEASE - SECOND)
    await two.report(assigned)
    await one.passes(2 * SECOND)
    assert await one.statuses("e1") == ("running", "running")
    await two.passes(LEASE)
    assert await one.statuses("e1") == ("running", "ready")


async def test_a_worker_that_waits_hears_of_what_another_server_took_in(apps: list[App]) -> None:
    one, two = apps
    await one.apply()
    waiting = asyncio.ensure_future(two.lease_one(wait=MINUTE))
    await turns()
    await one.start("e1")
    assert (await waiting).execution.key == Key("default", "e1")


async def test_who_waits_for_an_end_hears_of_it_from_another_server(apps: list[App]) -> None:
    one, two = apps
    await one.apply()
    await one.start("e1")
    waiting = asyncio.ensure_future(
        two.executions.wait(two.caller, "e1", after_revision=0, limit=asyncio.timeout(60))
    )
    await turns()
    await one.run()
    assert (await waiting).satisfied
    heard = [entry.status_after for commit in two.heard.commits for entry in commit.entries]
    assert heard == ["pending", "running", "completed"]


async def test_what_is_active_is_the_same_on_all(apps: list[App]) -> None:
    one, two = apps
    await one.apply()
    for at in range(3):
        await one.start(f"e{at}")
    await two.cancel("e1")
    page = await one.store.log.active_page("default", ExecutionFilter(), after_id="", limit=10)
    assert [each.spec.execution_id for each in page.executions] == ["e0", "e2"]
    assert page.revision == await two.store.log.head()


async def test_one_that_does_not_know_what_was_changed_reads_its_memory_anew(
    apps: list[App],
) -> None:
    one, two = apps
    await one.apply()
    for at in range(3):
        await one.start(f"e{at}")
    (assigned,) = await two.lease()
    # As after so long a time that what was changed is not kept any more.
    await one.store.database.write(
        lambda connection: connection.execute(text("UPDATE identity SET commits = commits + 1"))
    )
    assert (await two.report(assigned, DONE)).action == DirectiveAction.ACCEPTED
    assert len(await one.lease(10)) == 2
    for app in apps:
        assert (await status(app, assigned.execution.spec.execution_id)).done
        assert app.heard.head == app.store.working.head


async def test_tokens_of_one_are_honoured_by_the_others(apps: list[App]) -> None:
    one, two = apps
    await one.apply()
    for at in range(3):
        await one.start(f"e{at}")
    first, rest = await page(one), await page(two, (await page(one)).next_page_token)
    assert len(first.page.executions) + len(rest.page.executions) == 3
    assert (one.store.epoch, one.store.secret) == (two.store.epoch, two.store.secret)


async def test_timers_and_retention_of_several_act_once(apps: list[App]) -> None:
    one, two = apps
    await one.apply([make.phase_spec(retry_policy=make.ONCE)])
    await one.start("e1")
    await one.lease_one()
    await one.clock.advance(LEASE + SECOND)
    await asyncio.gather(*(app.passes(SECOND) for app in apps))
    assert await two.statuses("e1") == ("failed", "failed")
    entries = await one.store.log.entries_of(
        Key("default", "e1"), descendants=False, after=0, until=999, limit=99
    )
    assert [entry.status_after for entry in entries] == ["pending", "running", "failed"]


async def test_what_is_kept_of_payloads_is_dropped_when_another_server_changes_it(
    apps: list[App],
) -> None:
    one, two = apps
    key = Key("default", "e1")
    slot = Slot(key, 0)
    await one.apply()
    await two.start("e1", task="once")
    # As of an execution of that name that was deleted.
    two.store.working.outputs.put(slot, text_payload("stale"), 5)
    await one.run(Completed(text_payload("fresh")))
    assert (await status(two, "e1")).done
    assert (await two.store.reads.outputs([slot]))[slot].text() == "fresh"
    assert (await two.store.reads.content(key)).task == "once"
    await one.purge("e1")
    assert (await status(two, "e1")).is_purged
    assert await two.store.reads.content(key) == NO_CONTENT
    assert await two.store.reads.outputs([slot]) == {}


async def test_nothing_is_left_of_what_another_server_deleted(apps: list[App]) -> None:
    one, two = apps
    key = Key("default", "e1")
    await one.apply()
    await one.start("e1", task="once")
    await one.run()
    await one.purge("e1")
    assert (await status(two, "e1")).is_purged
    # Of one that ended so long ago that all else of it is forgotten.
    two.store.working._ended.clear()
    two.store.working.contents.put(key, Content(task="once"), 4)
    await one.clock.advance(SECOND)
    deleting = DeleteEnded((key,), one.clock.now())
    assert (await one.writer.post(deleting)).answer == 1
    with pytest.raises(NotFound):
        await status(two, "e1")
    await two.start("e1")
    assert (await one.store.reads.content(key)).task == ""
    assert (await two.store.reads.content(key)).task == ""


async def test_the_budget_of_an_ended_parent_counts_for_who_takes_in_much_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was forgotten as one of those that ended long ago, before its child was taken in."""
    monkeypatch.setattr(following.Following, "tell", lambda _: None)
    monkeypatch.setattr(following, "_BACKSTOP_SECONDS", 3600.0)
    monkeypatch.setattr(working, "_KEPT_ENDED", 0)
    async with opened(tmp_path / "db") as one, opened(tmp_path / "db", one.clock) as two:
        await one.apply()
        await one.start("root", max_budget_nanos=10)
        lease = await one.lease_one()
        await one.start("child", lease_token=lease.lease_token)
        await one.report(lease, DONE, usage_by_model=make.spent(4))
        assert (await two.lease_one()).remaining_budget_nanos == 6


async def test_others_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_BACKSTOP_SECONDS", 3600.0)
    async with opened(tmp_path / "db") as one, opened(tmp_path / "db", one.clock) as two:
        await one.apply()
        await one.start("e1")
        await two.heard.changed(Key("default", "e1"), after=0)


async def test_a_word_that_is_lost_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following.Following, "tell", lambda _: None)
    async with opened(tmp_path / "db") as one, opened(tmp_path / "db", one.clock) as two:
        await one.apply()
        await one.start("e1")
        await two.heard.changed(Key("default", "e1"), after=0)
