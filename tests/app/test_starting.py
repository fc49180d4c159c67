"""Starting executions: durable, once for each request_id and each step, within all limits."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from phaseline.app.limits import Limits
from phaseline.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PhaselineError,
    ResourceExhausted,
)
from phaseline.domain.payload import Payload
from phaseline.domain.start import StartLimits
from phaseline.domain.workflow import InputSpec
from tests.support import make
from tests.support.app import App, opened
from tests.support.make import LEASE, ONCE, phase_spec


async def test_what_is_answered_is_there(app: App) -> None:
    await app.apply(2)
    started = await app.start("e1", task="do it")
    assert (started.execution_id, started.workflow_id) == ("e1", "flow")
    assert (started.created, started.status) == (True, "pending")
    detail = await app.executions.get(app.caller, "e1")
    assert make.statuses(detail.execution) == ("pending", "ready", "pending")
    assert (detail.execution.revision, detail.content.task) == (started.revision, "do it")


async def test_an_id_is_made_if_none_is_given(app: App) -> None:
    await app.apply()
    ids = {(await app.start()).execution_id for _ in range(3)}
    assert len(ids) == 3


async def test_an_id_is_taken_once(app: App) -> None:
    await app.apply()
    await app.start("e1")
    with pytest.raises(AlreadyExists) as caught:
        await app.start("e1")
    assert caught.value.reason == "EXECUTION_ALREADY_EXISTS"
    answers = await asyncio.gather(*(app.start("e2") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(answer, AlreadyExists) for answer in answers) == 4


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"workflow_id": "nobody"}, "WORKFLOW_NOT_FOUND"),
        ({"workflow_version": 2}, "WORKFLOW_NOT_FOUND"),
        ({"parent_execution_id": "nobody"}, "PARENT_NOT_FOUND"),
        ({"inputs": {"x": "1"}}, "UNKNOWN_INPUT"),
        ({"lease_token": "forged"}, "LEASE_LOST"),
        ({"priority": 500}, "INVALID_FIELD"),
    ],
)
async def test_what_is_refused_leaves_no_trace(
    app: App, fields: dict[str, Any], reason: str
) -> None:
    await app.apply()
    head = app.heard.head
    with pytest.raises(PhaselineError) as caught:
        await app.start("e1", request_id="r1", **fields)
    assert caught.value.reason == reason
    assert app.heard.head == head
    # Neither is its request_id remembered.
    assert (await app.start("e1", request_id="r1")).created


async def test_a_missing_input_is_named(app: App) -> None:
    await app.apply(inputs=(InputSpec("topic", required=True),))
    with pytest.raises(InvalidArgument) as caught:
        await app.start()
    assert caught.value.violations[0].field == "inputs[topic]"


class TestRepeats:
    """The same request_id."""

    async def test_gets_the_first_answer(self, app: App) -> None:
        await app.apply()
        first = await app.start(request_id="r1", digest=b"d")
        await app.run()
        again = await app.start(request_id="r1", digest=b"d")
        assert (again.execution_id, again.created) == (first.execution_id, False)
        assert (again.status, again.revision) == (first.status, first.revision)

    async def test_in_the_same_batch_starts_once(self, app: App) -> None:
        await app.apply()
        answers = await asyncio.gather(*(app.start(request_id="r1", digest=b"d") for _ in range(9)))
        assert len({answer.execution_id for answer in answers}) == 1
        assert sorted(answer.created for answer in answers) == [False] * 8 + [True]
        assert len({answer.revision for answer in answers}) == 1

    async def test_with_another_body_is_refused(self, app: App) -> None:
        await app.apply()
        await app.start(request_id="r1", digest=b"d")
        with pytest.raises(InvalidArgument) as caught:
            await app.start(request_id="r1", digest=b"other")
        assert caught.value.reason == "REQUEST_ID_REUSED"

    async def test_of_another_method_is_refused(self, app: App) -> None:
        await app.apply()
        await app.start("e1", request_id="r1", digest=b"d")
        with pytest.raises(InvalidArgument) as caught:
            await app.controls.pause(app.caller, "e1", request_id="r1", digest=b"d")
        assert caught.value.reason == "REQUEST_ID_REUSED"

    async def test_is_known_after_a_restart(self, app: App, tmp_path: Path) -> None:
        async with opened(tmp_path / "other.db") as one:
            await one.apply()
            first = await one.start(request_id="r1", digest=b"d")
        async with opened(tmp_path / "other.db") as two:
            again = await two.start(request_id="r1", digest=b"d")
        assert (again.execution_id, again.created) == (first.execution_id, False)


class TestChildren:
    """Executions that a worker starts."""

    async def test_are_placed_below_the_phase_that_starts_them(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        lease = await app.lease_one()
        await app.start("child", lease_token=lease.lease_token, step_key="s1")
        await app.start("grandchild", parent_execution_id="child")
        spec = (await app.get("grandchild")).spec
        assert spec.ancestor_execution_ids == ("root", "child")
        assert (spec.parent_execution_id, spec.root_execution_id) == ("child", "root")

    async def test_are_one_for_each_step(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        lease = await app.lease_one()
        first = await app.start(lease_token=lease.lease_token, step_key="s1")
        again = await app.start(lease_token=lease.lease_token, step_key="s1", task="another")
        assert (again.execution_id, again.created) == (first.execution_id, False)
        other = await app.start(lease_token=lease.lease_token, step_key="s2")
        assert other.created

    async def test_are_the_same_for_the_next_attempt(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        lease = await app.lease_one()
        first = await app.start("child", lease_token=lease.lease_token, step_key="s1")
        await app.cancel("child")
        await app.passes(LEASE)
        lease = await app.lease_one()
        again = await app.start(lease_token=lease.lease_token, step_key="s1")
        assert (again.execution_id, again.created) == (first.execution_id, False)
        assert again.status == "cancelled"

    async def test_are_one_although_asked_for_at_once(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        answers = await asyncio.gather(
            *(app.start(parent_execution_id="root", step_key="s") for _ in range(5))
        )
        assert len({answer.execution_id for answer in answers}) == 1

    async def test_are_not_started_by_a_lease_that_is_lost(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        lease = await app.lease_one()
        await app.clock.advance(LEASE)
        # Also before anybody has taken note of it.
        with pytest.raises(FailedPrecondition) as caught:
            await app.start(lease_token=lease.lease_token)
        assert caught.value.reason == "LEASE_LOST"

    async def test_are_not_started_by_a_lease_that_another_took_over(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        lost = await app.lease_one()
        await app.passes(LEASE)
        await app.lease_one()
        with pytest.raises(FailedPrecondition) as caught:
            await app.start(lease_token=lost.lease_token)
        assert caught.value.reason == "LEASE_LOST"

    async def test_are_not_started_by_a_lease_of_another_execution(self, app: App) -> None:
        await app.apply()
        await app.start("other")
        lease = await app.lease_one()
        await app.start("root")
        await app.lease_one()
        with pytest.raises(InvalidArgument) as caught:
            await app.start(lease_token=lease.lease_token, parent_execution_id="root")
        assert caught.value.violations[0].field == "lease_token"

    async def test_are_not_started_by_what_has_ended_or_is_stopping(self, app: App) -> None:
        await app.apply()
        await app.start("ended")
        await app.run()
        await app.start("stopping")
        lease = await app.lease_one()
        await app.cancel("stopping")
        for parent in ("ended", "stopping"):
            with pytest.raises(FailedPrecondition) as caught:
                await app.start(parent_execution_id=parent)
            assert (caught.value.reason, caught.value.subject) == ("PARENT_NOT_ACTIVE", parent)
        with pytest.raises(FailedPrecondition) as caught:
            await app.start(lease_token=lease.lease_token)
        assert caught.value.reason == "PARENT_NOT_ACTIVE"

    async def test_that_exist_are_told_although_the_parent_is_stopping(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        lease = await app.lease_one()
        await app.start("child", lease_token=lease.lease_token, step_key="s1")
        await app.cancel("root")
        again = await app.start(lease_token=lease.lease_token, step_key="s1")
        assert (again.execution_id, again.created) == ("child", False)

    async def test_have_parents_in_their_own_workspace(self, app: App) -> None:
        await app.apply()
        await app.start("root")
        lease = await app.lease_one()
        app.caller = type(app.caller)("other")
        await app.apply()
        with pytest.raises(NotFound):
            await app.start(parent_execution_id="root")
        with pytest.raises(FailedPrecondition):
            await app.start(lease_token=lease.lease_token)


class TestLimits:
    """How many and how large."""

    async def test_hold_for_active_executions(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=Limits(active_executions=2)) as app:
            await app.apply()
            answers = await asyncio.gather(
                *(app.start(f"e{n}") for n in range(4)), return_exceptions=True
            )
            refused = [answer for answer in answers if isinstance(answer, ResourceExhausted)]
            assert [error.reason for error in refused] == ["TOO_MANY_EXECUTIONS"] * 2
            assert refused[0].subject == "workspace:default"
            await app.run()
            await app.start("e9")
            # Each workspace has its own.
            app.caller = type(app.caller)("other")
            await app.apply()
            await app.start("e9")

    async def test_hold_for_the_depth_of_a_tree(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=Limits(tree_depth=3)) as app:
            await app.apply()
            await app.start("e1")
            await app.start("e2", parent_execution_id="e1")
            await app.start("e3", parent_execution_id="e2")
            with pytest.raises(FailedPrecondition) as caught:
                await app.start("e4", parent_execution_id="e3")
            assert (caught.value.reason, caught.value.subject) == ("TREE_TOO_LARGE", "e1")

    async def test_hold_for_the_size_of_a_tree(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=Limits(tree_size=3)) as app:
            await app.apply()
            await app.start("root")
            answers = await asyncio.gather(
                *(app.start(parent_execution_id="root") for _ in range(4)), return_exceptions=True
            )
            refused = [answer for answer in answers if isinstance(answer, FailedPrecondition)]
            assert [error.reason for error in refused] == ["TREE_TOO_LARGE"] * 2
            assert (await app.get("root")).tree_size == 3
        async with opened(tmp_path / "db", limits=Limits(tree_size=3)) as app:
            with pytest.raises(FailedPrecondition):
                await app.start(parent_execution_id="root")

    async def test_hold_for_sizes(self, tmp_path: Path) -> None:
        limits = Limits(start=StartLimits(inputs=9, task=9, payload=9))
        async with opened(tmp_path / "db", limits=limits) as app:
            await app.apply()
            with pytest.raises(InvalidArgument) as caught:
                await app.start(task="x" * 10, payload=Payload(b"x" * 10))
            assert [each.field for each in caught.value.violations] == ["task", "payload.data"]
            assert caught.value.reason == "PAYLOAD_TOO_LARGE"


class TestValidation:
    """Checking a request without doing it."""

    async def test_stores_nothing(self, app: App) -> None:
        await app.apply()
        await app.executions.validate(app.caller, make.start_request(execution_id="e1"))
        with pytest.raises(NotFound):
            await app.get("e1")

    async def test_tells_what_is_wrong(self, app: App) -> None:
        await app.apply()
        with pytest.raises(NotFound):
            await app.executions.validate(app.caller, make.start_request("nobody"))
        with pytest.raises(InvalidArgument):
            await app.executions.validate(app.caller, make.start_request(inputs={"x": "1"}))


async def test_an_execution_keeps_the_version_it_began_with(app: App) -> None:
    await app.apply(1)
    await app.start("e1")
    await app.apply([phase_spec("a", retry_policy=ONCE), phase_spec("b")])
    await app.start("e2")
    await app.start("e3", workflow_version=1)
    versions = [(await app.get(name)).workflow.version for name in ("e1", "e2", "e3")]
    assert versions == [1, 2, 1]
    assert len((await app.get("e1")).phases) == 1
