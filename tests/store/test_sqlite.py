"""What was acknowledged is in the file, and whatever happens to that is told and healed."""

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from phaseline.domain.errors import Unavailable
from phaseline.domain.ids import Key
from phaseline.store.failures import DatabaseInUse
from phaseline.store.opening import open_store, sqlite_path
from phaseline.store.sqlite import SqliteDatabase
from tests.store.stage import Stage, staged
from tests.support.databases import SQLITE

pytestmark = pytest.mark.databases(SQLITE)

#: More than fits into the room that is left on the pages.
MANY = [f"many-{at}" for at in range(100)]

_HOLDER = """
import asyncio, sys
from phaseline.store.opening import open_store
async def hold():
    await open_store(sys.argv[1])
    print("open", flush=True)
    sys.stdin.read()
asyncio.run(hold())
"""


@contextmanager
def held(path: Path) -> Iterator[int]:
    """Have another process hold the database, and give its number."""
    command = [sys.executable, "-c", _HOLDER, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        yield holder.pid
        holder.kill()


async def execute(stage: Stage, sql: str) -> object:
    """Run a statement on the connection that writes."""
    return await stage.store.database.write(
        lambda connection: connection.exec_driver_sql(sql).scalar()
    )


async def refused(stage: Stage, *execution_ids: str) -> None:
    """Check that the executions cannot be started now."""
    with pytest.raises(Unavailable):
        await stage.start(*execution_ids)


async def test_a_commit_is_on_the_disk_before_it_is_answered(stage: Stage) -> None:
    assert (
        await stage.store.database.write(
            lambda c: c.exec_driver_sql("PRAGMA journal_mode").scalar()
        )
        == "wal"
    )
    FULL = 2
    assert await execute(stage, "PRAGMA synchronous") == FULL
    assert await execute(stage, "PRAGMA fullfsync") == 1


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    async with staged(tmp_path / "phaseline.db"):
        assert (tmp_path / "phaseline.db").stat().st_mode & 0o777 == 0o600


async def test_what_somebody_else_wrote_to_is_not_written_to(stage: Stage) -> None:
    await stage.start("e")
    await execute(stage, "UPDATE identity SET commits = commits + 1 RETURNING 1")
    await refused(stage, "f")


@pytest.mark.parametrize("name", ["phaseline.db", "a name?with=signs&such#100%.db"])
async def test_a_path_is_taken_as_it_stands(tmp_path: Path, name: str) -> None:
    async with staged(tmp_path / name) as stage:
        await stage.start("e")
    assert (tmp_path / name).stat().st_size > 0


def test_a_url_names_the_file() -> None:
    assert sqlite_path("sqlite:////var/phaseline.db") == Path("/var/phaseline.db")
    assert sqlite_path("sqlite+aiosqlite:////var/phaseline.db") == Path("/var/phaseline.db")
    assert sqlite_path("data/phaseline.db") == Path("data/phaseline.db")
    with pytest.raises(ValueError, match="is no SQLite database: give a path"):
        sqlite_path("mysql://somewhere/else")


class TestHolding:
    """One process at a time."""

    def test_a_second_server_is_told_who_has_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "phaseline.db"
        with held(path) as holder, pytest.raises(DatabaseInUse, match=f"process {holder}: one"):
            asyncio.run(open_store(str(path)))

    def test_a_link_to_the_file_is_the_same_file(self, tmp_path: Path) -> None:
        path, link = tmp_path / "phaseline.db", tmp_path / "link.db"
        with held(path):
            link.symlink_to(path)
            with pytest.raises(DatabaseInUse):
                asyncio.run(open_store(str(link)))

    def test_a_holder_that_was_killed_holds_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "phaseline.db"
        with held(path):
            pass

        async def open_and_close() -> None:
            await (await open_store(str(path))).close()

        asyncio.run(open_and_close())

    async def test_a_store_that_cannot_be_opened_lets_go_of_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "phaseline.db"
        path.write_bytes(b"this is no database, and never was one" * 100)
        for _ in range(2):
            with pytest.raises(Exception, match="file is not a database"):
                await open_store(str(path))


class TestReading:
    """A read is whole, whoever stops waiting for it."""

    async def test_a_cancelled_read_leaves_its_connection_free(self, stage: Stage) -> None:
        database = stage.store.database
        assert isinstance(database, SqliteDatabase)
        for _ in range(20):
            reading = asyncio.ensure_future(stage.rows("execution_id", "executions"))
            await asyncio.sleep(0)
            reading.cancel()
        await stage.start("e")
        # As many as there are connections, and each of them sees what is newest.
        found = await asyncio.gather(*(stage.rows("execution_id", "executions") for _ in range(8)))
        assert found == [[("e",)]] * 8
        assert database.path.exists()

    async def test_reads_that_come_together_are_one(self, tmp_path: Path) -> None:
        path = tmp_path / "phaseline.db"
        async with staged(path) as stage:
            ended = [stage.execution(f"e{at}") for at in range(3)]
            await stage.start(*(each.key.execution_id for each in ended))
        async with staged(path) as stage:
            stage.working.executions.clear()
            reads: list[object] = []
            real = stage.store.database.read

            async def counted(query: object) -> object:
                reads.append(query)
                return await real(query)  # type: ignore[arg-type]

            stage.store.reads._snapshots._database.read = counted  # type: ignore[method-assign,assignment]
            keys = [Key("default", f"e{at}") for at in (0, 1, 2, 9)]
            found = await asyncio.gather(*(stage.store.reads.status(key) for key in keys))
            assert [None if one is None else one.key for one in found] == [*keys[:3], None]
            assert len(reads) == 1


class TestLosing:
    """The files are gone, or others."""

    async def test_a_file_that_was_moved_away_and_back(self, stage: Stage, tmp_path: Path) -> None:
        await stage.start("e")
        files = [tmp_path / f"phaseline.db{suffix}" for suffix in ("", "-wal", "-shm")]
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        for file in files:
            file.rename(elsewhere / file.name)
        await refused(stage, "f")
        await refused(stage, "g")
        assert not (tmp_path / "phaseline.db").exists()
        for file in files:
            (elsewhere / file.name).rename(file)
        await stage.start("h")
        assert await stage.stored() == {"e": 1, "h": 2}

    async def test_a_file_that_was_removed_is_not_written_to_any_more(
        self, stage: Stage, tmp_path: Path
    ) -> None:
        await stage.start("e")
        (tmp_path / "phaseline.db").unlink()
        for _ in range(3):
            await refused(stage, "f")
        # Some of these need connections that are not open yet, and would make an empty file.
        reading = (stage.stored() for _ in range(8))
        await asyncio.gather(*reading, return_exceptions=True)
        assert not (tmp_path / "phaseline.db").exists()

    async def test_a_file_in_the_place_of_ours_is_left_alone(
        self, stage: Stage, tmp_path: Path
    ) -> None:
        await stage.start("e")
        path = tmp_path / "phaseline.db"
        path.rename(tmp_path / "ours.db")
        path.write_bytes(b"theirs")
        await refused(stage, "f")
        assert path.read_bytes() == b"theirs"

    @pytest.mark.parametrize("suffix", ["-wal", "-shm"])
    async def test_a_log_that_was_removed_is_saved_and_made_anew(
        self, tmp_path: Path, suffix: str
    ) -> None:
        path = tmp_path / "phaseline.db"
        async with staged(path) as stage:
            await stage.start("e")
            path.with_name(path.name + suffix).unlink()
            await refused(stage, "f")
            await stage.start("g")
            assert await stage.stored() == {"e": 1, "g": 2}
        async with staged(path) as stage:
            assert await stage.stored() == {"e": 1, "g": 2}

    async def test_a_file_that_is_lost_during_a_commit_acknowledges_nothing(
        self, stage: Stage, tmp_path: Path
    ) -> None:
        """SQLite says that it has committed, to a file that nobody finds again."""
        await stage.start("e")
        path = tmp_path / "phaseline.db"
        database = stage.store.database
        assert isinstance(database, SqliteDatabase)
        real = database._files.check
        calls: list[str] = []

        def check() -> None:
            calls.append("checked")
            if len(calls) == 2:
                path.rename(tmp_path / "elsewhere.db")
            real()

        database._files.check = check  # type: ignore[method-assign]
        await refused(stage, "f")
        assert stage.heard.revisions == [1]
        (tmp_path / "elsewhere.db").rename(path)
        # It came back with what was committed: that is taken over, and counted on.
        await stage.start("g")
        assert await stage.stored() == {"e": 1, "f": 2, "g": 3}
        assert stage.heard.revisions == [1, 2, 3]


class TestRefusingToWrite:
    """The disk is full, or somebody else has the lock."""

    async def test_a_full_database_refuses_and_heals(self, stage: Stage) -> None:
        pages = await execute(stage, "PRAGMA page_count")
        await execute(stage, f"PRAGMA max_page_count = {pages}")
        await refused(stage, *MANY)
        assert await stage.stored() == {}
        await execute(stage, "PRAGMA max_page_count = 1000000")
        await stage.start("e")
        assert await stage.stored() == {"e": 1}

    async def test_a_full_disk_refuses_and_heals(self, stage: Stage, tmp_path: Path) -> None:
        await stage.start("e")
        log = tmp_path / "phaseline.db-wal"
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        # Without this a write past the limit would end the process.
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
            for at in range(3):
                await refused(stage, f"f{at}")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)
        assert stage.heard.revisions == [1]
        await stage.start("g")
        assert await stage.stored() == {"e": 1, "g": 2}

    async def test_a_locked_file_refuses_and_heals(self, stage: Stage, tmp_path: Path) -> None:
        await execute(stage, "PRAGMA busy_timeout = 10")
        other = await asyncio.to_thread(
            sqlite3.connect,
            tmp_path / "phaseline.db",
            isolation_level=None,
            check_same_thread=False,
        )
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        await refused(stage, "e")
        assert await stage.stored() == {}
        await asyncio.to_thread(other.execute, "ROLLBACK")
        await stage.start("f")
        assert await stage.stored() == {"f": 1}
        await asyncio.to_thread(other.close)

    async def test_reads_go_on_while_nothing_can_be_written(self, stage: Stage) -> None:
        await stage.start("e")
        pages = await execute(stage, "PRAGMA page_count")
        await execute(stage, f"PRAGMA max_page_count = {pages}")
        await refused(stage, *MANY)
        assert await stage.stored() == {"e": 1}


def test_what_was_answered_outlives_a_kill(tmp_path: Path) -> None:
    """The process dies right behind the answer, and another one opens the file."""
    path = tmp_path / "phaseline.db"
    program = f"""
import asyncio, os
from pathlib import Path
from tests.store.stage import staged
async def main():
    async with staged(Path({str(path)!r})) as stage:
        await stage.start("e")
        os._exit(9)
asyncio.run(main())
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, check=False)
    assert done.returncode == 9

    async def reopened() -> None:
        async with staged(path) as stage:
            assert stage.heard.commits == []
            assert await stage.stored() == {"e": 1}
            assert stage.current("e").revision == stage.store.head == 1
            assert stage.working.indexes.ready.offers("default", stage.stand().command.request)

    asyncio.run(reopened())
    assert os.path.exists(path)
