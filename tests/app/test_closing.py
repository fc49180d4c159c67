"""Operations that an attempt leaves open end with it, however it ends."""

from datetime import timedelta
from pathlib import Path

import pytest

from phaseline.app.assignments import Assigned
from phaseline.app.changes import Resource
from phaseline.domain.execution import Operation
from phaseline.domain.payload import text_payload
from phaseline.domain.report import OperationReport, Outcome
from tests.support import make
from tests.support.app import App, opened
from tests.support.make import LEASE, SECOND, SILENCE

READ = OperationReport("1", "tool", tool_name="Read", input=text_payload("file"))
DONE = OperationReport("2", "tool", success=True)


async def test_a_lost_worker_takes_its_operations_with_it(app: App) -> None:
    await _begun(app)
    await app.passes(LEASE)
    read, done = await _operations(app)
    assert (read.reported.success, read.reported.completed_at) == (False, app.clock.now())
    assert read.reported.error_message == (
        "it had not ended when its attempt did: worker 'w1' did not renew its lease"
    )
    assert (done.reported.success, done.reported.completed_at) == (True, None)


async def test_who_watches_sees_them_end_in_the_commit_that_ends_the_lease(app: App) -> None:
    await _begun(app)
    await app.passes(LEASE)
    (entry,) = app.heard.commits[-1].entries
    (part,) = (part for part in entry.parts if part.resource is Resource.OPERATION)
    read, _ = await _operations(app)
    assert (part.ordinal, part.is_new, part.has_payload) == (0, False, True)
    assert read.revision == app.heard.commits[-1].revision == entry.revision


async def test_what_it_was_given_stays(app: App) -> None:
    await _begun(app)
    await app.passes(LEASE)
    listed = await app.executions.operations(app.caller, "e1", page_size=10, full=True)
    assert listed.page.operations[0].reported.input == text_payload("file")


async def test_a_worker_that_does_not_stop_takes_them_with_it(app: App) -> None:
    await _begun(app)
    await app.cancel("e1", 5 * SECOND)
    await app.passes(SILENCE + 5 * SECOND)
    read, _ = await _operations(app)
    assert read.reported.success is False
    assert read.reported.error_message.endswith("the worker did not stop in time")


async def test_what_is_given_back_is_not_blamed_on_an_attempt_before(app: App) -> None:
    await app.apply([make.phase_spec(retry_policy=make.EAGER)])
    await app.start("e1")
    await app.run(make.broken())
    assigned = await app.lease_one()
    await app.report(assigned, operations=(READ,))
    await app.report(assigned, make.released())
    (read,) = await _operations(app)
    assert read.reported.error_message == "it had not ended when its attempt was given back"


@pytest.mark.parametrize(
    ("outcome", "success", "why"),
    [
        (make.DONE, None, ""),
        (make.broken(), False, "it had not ended when its attempt did: it broke"),
    ],
)
async def test_an_outcome_ends_what_it_brings_and_what_came_before(
    app: App, outcome: Outcome, success: bool | None, why: str
) -> None:
    assigned = await _begun(app)
    late = OperationReport("3", "custom")
    await app.report(assigned, outcome, operations=(late,))
    read, _, last = await _operations(app)
    for one in (read, last):
        assert one.reported.completed_at == app.clock.now()
        assert (one.reported.success, one.reported.error_message) == (success, why)


async def test_an_operation_that_its_worker_ends_at_last_is_as_it_says(app: App) -> None:
    assigned = await _begun(app)
    ended = OperationReport("1", "tool", tool_name="Read", success=True)
    await app.report(assigned, make.broken(), operations=(ended,))
    read, _ = await _operations(app)
    assert (read.reported.success, read.reported.error_message) == (True, "")
    assert make.phase(await app.get("e1")).ending.open_operations == 0  # type: ignore[union-attr]


async def test_what_is_open_is_known_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path / "db") as one:
        await _begun(one)
    async with opened(tmp_path / "db", one.clock) as two:
        await two.passes(LEASE)
        read, done = await _operations(two)
        assert (read.reported.success, done.reported.success) == (False, True)


async def test_operations_do_not_end_before_they_began_by_another_clock(app: App) -> None:
    await app.apply()
    await app.start("e1")
    ahead = app.clock.now() + timedelta(hours=1)
    assigned = await app.lease_one()
    await app.report(assigned, operations=(OperationReport("1", "tool", timestamp=ahead),))
    await app.report(assigned, make.broken())
    (one,) = await _operations(app)
    assert one.reported.completed_at == ahead


async def _begun(app: App) -> Assigned:
    """Return the lease of a phase that has one operation open and one ended."""
    await app.apply()
    await app.start("e1")
    assigned = await app.lease_one()
    await app.report(assigned, operations=(READ, DONE))
    return assigned


async def _operations(app: App) -> list[Operation]:
    return list((await app.executions.get(app.caller, "e1")).operations)
