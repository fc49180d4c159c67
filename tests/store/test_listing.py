"""Every filter in every order finds what matches, page by page, and counts it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, select

from phaseline.app.queries import ExecutionFilter, ExecutionQuery, Order, Position
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ACTIVE, ExecutionStatus
from phaseline.store import listing, tables
from phaseline.store.fill import fill
from phaseline.store.load import read_executions
from phaseline.store.samples import Variety
from tests.store.stage import PlainEncoder, Stage, staged
from tests.support.clock import START, ManualClock

pytestmark = pytest.mark.timeout(120)

FEW = Variety(workflows=3, users=4, responders=3, repos=5, customers=6, per_session=7)
COUNT, LOGGED = 240, 40
FAILED, CANCELLED, COMPLETED = (
    ExecutionStatus.FAILED,
    ExecutionStatus.CANCELLED,
    ExecutionStatus.COMPLETED,
)
FILTERS: dict[str, ExecutionFilter] = {
    "nothing": ExecutionFilter(),
    "a status": ExecutionFilter(statuses=(COMPLETED,)),
    "statuses": ExecutionFilter(statuses=(FAILED, CANCELLED)),
    "active": ExecutionFilter(active_only=True),
    "active and failed": ExecutionFilter(active_only=True, statuses=(FAILED,)),
    "a workflow": ExecutionFilter(workflow_ids=("filled-1",)),
    "workflows": ExecutionFilter(workflow_ids=("filled-0", "filled-2", "filled-0")),
    "sessions": ExecutionFilter(session_ids=("session-3", "session-9")),
    "a user": ExecutionFilter(user_ids=("user-1",)),
    "users": ExecutionFilter(user_ids=("user-1", "user-2", "nobody")),
    "a responder": ExecutionFilter(responder_ids=("responder-0",)),
    "a message": ExecutionFilter(chat_message_id="message-30"),
    "a batch": ExecutionFilter(batch_id="batch-0"),
    "a queue": ExecutionFilter(queue_names=("bulk",)),
    "queues": ExecutionFilter(queue_names=("bulk", "rare")),
    "a repository": ExecutionFilter(repos=("acme/repo-1",)),
    "repositories": ExecutionFilter(repos=("acme/repo-0", "acme/repo-1", "acme/repo-4")),
    "a label": ExecutionFilter(labels={"environment": "staging"}),
    "labels": ExecutionFilter(labels={"environment": "staging", "customer": "customer-2"}),
    "a time": ExecutionFilter(created_after=START - timedelta(days=30, seconds=-60)),
    "a day": ExecutionFilter(
        created_after=START - timedelta(days=30, seconds=-60),
        created_before=START - timedelta(days=30, seconds=-99),
    ),
    "an id": ExecutionFilter(id_prefix="0"),
    "no id": ExecutionFilter(id_prefix="z"),
    "a user's failures": ExecutionFilter(user_ids=("user-1",), statuses=(FAILED,)),
    "a label and a repository": ExecutionFilter(
        labels={"environment": "production"}, repos=("acme/repo-0", "acme/repo-1")
    ),
    "all at once": ExecutionFilter(
        statuses=(COMPLETED, FAILED),
        user_ids=("user-1", "user-2"),
        labels={"environment": "production"},
        repos=("acme/repo-0",),
        queue_names=("default", "bulk"),
        id_prefix="0",
    ),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with trees, batches and every kind of end in it."""
    made = tmp_path_factory.mktemp("filled") / "phaseline.db"
    filling = fill(
        str(made), COUNT, encoder=PlainEncoder(), clock=ManualClock(), variety=FEW, logged=LOGGED
    )
    asyncio.run(filling)
    return made


@pytest.fixture
async def filled(path: Path) -> AsyncIterator[Stage]:
    async with staged(path) as stage:
        yield stage


def everything(connection: Connection, stage: Stage) -> list[Execution]:
    e = tables.executions.c
    keys = [Key(*row) for row in connection.execute(select(e.workspace_id, e.execution_id))]
    return read_executions(connection, keys, stage.working)


def place(order: Order, execution: Execution) -> tuple[Any, str]:
    position = listing.position_of(order, execution)
    return position.value, position.execution_id


