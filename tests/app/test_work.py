"""Leasing and reporting over the store: nothing is lost with an answer, nothing counts twice."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from phaseline.domain.errors import InvalidArgument
from phaseline.domain.execution import Content
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload, text_payload
from phaseline.domain.report import (
    AbandonReason,
    ArtifactDraft,
    Completed,
    DirectiveAction,
    OperationReport,
    Progress,
    RetryDecision,
)
from tests.support import make
from tests.support.app import App, opened, reporting
from tests.support.make import DONE, LEASE, MINUTE, SECOND, phase_spec


async def test_a_workflow_runs_to_its_end(app: App) -> None:
    await app.apply(3)
    await app.start("e1")
    for position in range(3):
        assigned = await app.run()
        assert (assigned.position, assigned.fencing_token) == (position, 1)
    assert await app.statuses("e1") == ("completed",) * 4
    assert await app.lease() == ()


class TestLeasing:
    """Getting work."""

    async def test_gives_each_phase_to_one_worker(self, app: App) -> None:
        await app.apply()
        for number in range(5):
            await app.start(f"e{number}")
        answers = await asyncio.gather(*(app.lease(2) for _ in range(5)))
        given = [one.execution.spec.execution_id for answer in answers for one in answer]
        assert sorted(given) == [f"e{number}" for number in range(5)]
        assert sorted(len(answer) for answer in answers) == [0, 0, 1, 2, 2]

    async def test_takes_higher_priority_first_then_who_waited_longer(self, app: App) -> None:
        await app.apply()
        for number, priority in enumerate((0, 0, 5, -5)):
            await app.start(f"e{number}", priority=priority)
        given = [one.execution.spec.execution_id for one in await app.lease(4)]
        assert given == ["e2", "e0", "e1", "e3"]

    async def test_lets_workflows_take_turns(self, app: App) -> None:
        for name in ("a", "b"):
            await app.apply(workflow_id=name)
        for name in ("a", "a", "a", "b", "b"):
            await app.start(workflow_id=name)
        given = [one.execution.workflow.workflow_id for one in await app.lease(5)]
        assert given[:4] in (["a", "b", "a", "b"], ["b", "a", "b", "a"])

    async def test_is_of_the_queues_handlers_and_deployment_that_are_asked_for(
        self, app: App
    ) -> None:
        await app.apply([phase_spec(handler="build")])
        await app.start("e1", queue_name="gpu", deployment_id="v2")
        assert await app.lease() == ()
        assert await app.lease(queue_names=("gpu",)) == ()
        assert await app.lease(queue_names=("gpu",), deployment_id="v1") == ()
        wanted = {"queue_names": ("cpu", "gpu"), "deployment_id": "v2"}
        assert await app.lease(handlers=("test",), **wanted) == ()  # type: ignore[arg-type]
        assert len(await app.lease(handlers=("test", "build"), **wanted)) == 1  # type: ignore[arg-type]

    async def test_is_from_the_own_workspace(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        app.caller = type(app.caller)("other")
        assert await app.lease() == ()

    async def test_waits_for_work_to_come(self, app: App) -> None:
        await app.apply()
        polling = asyncio.create_task(app.lease(wait=MINUTE))
        await app.start("e1")
        (assigned,) = await polling
        assert assigned.execution.spec.execution_id == "e1"

    async def test_is_over_when_the_wait_is(self, app: App) -> None:
        assert await app.lease(wait=timedelta(milliseconds=1)) == ()

    async def test_ends_when_the_server_drains(self, app: App) -> None:
        await app.apply()
        polling = asyncio.create_task(app.lease(wait=MINUTE))
        await asyncio.sleep(0)
        app.work.drain()
        assert await polling == ()
        await app.start("e1")
        assert await app.lease(wait=MINUTE) == ()
        assert (await app.tell(more=make.lease_request())).leased == ()

    async def test_that_nobody_waits_for_any_more_leaves_no_lease(self, app: App) -> None:
        await app.apply()
        polling = asyncio.create_task(app.lease(wait=MINUTE))
        await asyncio.sleep(0)
        polling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await polling
        await app.start("e1")
        assert make.phase(await app.get("e1")).attempt == 0

    async def test_that_is_cancelled_in_the_very_moment_gives_the_lease_back(
        self, app: App
    ) -> None:
        await app.apply()
        polling = asyncio.create_task(app.lease(wait=MINUTE))
        await asyncio.sleep(0)
        app.gate.shut()
        starting = asyncio.create_task(app.start("e1"))
        await app.gate.is_waited_at.wait()
        polling.cancel()
        await asyncio.sleep(0)
        app.gate.open()
        with pytest.raises(asyncio.CancelledError):
            await polling
        await starting
        phase = make.phase(await app.get("e1"))
        assert (phase.status, phase.attempt) == ("ready", 0)

    @pytest.mark.parametrize("is_with_report", [False, True])
    async def test_that_does_not_wait_gives_back_what_nobody_takes(
        self, app: App, is_with_report: bool
    ) -> None:
        await app.apply()
        await app.start("e1")
        app.gate.shut()
        more = make.lease_request("more")
        asking = app.tell(reporting("unknown"), more=more) if is_with_report else app.lease()
        leasing = asyncio.ensure_future(asking)
        await app.gate.is_waited_at.wait()
        leasing.cancel()
        await asyncio.sleep(0)
        app.gate.open()
        with pytest.raises(asyncio.CancelledError):
            await leasing
        phase = make.phase(await app.get("e1"))
        assert (phase.status, phase.attempt) == ("ready", 0)

    async def test_that_is_cancelled_while_it_is_put_together_gives_the_lease_back(
        self, app: App, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await app.apply()
        await app.start("e1", task="survey")
        looking = asyncio.Event()

        async def look(key: Key) -> Content:
            looking.set()
            await asyncio.Event().wait()
            raise AssertionError("it was cancelled")

        monkeypatch.setattr(app.store.reads, "content", look)
        polling = asyncio.create_task(app.lease(wait=MINUTE))
        await looking.wait()
        polling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await polling
        monkeypatch.undo()
        phase = make.phase(await app.get("e1"))
        assert (phase.status, phase.attempt) == ("ready", 0)

    async def test_shows_revisions_as_they_are_committed(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        assigned = await app.lease_one()
        stored = await app.get("e1")
        assert assigned.execution == stored
        assert assigned.phase.revision == stored.revision == app.heard.head


class TestRedelivery:
    """A poll whose answer was lost, asked again."""

    async def test_gets_the_same_leases(self, app: App) -> None:
        await app.apply()
        for number in range(3):
            await app.start(f"e{number}")
        first = await app.lease(2, request_id="r1")
        again = await app.lease(2, request_id="r1", wait=MINUTE)
        assert {one.lease_token for one in again} == {one.lease_token for one in first}
        assert [one.fencing_token for one in again] == [1, 1]
        # What was given is not taken off the line again.
        assert len(await app.lease(9)) == 1

    async def test_gets_only_those_that_still_live(self, app: App) -> None:
        await app.apply()
        for number in range(2):
            await app.start(f"e{number}")
        first = await app.lease(2, request_id="r1")
        await app.report(first[0], DONE)
        (again,) = await app.lease(2, request_id="r1")
        assert again.lease_token == first[1].lease_token
        await app.clock.advance(LEASE)
        assert await app.lease(1, request_id="other") == ()
        await app.passes(timedelta())
        (fresh,) = await app.lease(2, request_id="r1")
        assert fresh.fencing_token == 2

    async def test_gives_no_lease_again_that_is_over_before_the_clock_has_acted(
        self, app: App
    ) -> None:
        await app.apply()
        await app.start("e1")
        await app.lease(request_id="r1")
        app.clock.pass_(LEASE)
        assert await app.lease(request_id="r1") == ()

    async def test_tells_how_much_is_left(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        await app.lease(request_id="r1")
        await app.clock.advance(10 * SECOND)
        (again,) = await app.lease(request_id="r1")
        assert again.time_to_live == LEASE - 10 * SECOND
        assert again.heartbeat_interval == 5 * SECOND

    async def test_asking_for_something_else_is_refused(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        await app.lease(request_id="r1")
        for other in ({"most": 2}, {"queue_names": ("gpu",)}, {"lease_duration": MINUTE}):
            with pytest.raises(InvalidArgument) as caught:
                await app.lease(request_id="r1", **other)
            assert caught.value.reason == "REQUEST_ID_REUSED"

    async def test_that_is_refused_costs_no_report_its_directive(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        assigned = (await app.lease(request_id="r1"))[0]
        await app.start("e2")
        other = make.lease_request("r1", queue_names=("gpu",))
        reported = await app.tell(reporting(assigned, DONE), more=other)
        assert [each.action for each in reported.directives] == [DirectiveAction.ACCEPTED]
        assert not reported.leased

    async def test_of_another_worker_is_another_request(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        await app.lease(request_id="r1")
        assert await app.lease(request_id="r1", worker_id="w2") == ()

    async def test_survives_a_restart(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db") as one:
            await one.apply()
            await one.start("e1")
            (first,) = await one.lease(request_id="r1")
        async with opened(tmp_path / "db", one.clock) as two:
            (again,) = await two.lease(request_id="r1")
            assert again.lease_token == first.lease_token
            assert (await two.report(first, DONE)).action is DirectiveAction.ACCEPTED

    async def test_of_next_gets_the_same_leases(self, app: App) -> None:
        await app.apply(2)
        await app.start("e1")
        first = await app.lease_one()
        more = make.lease_request("r2")
        told = await app.tell(reporting(first, DONE), more=more)
        again = await app.tell(reporting(first, DONE), more=more)
        assert again.directives[0].replayed
        assert [one.lease_token for one in again.leased] == [one.lease_token for one in told.leased]


class TestReporting:
    """Telling what became of work."""

    async def test_next_leases_what_the_report_made_ready_in_the_same_commit(
        self, app: App
    ) -> None:
        await app.apply(2)
        await app.start("e1")
        first = await app.lease_one()
        head = app.heard.head
        told = await app.tell(reporting(first, DONE), more=make.lease_request("r2"))
        (second,) = told.leased
        assert second.position == 1
        assert app.heard.head == head + 1

    async def test_a_lost_lease_keeps_no_other_report_from_being_stored(self, app: App) -> None:
        await app.apply()
        for number in range(2):
            await app.start(f"e{number}")
        one, two = await app.lease(2)
        told = await app.tell(
            reporting("forged", DONE),
            reporting(one, DONE),
            reporting(one.lease_token + "x", DONE),
            reporting(two, Completed(text_payload("2"))),
        )
        assert [directive.action for directive in told.directives] == [
            DirectiveAction.ABANDON,
            DirectiveAction.ACCEPTED,
            DirectiveAction.ABANDON,
            DirectiveAction.ACCEPTED,
        ]
        assert told.directives[0].abandon_reason is AbandonReason.UNKNOWN
        assert await app.statuses("e0") == await app.statuses("e1") == ("completed", "completed")

    async def test_a_token_of_another_workspace_is_unknown(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        assigned = await app.lease_one()
        app.caller = type(app.caller)("other")
        directive = await app.report(assigned, DONE)
        assert directive.abandon_reason is AbandonReason.UNKNOWN

    async def test_the_same_report_twice_in_one_batch_counts_once(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        assigned = await app.lease_one()
        told = reporting(assigned, DONE, usage_by_model=make.spent(5))
        first, second = await asyncio.gather(app.tell(told), app.tell(told))
        assert [one.directives[0].replayed for one in (first, second)] == [False, True]
        assert (await app.get("e1")).usage.cost_nanos == 5

    async def test_a_late_worker_cannot_overwrite_what_another_did(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        lost = await app.lease_one()
        await app.passes(LEASE)
        await app.run(Completed(text_payload("second")))
        directive = await app.report(lost, Completed(text_payload("first")))
        assert directive.action is DirectiveAction.ABANDON
        detail = await app.executions.get(app.caller, "e1")
        assert detail.outputs[0].text() == "second"

    async def test_heartbeats_keep_a_lease_and_tell_watchers_nothing(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        assigned = await app.lease_one()
        head = app.heard.head
        for _ in range(5):
            await app.passes(20 * SECOND)
            assert (await app.report(assigned)).action is DirectiveAction.CONTINUE
        assert app.heard.head == head
        assert (await app.report(assigned, DONE)).action is DirectiveAction.ACCEPTED

    async def test_heartbeats_are_remembered_across_a_restart(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db") as one:
            await one.apply()
            await one.start("e1")
            assigned = await one.lease_one()
            await one.clock.advance(20 * SECOND)
            await one.report(assigned, sequence=4, progress=Progress(50))
        async with opened(tmp_path / "db", one.clock) as two:
            directive = await two.report(assigned, sequence=4, progress=Progress(10))
            assert directive.replayed
            progress = make.phase(await two.get("e1")).progress
            assert progress == Progress(50)

    async def test_operations_are_stored_and_replaced_across_reports(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        assigned = await app.lease_one()
        read = OperationReport("1", "tool", tool_name="Read")
        await app.report(assigned, operations=(read,))
        await app.report(
            assigned, operations=(OperationReport("1", "tool", tool_name="Read", success=True),)
        )
        await app.report(assigned, operations=(OperationReport("2", "model"),))
        detail = await app.executions.get(app.caller, "e1")
        assert [(one.reported.operation_id, one.reported.success) for one in detail.operations] == [
            ("1", True),
            ("2", None),
        ]
        assert make.phase(detail.execution).operation_count == 2
        assert detail.execution.usage.tool_call_count == 1

    async def test_operations_of_reports_in_one_batch_are_counted_once(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        assigned = await app.lease_one()
        told = reporting(assigned, operations=(OperationReport("1", "tool", tool_name="Read"),))
        await asyncio.gather(app.tell(told), app.tell(told))
        listed = await app.executions.operations(app.caller, "e1", page_size=10)
        assert len(listed.page.operations) == 1
        assert (await app.get("e1")).usage.tool_call_count == 1

    async def test_artifacts_are_named_and_can_be_read(self, app: App) -> None:
        await app.apply()
        await app.start("e1")
        drafts = (
            ArtifactDraft("a.md", text_payload("# A")),
            ArtifactDraft("b", Payload(uri="s3://b")),
        )
        await app.run(Completed(artifacts=drafts))
        one = await app.get("e1")
        assert len(one.artifact_ids) == 2
        assert make.phase(one).artifact_ids == one.artifact_ids
        artifact, data = await app.artifact(one.artifact_ids[0])
        assert (artifact.name, artifact.size_bytes, data) == ("a.md", 3, b"# A")
        artifact, data = await app.artifact(one.artifact_ids[1])
        assert (artifact.name, artifact.size_bytes, artifact.uri, data) == ("b", 0, "s3://b", None)

    async def test_a_result_that_does_not_match_its_schema_fails_with_the_path(
        self, app: App
    ) -> None:
        await app.apply(
            [phase_spec("a"), phase_spec("b")],
            output_schema='{"properties": {"n": {"type": "integer"}}}',
        )
        await app.start("e1")
        await app.run()
        assigned = await app.lease_one()
        directive = await app.report(assigned, Completed(Payload(b'{"n": "x"}')))
        assert directive.retry_decision is RetryDecision.NOT_RETRYABLE
        one = await app.get("e1")
        assert one.failure is not None
        assert (one.failure.code, one.failure.phase_id) == ("OUTPUT_SCHEMA_MISMATCH", "b")
        assert one.failure.message.startswith("/n: ")
