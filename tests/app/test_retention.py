"""Letting go of what is old: by policy, in small transactions, and never what is still needed."""

from datetime import timedelta
from pathlib import Path

import pytest

from phaseline.app import retention
from phaseline.app.queries import ExecutionFilter, Order
from phaseline.app.retention import DeleteEnded, Policy, PurgeEnded, Retention
from phaseline.domain.errors import NotFound
from phaseline.domain.ids import Key
from phaseline.domain.payload import text_payload
from phaseline.domain.report import Completed
from tests.support import make
from tests.support.app import App, opened
from tests.support.make import DONE, SECOND

DAY = timedelta(days=1)
FOREVER = Policy(changes=timedelta(days=999), request_ids=timedelta(days=999))


def _retention(app: App, **policy: object) -> Retention:
    chosen = Policy(**({"changes": 999 * DAY, "request_ids": 999 * DAY} | policy))  # type: ignore[arg-type]
    return Retention(app.writer, app.store.stale, chosen, clock=app.clock)


async def _ended(app: App, *names: str, **fields: object) -> None:
    for name in names:
        await app.start(name, task="secret", **fields)  # type: ignore[arg-type]
        await app.run(Completed(text_payload("secret")))


async def _exists(app: App, name: str) -> bool:
    try:
        await app.get(name)
    except NotFound:
        return False
    return True


async def test_nothing_goes_unless_the_policy_says_so(app: App) -> None:
    await app.apply()
    await _ended(app, "e1")
    await app.passes(900 * DAY)
    await _retention(app).sweep()
    one = await app.get("e1")
    assert not one.is_purged


async def test_what_ended_long_ago_is_purged(app: App) -> None:
    await app.apply()
    await _ended(app, "old")
    await app.passes(2 * DAY)
    await _ended(app, "new")
    await app.start("active", task="secret")
    await _retention(app, purge_after=DAY).sweep()
    purged = {name: (await app.get(name)).is_purged for name in ("old", "new", "active")}
    assert purged == {"old": True, "new": False, "active": False}
    detail = await app.executions.get(app.caller, "old")
    assert "secret" not in repr(detail)
    assert detail.execution.completed_phases == 1


async def test_what_ended_long_ago_is_deleted(app: App) -> None:
    await app.apply()
    await _ended(app, "old")
    await app.passes(2 * DAY)
    await _ended(app, "new")
    await _retention(app, delete_after=DAY).sweep()
    assert [await _exists(app, name) for name in ("old", "new")] == [False, True]
    listed = await app.executions.list(
        app.caller, matching=ExecutionFilter(), order=Order.CREATED_AT_DESC, page_size=9
    )
    assert listed.page.total_size == 1
    # Its id is free again.
    await app.start("old")


async def test_purging_comes_before_deleting(app: App) -> None:
    await app.apply()
    await _ended(app, "e1")
    sweeper = _retention(app, purge_after=DAY, delete_after=3 * DAY)
    await app.passes(2 * DAY)
    await sweeper.sweep()
    assert (await app.get("e1")).is_purged
    await app.passes(2 * DAY)
    await sweeper.sweep()
    assert not await _exists(app, "e1")


async def test_a_tree_is_deleted_as_a_whole_when_all_of_it_is_old(app: App) -> None:
    await app.apply()
    await app.start("root")
    lease = await app.lease_one()
    await app.start("child", lease_token=lease.lease_token)
    await app.report(lease, DONE)
    await app.passes(2 * DAY)
    sweeper = _retention(app, delete_after=DAY)
    await sweeper.sweep()
    assert [await _exists(app, name) for name in ("root", "child")] == [True, True]
    await app.run()
    await sweeper.sweep()
    assert [await _exists(app, name) for name in ("root", "child")] == [True, True]
    await app.passes(2 * DAY)
    await sweeper.sweep()
    assert [await _exists(app, name) for name in ("root", "child")] == [False, False]