async def walked(stage: Stage, query: ExecutionQuery) -> tuple[list[str], set[int]]:
    """Return what all pages together hold, and the totals that they told."""
    found: list[str] = []
    totals: set[int] = set()
    after: Position | None = None
    while True:
        page = await stage.store.reads.executions(replace(query, after=after))
        found += [execution.key.execution_id for execution in page.executions]
        totals.add(page.total_size)
        after = page.next
        if after is None:
            return found, totals


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("is_few", [True, False], ids=["few", "many"])
async def test_the_pages_of_every_filter_hold_all_that_matches_in_order(
    filled: Stage, order: Order, is_few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_few:
        # What is many is walked instead of sorted.
        monkeypatch.setattr("phaseline.store.reads.MOST_COUNTED", -1)
    every = await filled.store.database.read(lambda c: everything(c, filled))
    for name, matching in FILTERS.items():
        expected = sorted(
            (
                one
                for one in every
                if matching.matches_spec(one) and matching.matches_status(one.status)
            ),
            key=lambda one: place(order, one),
            reverse=order is not Order.CREATED_AT_ASC,
        )
        found, totals = await walked(filled, ExecutionQuery("default", matching, order, 17))
        assert found == [one.key.execution_id for one in expected], name
        if is_few:
            assert totals == {len(expected)}, name


async def test_pages_can_be_asked_for_by_number(filled: Stage) -> None:
    for matching in (FILTERS["nothing"], FILTERS["users"], FILTERS["repositories"]):
        for order in Order:
            query = ExecutionQuery("default", matching, order, 10)
            every, _ = await walked(filled, query)
            page = await filled.store.reads.executions(replace(query, offset=20))
            assert [one.key.execution_id for one in page.executions] == every[20:30]


async def test_a_tree_is_found_by_its_root(filled: Stage) -> None:
    every = await filled.store.database.read(lambda c: everything(c, filled))
    root = next(one for one in every if one.tree_size > 1)
    for wanted in (
        ExecutionFilter(root_execution_id=root.key.execution_id),
        ExecutionFilter(parent_execution_id=root.key.execution_id),
    ):
        expected = {one.key.execution_id for one in every if wanted.matches_spec(one)}
        for order in Order:
            found, _ = await walked(filled, ExecutionQuery("default", wanted, order, 2))
            assert set(found) == expected
            assert len(found) == len(expected)


async def test_what_is_filled_in_is_what_real_executions_leave(filled: Stage) -> None:
    every = await filled.store.database.read(lambda c: everything(c, filled))
    assert len(every) == COUNT
    assert {one.status for one in every} == {COMPLETED, FAILED, CANCELLED}
    assert not {one.status for one in every} & ACTIVE
    for one in every:
        assert one.usage == sum((phase.usage for phase in one.phases[1:]), one.phases[0].usage)
        if one.tree_size > 1:
            below = [
                other
                for other in every
                if one.key.execution_id in other.spec.ancestor_execution_ids
            ]
            assert len(below) == one.tree_size - 1
            assert one.below.cost_nanos == sum(other.usage.cost_nanos for other in below)
    logged = {row[0] for row in await filled.rows("DISTINCT execution_id", "changes")}
    assert len(logged) == LOGGED
    assert await filled.store.log.trimmed() > 0


async def test_filling_goes_on_behind_what_is_there(tmp_path: Path) -> None:
    path = str(tmp_path / "phaseline.db")
    for _ in range(2):
        await fill(path, 20, encoder=PlainEncoder(), clock=ManualClock(), variety=FEW, logged=5)
    async with staged(Path(path)) as stage:
        assert len(await stage.rows("execution_id", "executions")) == 40


def test_what_is_asked_again_needs_no_new_statement() -> None:
    def statement(**wanted: Any) -> object:
        query = ExecutionQuery("w", ExecutionFilter(**wanted), Order.CREATED_AT_DESC, 50)
        return listing.listing_of(query).page(few=False)

    assert statement(labels={"team": "a"}) is statement(labels={"team": "a"})
    assert statement(labels={"team": "a"}) is not statement(labels={"team": "b"})
    assert statement(created_after=START) is statement(created_after=START)
