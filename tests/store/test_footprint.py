"""How many statements and rows each thing takes, which may not grow unnoticed."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from phaseline.app.queries import ExecutionFilter, ExecutionQuery, Order
from phaseline.domain.ids import Key
from phaseline.domain.report import OperationReport
from phaseline.store import rows
from phaseline.store import statements as st
from phaseline.store.commit import Work
from phaseline.store.sqlite import SqliteDatabase
from phaseline.store.statements import Statement
from phaseline.store.tables import executions
from tests.support import make
from tests.support.app import App, opened


@contextmanager
def committed(app: App) -> Iterator[list[Work]]:
    """Keep what each commit writes."""
    backend = app.writer._backend
    real, works = backend.apply, list[Work]()

    async def apply(work: Work) -> None:
        works.append(work)
        await real(work)

    backend.apply = apply  # type: ignore[method-assign]
    yield works
    backend.apply = real  # type: ignore[method-assign]


@contextmanager
def written(app: App) -> Iterator[list[dict[str, int]]]:
    """Tell of each commit, in the end, how many rows of which kind it has written."""
    commits: list[dict[str, int]] = []
    with committed(app) as works:
        yield commits
    commits += [
        {f"{one.action.value} {one.table.name}": len(some) for one, some in work.rows.items()}
        for work in works
    ]


def changing(work: Work) -> Statement:
    """Return the one statement of a commit that changes executions."""
    (statement,) = [each for each in work.rows if each.table is executions and not each.inserts]
    return statement


@contextmanager
def read(app: App) -> Iterator[list[str]]:
    """Keep the statements that are read."""
    statements: list[str] = []

    def on_execute(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            statements.append(statement)

    database = app.store.database
    assert isinstance(database, SqliteDatabase)
    engine = database._reading
    event.listen(engine, "before_cursor_execute", on_execute)
    yield statements
    event.remove(engine, "before_cursor_execute", on_execute)


COMMIT = {"update identity": 1}
START = COMMIT | {
    "insert executions": 1,
    "insert phases": 3,
    "add execution_counts": 1,
    "insert changes": 1,
}


async def test_what_an_execution_of_three_phases_writes(tmp_path: Path) -> None:
    async with opened(tmp_path / "phaseline.db") as app:
        await app.apply(3)
        with written(app) as commits, read(app) as statements:
            await app.start()
            for _ in range(3):
                await app.run()
        change = COMMIT | {"update executions": 1, "insert changes": 1}
        moved = {"add execution_counts": 1, "subtract execution_counts": 1}
        # A lease changes its phase; the end of one makes the next ready; the last ends all.
        assert commits == [
            START,
            change | moved | {"update phases": 1},
            change | {"update phases": 2, "put payloads": 1},
            change | {"update phases": 1},
            change | {"update phases": 2, "put payloads": 1},
            change | {"update phases": 1},
            change | moved | {"update phases": 1, "put payloads": 1},
        ]
        assert statements == [], "all that was decided on, and handed out, was in memory"


async def test_a_heartbeat_writes_no_change(tmp_path: Path) -> None:
    async with opened(tmp_path / "phaseline.db") as app:
        await app.apply(1)
        await app.start("e")
        leased = await app.lease_one()
        with written(app) as commits, read(app) as statements:
            await app.report(leased)
        assert commits == [COMMIT | {"update executions": 1, "update phases": 1}]
        assert statements == []


async def test_of_a_row_no_more_is_set_than_has_changed(tmp_path: Path) -> None:
    async with opened(tmp_path / "phaseline.db") as app:
        await app.apply(2)
        await app.start("e")
        with committed(app) as works:
            leased = await app.lease_one()
            await app.report(leased)
            await app.report(leased, operations=(OperationReport("o", "tool"),))
            await app.report(leased, usage_by_model=make.spent())
            await app.report(leased, outcome=make.DONE)
        assert [changing(work) for work in works] == [
            st.CHANGE_EXECUTION,
            st.RENEW_EXECUTION,
            st.ADVANCE_EXECUTION,
            st.CHARGE_EXECUTION,
            st.ADVANCE_EXECUTION,
        ]


async def test_what_is_retried_and_ends_in_the_same_commit_ended_anew(tmp_path: Path) -> None:
    async with opened(tmp_path / "phaseline.db") as app:
        await app.apply(1)
        await app.start("e")
        ended = await app.cancel("e")
        await app.passes(make.LEASE)
        with committed(app) as works:
            await asyncio.gather(app.retry("e"), app.cancel("e"))
        assert [changing(work) for work in works] == [st.CHANGE_EXECUTION]
        (row,) = works[0].rows[st.CHANGE_EXECUTION]
        told = dict(zip(st.CHANGE_EXECUTION.bound, row, strict=True))
        assert told["status"] == "cancelled"
        assert told["completed_at"] > rows.micros(ended.completed_at or app.clock.now())


async def test_operations_of_a_live_attempt_are_known(tmp_path: Path) -> None:
    async with opened(tmp_path / "phaseline.db") as app:
        await app.apply(1)
        await app.start("e")
        leased = await app.lease_one()
        with written(app) as commits, read(app) as statements:
            for at in range(5):
                told = (OperationReport("same", "tool"), OperationReport(f"o{at}", "tool"))
                await app.report(leased, operations=told)
        assert statements == []
        assert [commit["put operations"] for commit in commits] == [2] * 5
        assert (await app.get("e")).phases[0].operation_count == 6


async def test_operations_are_looked_up_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "phaseline.db"
    async with opened(path) as app:
        await app.apply(1)
        await app.start("e")
        leased = await app.lease_one()
        await app.report(leased, operations=(OperationReport("same", "tool"),))
    async with opened(path) as app:
        await app.report(
            leased, operations=(OperationReport("same", "tool"), OperationReport("o", "tool"))
        )
        assert (await app.get("e")).phases[0].operation_count == 2


async def test_a_batch_shares_its_statements(tmp_path: Path) -> None:
    async with opened(tmp_path / "phaseline.db") as app:
        await app.apply(3)
        with written(app) as commits:
            await asyncio.gather(*(app.start() for _ in range(20)))
        (commit,) = commits
        assert commit == {
            name: count if name in ("update identity", "add execution_counts") else 20 * count
            for name, count in START.items()
        }


@pytest.mark.parametrize(
    ("matching", "statements"),
    [
        (ExecutionFilter(), 3),
        (ExecutionFilter(session_ids=("s",)), 3),
        (ExecutionFilter(session_ids=("s",), user_ids=("u",)), 4),
        (ExecutionFilter(labels={"a": "b"}), 3),
    ],
)
async def test_a_page_takes_so_many_statements(
    tmp_path: Path, matching: ExecutionFilter, statements: int
) -> None:
    async with opened(tmp_path / "phaseline.db") as app:
        await app.apply(1)
        for _ in range(10):
            await app.start(session_id="s", user_id="u", labels={"a": "b"})
        query = ExecutionQuery("default", matching, Order.CREATED_AT_DESC, 5)
        with read(app) as found:
            page = await app.store.reads.executions(query)
        # To count, to find, and to tell as of when; with several filters one to see which leads.
        assert (len(page.executions), page.total_size, len(found)) == (5, 10, statements)


async def test_an_execution_in_memory_is_read_without_a_statement(tmp_path: Path) -> None:
    async with opened(tmp_path / "phaseline.db") as app:
        await app.apply(1)
        await app.start("e")
        with read(app) as statements:
            await app.store.reads.status(Key("default", "e"))
            await app.store.reads.detail(Key("default", "e"), full=False)
        assert statements == []


async def test_what_is_started_or_ended_a_thousand_times_takes_no_more(tmp_path: Path) -> None:
    """Cost must not grow with history."""
    async with opened(tmp_path / "phaseline.db") as app:
        await app.apply(1)
        costs: list[Counter[str]] = []
        for _ in range(3):
            with written(app) as commits, read(app) as statements:
                await app.start()
                await app.run(make.DONE)
            costs.append(sum(map(Counter, commits), Counter({"reads": len(statements)})))
            for _ in range(20):
                await app.start()
                await app.run(make.DONE)
        assert costs[0] == costs[1] == costs[2]
