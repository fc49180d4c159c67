"""The hot queries go along indexes on PostgreSQL, too, of tables that it knows."""

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Executable, select, text
from sqlalchemy.sql import ClauseElement

from phaseline.app.queries import ExecutionFilter, ExecutionQuery, Order
from phaseline.store import tables
from phaseline.store.fill import fill
from phaseline.store.folding import last_versions
from phaseline.store.listing import Listing
from phaseline.store.postgres import PostgresDatabase
from phaseline.store.postgres_text import text_for
from phaseline.store.statements import ADD_TOUCHED, ORDER, Statement
from phaseline.wire.encoder import Encoder
from phaseline.worker.clock import SystemClock
from tests.store.test_query_plans import ALONE, BY_CREATION
from tests.support.databases import Databases

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

EXECUTIONS = 6_000
#: Those that may be read whole: they have few rows, however many executions there are.
SMALL = {"identity", "execution_counts", "erasures", "touched"}
LARGE = {table.name for table in tables.metadata.sorted_tables} - SMALL

Plan = Callable[[ClauseElement | Executable | str], list[str]]


@pytest.fixture(scope="module")
def plan(postgresql: Databases) -> Iterator[Plan]:
    """Return the steps that PostgreSQL takes in a database that has grown."""
    url = postgresql.take()
    asyncio.run(_grown(url))

    def explain(statement: ClauseElement | Executable | str) -> list[str]:
        return asyncio.run(_explained(url, statement))

    yield explain
    postgresql.give_back(url)


async def _grown(url: str) -> None:
    await fill(url, EXECUTIONS, encoder=Encoder(), clock=SystemClock())
    database = PostgresDatabase(url, pool_size=1)
    await database.write(lambda connection: connection.execute(text("ANALYZE")))
    await database.close()


async def _explained(url: str, statement: ClauseElement | Executable | str) -> list[str]:
    def explain(connection: Connection) -> list[str]:
        sql = statement
        if not isinstance(sql, str):
            assert isinstance(statement, ClauseElement)
            sql = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
        if "$1" in sql:
            # Of what is bound it then knows nothing, as in the long run.
            connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
            # Some of the tables are empty here, where an index is no help.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql(f"PREPARE one AS {sql}")
            sql = f"EXECUTE one({', '.join(['NULL'] * len(set(re.findall(r'[$][0-9]+', sql))))})"
        return [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sql}")]

    database = PostgresDatabase(url, pool_size=1)
    try:
        return await database.read(explain)
    finally:
        await database.close()


def scanned(steps: list[str]) -> list[str]:
    """Return the steps that look at every row of a table that grows."""
    return [step for step in steps if any(f"Seq Scan on {name}" in step for name in LARGE)]


@pytest.mark.parametrize("matching", [matching for matching, _ in ALONE.values()], ids=ALONE)
def test_pages_go_along_an_index(plan: Plan, matching: ExecutionFilter) -> None:
    for order in (*BY_CREATION, Order.UPDATED_AT_DESC):
        query = ExecutionQuery("default", matching, order, 50)
        assert scanned(plan(Listing(query).page(few=False))) == []


@pytest.mark.parametrize("statement", [*ORDER, ADD_TOUCHED], ids=lambda one: _name_of(one))
def test_the_writer_finds_its_rows_by_their_keys(plan: Plan, statement: Statement) -> None:
    assert scanned(plan(text_for(statement))) == []


def test_what_is_read_at_every_turn_is_found_by_its_key(plan: Plan) -> None:
    e, p, c, t = (
        table.c for table in (tables.executions, tables.phases, tables.changes, tables.touched)
    )
    for statement in (
        select(tables.executions).where(text(tables.IS_ACTIVE)),
        select(e.state).where(e.workspace_id == "default", e.execution_id.in_(["a", "b"])),
        select(p.state).where(p.workspace_id == "default", p.execution_id.in_(["a", "b"])),
        select(c.execution).where(c.revision > 10**9, c.revision <= 10**9 + 50),
        select(t.body).where(t.number > 10**9, t.number <= 10**9 + 50),
        last_versions("default", after=10**9, until=10**9 + 500, past=(7, "a"), limit=100),
    ):
        assert scanned(plan(statement)) == [], str(statement)


def _name_of(statement: Any) -> str:
    return f"{statement.action.value} {statement.table.name}"
