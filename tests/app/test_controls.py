"""Controls over the store: each acts, its answer says what happened, and a repeat acts once."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from phaseline.app.limits import Limits
from phaseline.domain.errors import (
    FailedPrecondition,
    IllegalTransition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from phaseline.domain.failure import Cancellation
from phaseline.domain.payload import text_payload
from phaseline.domain.report import Completed, DirectiveAction, OperationReport, Progress
from phaseline.store.tables import metadata
from tests.support import make
from tests.support.app import App, opened
from tests.support.databases import BOTH
from tests.support.make import DONE, LEASE, MINUTE, ONCE, SECOND, SILENCE, phase_spec

pytestmark = pytest.mark.databases(*BOTH)


class TestCancel:
    """Stopping an execution and all below it."""

    async def test_answers_with_the_execution_as_it_is_committed(self, app: App) -> None:
        await app.apply(2)
        await app.start("e1")
        answer = await app.cancel("e1")
        assert answer == await app.get("e1")
        assert make.statuses(answer) == ("cancelled", "cancelled", "cancelled")
        assert answer.cancellation == Cancellation(app.clock.now(), "anonymous", "enough")

    async def test_reaches_the_worker_with_its_next_report(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        assigned = await app.lease_one()
        assert (await app.cancel("e1", 10 * SECOND)).status == "cancelling"
        directive = await app.report(assigned)
        assert (directive.action, directive.time_to_live) == (DirectiveAction.CANCEL, 10 * SECOND)
        directive = await app.report(assigned, make.stopped())
        assert directive.action is DirectiveAction.ACCEPTED
        assert await app.statuses("e1") == ("cancelled", "cancelled")

    async def test_ends_what_its_worker_does_not_stop(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        await app.lease_one()
        await app.cancel("e1", 10 * SECOND)
        await app.passes(SILENCE + 10 * SECOND)
        assert await app.statuses("e1") == ("cancelled", "cancelled")

    async def test_gives_the_grace_from_when_its_worker_heard_of_it(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        assigned = await app.lease_one()
        await app.cancel("e1", SECOND)
        await app.passes(SILENCE)
        told = await app.report(assigned)
        assert (told.action, told.time_to_live) == (DirectiveAction.CANCEL, SECOND)
        await app.passes(SECOND)
        assert await app.statuses("e1") == ("cancelled", "cancelled")

    async def test_goes_down_the_tree_and_never_up(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        await app.start("sibling", parent_execution_id="root")
        await app.start("middle", parent_execution_id="root")
        await app.start("leaf", parent_execution_id="middle")
        await app.cancel("middle")
        status = {name: (await app.get(name)).status for name in ("root", "sibling")}
        assert status == {"root": "pending", "sibling": "pending"}
        for name in ("middle", "leaf"):
            one = await app.get(name)
            assert one.status == "cancelled"
            assert one.cancellation is not None
            assert one.cancellation.reason == "enough"

    async def test_of_a_root_stops_the_whole_tree_in_one_commit(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        for number in range(5):
            await app.start(f"e{number}", parent_execution_id="root")
        head = app.heard.head
        await app.cancel("root")
        assert app.heard.head == head + 1
        assert len(app.heard.commits[-1].entries) == 6

    async def test_of_what_has_ended_changes_nothing_of_it_but_stops_what_it_started(
        self, app: App
    ) -> None:
        await app.apply()
        await app.start("root")
        lease = await app.lease_one()
        await app.start("child", lease_token=lease.lease_token)
        await app.report(lease, DONE)
        before = await app.get("root")
        assert await app.cancel("root") == before
        assert (await app.get("child")).status == "cancelled"

    async def test_twice_keeps_the_first(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        await app.lease_one()
        first = await app.cancel("e1", MINUTE)
        await app.clock.advance(SECOND)
        assert await app.cancel("e1", SECOND) == first
        assert app.heard.head == first.revision

    async def test_ends_a_child_that_its_parent_may_outlive(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        lease = await app.lease_one()
        await app.start("child", lease_token=lease.lease_token)
        await app.cancel("child")
        await app.report(lease, DONE)
        assert await app.statuses("root") == ("completed", "completed")

    async def test_of_nothing_is_not_found(self, app: App) -> None:
        with pytest.raises(NotFound):
            await app.cancel("nobody")
        await app.apply()
        await app.start("e1")
        app.caller = type(app.caller)("other")
        with pytest.raises(NotFound):
            await app.cancel("e1")


class TestPauseAndResume:
    """Beginning nothing more for a while."""

    async def test_hold_back_what_is_ready(self, app: App) -> None:
        await app.apply(2)
        await app.start("e1")
        assert (await app.pause("e1")).status == "paused"
        assert await app.lease() == ()
        assert (await app.resume("e1")).status == "pending"
        assert len(await app.lease()) == 1

    async def test_let_a_running_phase_end(self, app: App) -> None:
        await app.apply(2)
        await app.start("e1")
        assigned = await app.lease_one()
        await app.pause("e1")
        assert (await app.report(assigned)).action is DirectiveAction.CONTINUE
        assert (await app.report(assigned, DONE)).action is DirectiveAction.ACCEPTED
        assert await app.statuses("e1") == ("paused", "completed", "ready")
        assert await app.lease() == ()
        assert (await app.resume("e1")).status == "running"
        assert len(await app.lease()) == 1

    async def test_wake_a_worker_that_waits(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        await app.pause("e1")
        polling = asyncio.create_task(app.lease(wait=MINUTE))
        await asyncio.sleep(0)
        await app.resume("e1")
        assert len(await polling) == 1

    async def test_leave_out_the_time_in_between(self, app: App) -> None:
        await app.apply(2, run_timeout=MINUTE)
        await app.start("e1")
        await app.run()
        await app.pause("e1")
        await app.passes(60 * MINUTE)
        assert (await app.get("e1")).status == "paused"
        await app.resume("e1")
        await app.passes(MINUTE - SECOND)
        assert (await app.get("e1")).status == "running"
        await app.passes(SECOND)
        assert (await app.get("e1")).status == "failed"

    async def test_leave_descendants_alone(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        await app.start("child", parent_execution_id="root")
        await app.pause("root")
        assert (await app.get("child")).status == "pending"

    async def test_twice_change_nothing(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        paused = await app.pause("e1")
        assert await app.pause("e1") == paused
        resumed = await app.resume("e1")
        assert await app.resume("e1") == resumed

    async def test_are_refused_for_what_has_ended(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        await app.run()
        for act in (app.pause, app.resume):
            with pytest.raises(IllegalTransition) as caught:
                await act("e1")
            assert (caught.value.reason, caught.value.subject) == ("INVALID_STATUS", "e1")


class TestRetry:
    """Running again what has failed or was cancelled."""

    async def test_goes_on_from_the_first_unfinished_phase(self, app: App) -> None:
        await app.apply([phase_spec("a"), phase_spec("b", retry_policy=ONCE, prompt="{{a}}")])
        await app.start("e1")
        await app.run(Completed(text_payload("kept")))
        await app.run(make.broken())
        assert (await app.get("e1")).status == "failed"
        answer = await app.retry("e1")
        assert answer == await app.get("e1")
        assert make.statuses(answer) == ("pending", "completed", "ready")
        assigned = await app.lease_one()
        assert (assigned.prompt, assigned.fencing_token) == ("kept", 2)
        await app.report(assigned, DONE)
        assert await app.statuses("e1") == ("completed", "completed", "completed")

    async def test_of_what_ended_long_ago_is_as_if_it_had_never_left(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db") as one:
            await one.apply()
            await one.start("e1")
            await one.cancel("e1")
        async with opened(tmp_path / "db", one.clock) as two:
            await two.retry("e1")
            await two.run()
            assert await two.statuses("e1") == ("completed", "completed")

    async def test_needs_an_active_parent(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        lease = await app.lease_one()
        await app.start("child", lease_token=lease.lease_token)
        await app.cancel("child")
        await app.retry("child")
        await app.cancel("child")
        await app.report(lease, DONE)
        with pytest.raises(FailedPrecondition) as caught:
            await app.retry("child")
        assert (caught.value.reason, caught.value.subject) == ("PARENT_NOT_ACTIVE", "root")

    async def test_leaves_descendants_as_they_are(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        await app.start("child", parent_execution_id="root")
        await app.cancel("root")
        await app.retry("root")
        assert (await app.get("child")).status == "cancelled"

    async def test_needs_a_place_among_the_active(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=Limits(active_executions=1)) as app:
            await app.apply()
            await app.start("e1")
            await app.cancel("e1")
            await app.start("e2")
            with pytest.raises(ResourceExhausted) as caught:
                await app.retry("e1")
            assert caught.value.reason == "TOO_MANY_EXECUTIONS"
            assert (await app.get("e1")).status == "cancelled"

    async def test_once_for_each_request_id(self, app: App) -> None:
        await app.apply([phase_spec(retry_policy=ONCE)])
        await app.start("e1")
        await app.run(make.broken())
        await app.controls.retry(app.caller, "e1", request_id="r1", digest=b"d")
        await app.lease_one()
        again = await app.controls.retry(app.caller, "e1", request_id="r1", digest=b"d")
        assert again.answer.encoded
        # The repeat was answered as the first was, although the phase runs by now.
        assert await app.statuses("e1") == ("running", "running")


class TestPurge:
    """Erasing content."""

    async def test_erases_all_that_was_given_and_produced(self, app: App) -> None:
        await app.apply([phase_spec(retry_policy=ONCE), phase_spec("b", retry_policy=ONCE)])
        await app.start("e1", task="secret", payload=text_payload("secret"))
        await app.run(
            Completed(text_payload("secret")),
            operations=(OperationReport("1", "tool", tool_name="secret"),),
            checkpoint=text_payload("secret"),
            progress=Progress(1, "secret"),
            usage_by_model=make.spent(5),
        )
        await app.run(make.broken(message="secret"))
        answer = await app.purge("e1")
        assert answer == await app.get("e1")
        assert (answer.is_purged, answer.status, answer.usage.cost_nanos) == (True, "failed", 5)
        detail = await app.executions.get(app.caller, "e1")
        assert "secret" not in repr(detail)
        assert (detail.outputs, tuple(detail.operations)) == ({}, ())

    async def test_reaches_the_database_and_its_change_log(self, app: App, tmp_path: Path) -> None:
        path = tmp_path / "other.db"
        async with opened(path) as one:
            await one.apply([phase_spec(retry_policy=ONCE)])
            await one.start("e1", task="s3cr3t-task", labels={"kept": "l4b3l"})
            assigned = await one.lease_one()
            await one.report(
                assigned,
                operations=(OperationReport("s3cr3t-operation", "tool"),),
                progress=Progress(1, "s3cr3t-progress"),
            )
            await one.report(assigned, make.broken(message="s3cr3t-failure"))
            await one.purge("e1")
        async with opened(path) as two:
            rows = await _rows(two)
        assert b"l4b3l" in rows
        assert b"s3cr3t" not in rows

    async def test_of_what_is_purged_changes_nothing(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        await app.run()
        purged = await app.purge("e1")
        assert await app.purge("e1") == purged

    async def test_of_what_has_not_ended_is_refused(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        with pytest.raises(IllegalTransition) as caught:
            await app.purge("e1")
        assert caught.value.reason == "INVALID_STATUS"

    async def test_leaves_descendants_alone(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        await app.start("child", parent_execution_id="root", task="kept")
        await app.cancel("root")
        await app.purge("root")
        detail = await app.executions.get(app.caller, "child")
        assert (detail.execution.is_purged, detail.content.task) == (False, "kept")


async def test_a_repeated_control_is_answered_as_the_first_was(app: App) -> None:
    await app.apply()
    await app.start("e1")
    first = await app.controls.pause(app.caller, "e1", request_id="r1", digest=b"d")
    assert first.answer.changed
    await app.resume("e1")
    again = await app.controls.pause(app.caller, "e1", request_id="r1", digest=b"d")
    assert (again.answer.encoded != b"", again.answer.changed) == (True, False)
    assert (await app.get("e1")).status == "pending"
    with pytest.raises(InvalidArgument):
        await app.controls.pause(app.caller, "e1", request_id="r1", digest=b"other")


async def test_repeated_controls_in_one_batch_act_once(app: App) -> None:
    await app.apply()
    await app.start("e1")
    await app.lease_one()
    answers = await asyncio.gather(
        *(
            app.controls.cancel(
                app.caller, "e1", reason="enough", grace=LEASE, request_id="r1", digest=b"d"
            )
            for _ in range(3)
        )
    )
    assert [one.answer.changed for one in answers] == [True, False, False]
    assert len({one.revision for one in answers}) == 1


async def _rows(app: App) -> bytes:
    """Return all rows of all tables; free pages of the database may keep what was erased."""

    def read(connection: Connection) -> bytes:
        tables = metadata.sorted_tables
        return "\n".join(repr(connection.execute(select(each)).all()) for each in tables).encode()

    return await app.store.database.read(read)