async def test_many_go_in_many_small_commits(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_EXECUTIONS_AT_ONCE", 2)
    await app.apply()
    await _ended(app, *(f"e{number}" for number in range(5)))
    await app.passes(2 * DAY)
    head = app.heard.head
    await _retention(app, purge_after=DAY).sweep()
    assert app.heard.head == head + 3
    assert max(len(commit.entries) for commit in app.heard.commits[-3:]) == 2
    await _retention(app, delete_after=DAY).sweep()
    assert not any([await _exists(app, f"e{number}") for number in range(5)])


async def test_a_retry_in_between_saves_an_execution(app: App) -> None:
    await app.apply([make.phase_spec(retry_policy=make.ONCE)])
    await app.start("e1")
    await app.run(make.broken())
    await app.passes(2 * DAY)
    await app.retry("e1")
    key, before = Key("default", "e1"), app.clock.now() - DAY
    assert (await app.writer.post(PurgeEnded((key,), before))).answer == 0
    assert (await app.writer.post(DeleteEnded((key,), before))).answer == 0
    assert await app.statuses("e1") == ("pending", "ready")


async def test_what_is_not_purged_is_not_deleted(app: App) -> None:
    await app.apply()
    await _ended(app, "e1")
    await app.passes(2 * DAY)
    key, before = Key("default", "e1"), app.clock.now() - DAY
    assert (await app.writer.post(DeleteEnded((key,), before))).answer == 0
    assert (await app.writer.post(PurgeEnded((key,), before))).answer == 1
    assert (await app.writer.post(PurgeEnded((key,), before))).answer == 0
    assert (await app.writer.post(DeleteEnded((key,), before))).answer == 1
    assert (await app.writer.post(DeleteEnded((key,), before))).answer == 0


async def test_old_changes_are_trimmed_by_age(app: App) -> None:
    await app.apply()
    await _ended(app, "e1")
    old = app.heard.head
    await app.passes(2 * DAY)
    await _ended(app, "e2")
    await _retention(app, changes=DAY).sweep()
    assert await app.store.log.trimmed() == old
    assert (await app.get("e1")).status == "completed"


async def test_old_changes_are_trimmed_by_number(app: App) -> None:
    await app.apply()
    await _ended(app, *(f"e{number}" for number in range(5)))
    await _retention(app, changes_count=4).sweep()
    trimmed = await app.store.log.trimmed()
    kept = await app.store.log.entries_of(
        Key("default", "e4"), descendants=False, after=trimmed, until=app.heard.head, limit=99
    )
    assert 0 < app.heard.head - trimmed <= 4
    assert kept


async def test_many_changes_are_trimmed_in_small_commits(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_ROWS_AT_ONCE", 2)
    await app.apply()
    await _ended(app, *(f"e{number}" for number in range(4)))
    head = app.heard.head
    await app.passes(2 * DAY)
    await _retention(app, changes=DAY).sweep()
    assert await app.store.log.trimmed() == head


async def test_old_requests_are_forgotten(app: App) -> None:
    await app.apply()
    await app.start("e1", request_id="old", digest=b"d")
    await app.passes(2 * DAY)
    await app.start("e2", request_id="new", digest=b"d")
    await _retention(app, request_ids=DAY).sweep()
    assert not (await app.start("e2", request_id="new", digest=b"d")).created
    assert (await app.start("e3", request_id="old", digest=b"other")).created


async def test_a_sweep_is_kept_over_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path / "db") as one:
        await one.apply()
        await _ended(one, "e1", "e2")
        await one.passes(2 * DAY)
        await _retention(one, delete_after=DAY, changes=DAY).sweep()
        trimmed = await one.store.log.trimmed()
    async with opened(tmp_path / "db", one.clock) as two:
        assert not await _exists(two, "e1")
        assert await two.store.log.trimmed() == trimmed
        await two.start("e1")
        await two.passes(SECOND)
        assert await two.statuses("e1") == ("pending", "ready")
