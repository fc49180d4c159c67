"""What is old is found and let go of, little by little, and nobody is shown what is gone."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from phaseline.app.changes import Resource
from phaseline.app.ports import Decision, Needs, Slot, View
from phaseline.app.queries import OperationQuery
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.domain.payload import text_payload
from phaseline.domain.purge import purge
from phaseline.domain.report import ArtifactDraft, Completed, OperationReport
from phaseline.store.rows import State
from tests.support.app import App, opened
from tests.support.clock import turns

E, DAY = Key("default", "e"), timedelta(days=1)
RESULT = Completed(text_payload("secret"), (ArtifactDraft("a", text_payload("secret")),))


class LetGo(msgspec.Struct, frozen=True):
    """Purge, delete, trim and forget what is named."""

    purged: tuple[Key, ...] = ()
    deleted: tuple[Key, ...] = ()
    trimmed_to: int = 0
    forgotten: tuple[tuple[str, str], ...] = ()

    def needs(self) -> Needs:
        return Needs(executions=(*self.purged, *self.deleted), purges=self.purged)

    def decide(self, view: View) -> Decision[None]:
        found = [view.execution(key) for key in self.purged]
        return Decision(
            None,
            executions=tuple(purge(one, view.now) for one in found if one is not None),
            purged=self.purged,
            deleted=self.deleted,
            trimmed_to=self.trimmed_to,
            forgotten=self.forgotten,
        )


async def ended(app: App, execution_id: str = "e", operations: int = 1, **fields: object) -> None:
    """Run an execution with content, operations and an artifact to its end."""
    await app.start(execution_id, task="secret", **fields)  # type: ignore[arg-type]
    leased = await app.lease_one()
    for at in range(0, operations, 100):
        some = range(at, min(at + 100, operations))
        await app.report(leased, operations=[OperationReport(f"o{i}", "tool") for i in some])
    await app.report(leased, RESULT)


async def rows(app: App, table: str, columns: str = "count(*)") -> list[Any]:
    sql = f"SELECT {columns} FROM {table}"
    return await app.store.database.read(lambda c: [tuple(row) for row in c.exec_driver_sql(sql)])


async def count(app: App, table: str) -> int:
    return int((await rows(app, table))[0][0])


async def erased(app: App) -> None:
    """Return once nothing is left to be erased."""
    while await count(app, "erasures"):
        await turns()


async def nothing_is_shown(app: App) -> None:
    reads = app.store.reads
    detail = await reads.detail(E, operations=10)
    assert detail is not None
    assert (detail.content.task, detail.outputs, list(detail.operations)) == ("", {}, [])
    assert (await reads.operations(OperationQuery(E, None, 10))).total_size == 0
    assert (await reads.artifacts(E, limit=10)).total_size == 0
    assert (await reads.content(E)).task == ""
    assert await reads.outputs([Slot(E, 0)]) == {}


class TestPurging:
    """The row stays, with its totals."""

    async def test_nothing_of_its_content_is_left(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "phaseline.db") as app:
            await app.apply(1)
            await ended(app)
            await app.writer.post(LetGo(purged=(E,)))
            await nothing_is_shown(app)
            for table in ("contents", "payloads", "operations", "artifacts", "erasures"):
                assert await count(app, table) == 0, table
            assert (await app.get("e")).is_purged
            assert (await rows(app, "executions", "status, is_purged"))[0] == ("completed", 1)

    async def test_the_log_keeps_each_version_without_what_it_told(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "phaseline.db") as app:
            await app.apply(1)
            await ended(app)
            before = await app.store.log.entries_of(
                E, descendants=False, after=0, until=99, limit=99
            )
            await app.writer.post(LetGo(purged=(E,)))
            after = await app.store.log.entries_of(
                E, descendants=False, after=0, until=99, limit=99
            )
            assert [(one.revision, one.status_before, one.status_after) for one in after[:-1]] == [
                (one.revision, one.status_before, one.status_after) for one in before
            ]
            assert [[part.resource for part in one.parts] for one in after[:-1]] == [
                [Resource.EXECUTION]
            ] * len(before)
            assert [one.parts[0].is_new for one in after] == [True] + [False] * len(before)

    async def test_what_is_much_is_erased_little_by_little_and_hidden_at_once(
        self, tmp_path: Path
    ) -> None:
        async with opened(tmp_path / "phaseline.db") as app:
            await app.apply(1)
            await ended(app, operations=2_500)
            # Else it might have gone on by the time that anybody looks.
            go_on, app.writer._clear_up = app.writer._clear_up, turns  # type: ignore[method-assign]
            await app.writer.post(LetGo(purged=(E,)))
            await nothing_is_shown(app)
            assert 0 < await count(app, "operations") <= 2_500
            app.writer._clear_up = go_on  # type: ignore[method-assign]
            await app.start("another")
            await erased(app)
            assert await count(app, "operations") == 0

    async def test_what_was_not_erased_is_erased_after_a_restart(self, tmp_path: Path) -> None:
        path = tmp_path / "phaseline.db"
        async with opened(path) as app:
            await app.apply(1)
            await ended(app, operations=2_500)
            app.writer._clear_up = turns  # type: ignore[method-assign]
            await app.writer.post(LetGo(purged=(E,)))
        async with opened(path) as app:
            await erased(app)
            assert await count(app, "operations") == 0


class TestDeleting:
    """Nothing stays but what the log tells."""

    async def test_nothing_is_left_but_the_log(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "phaseline.db") as app:
            await app.apply(1)
            await ended(app, labels={"x": "y"}, repos=("r",))
            changes = await count(app, "changes")
            await app.writer.post(LetGo(deleted=(E,)))
            assert await app.store.reads.status(E) is None
            for table in (
                "executions",
                "phases",
                "contents",
                "payloads",
                "operations",
                "artifacts",
                "execution_labels",
                "execution_repos",
                "erasures",
            ):
                assert await count(app, table) == 0, table
            assert await rows(app, "execution_counts", "sum(total)") == [(0,)]
            assert await count(app, "changes") == changes
            entries = await app.store.log.entries_of(
                E, descendants=True, after=0, until=99, limit=99
            )
            assert len(entries) == changes
            assert {entry.execution for entry in entries} == {None}

    async def test_its_name_is_free_again(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "phaseline.db") as app:
            await app.apply(1)
            await ended(app)
            await app.writer.post(LetGo(deleted=(E,)))
            await ended(app)
            assert (await app.get("e")).status == "completed"
            assert await rows(app, "execution_counts", "sum(total)") == [(1,)]

    async def test_it_is_not_deleted_in_the_commit_that_changes_it(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "phaseline.db") as app:
            await app.apply(1)
            await ended(app)
            purging = app.writer.post(LetGo(purged=(E,)))
            deleting = app.writer.post(LetGo(deleted=(E,)))
            await purging
            await deleting
            assert await app.store.reads.status(E) is None
            assert await count(app, "erasures") == 0


class TestFinding:
    """The oldest first, and bounded."""

    async def test_what_ended_before_can_be_purged(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "phaseline.db") as app:
            await app.apply(1)
            for name in ("first", "second", "third"):
                await ended(app, name)
                await app.clock.advance(DAY)
            await app.start("active")
            stale, now = app.store.stale, app.clock.now()

            async def found(age: timedelta, limit: int = 9) -> list[str]:
                keys = await stale.purgeable(ended_before=now - age, limit=limit)
                return [key.execution_id for key in keys]

            assert await found(timedelta()) == ["first", "second", "third"]
            assert await found(2 * DAY) == ["first"]
            assert await found(timedelta(), limit=2) == ["first", "second"]
            await app.writer.post(LetGo(purged=(Key("default", "first"),)))
            assert await found(timedelta()) == ["second", "third"]

    async def test_trees_are_deleted_as_a_whole_those_below_first(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "phaseline.db") as app:
            await app.apply(1)
            await app.start("root")
            await app.start("below", parent_execution_id="root")
            await app.start("deep", parent_execution_id="below")
            for _ in range(2):
                await app.run()
            stale, later = app.store.stale, app.clock.now() + DAY

            async def found(limit: int) -> list[str]:
                keys = await stale.deletable(ended_before=later, limit=limit)
                return [key.execution_id for key in keys]

            assert await found(9) == [], "one goes on"
            await app.run()
            assert await found(9) == ["deep", "below", "root"]
            assert await found(2) == ["deep", "below"]
            assert await stale.deletable(ended_before=app.clock.now(), limit=9) == []

    async def test_purged_executions_are_deleted_in_their_turn(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "phaseline.db") as app:
            await app.apply(1)
            for name in ("first", "second", "third"):
                await ended(app, name)
                await app.clock.advance(DAY)
            await app.writer.post(LetGo(purged=(Key("default", "second"),)))
            found = await app.store.stale.deletable(ended_before=app.clock.now(), limit=9)
            assert [key.execution_id for key in found] == ["first", "second", "third"]


class TestTrimming:
    """The log is cut between commits."""

    async def commits(self, app: App, *sizes: int) -> None:
        """Make commits that change so many executions each, a day apart."""
        await app.apply(1)
        number = iter(range(1_000))
        for size in sizes:
            posted = [app.start(f"e{next(number)}") for _ in range(size)]
            await asyncio.gather(*posted)
            await app.clock.advance(DAY)

    @pytest.mark.parametrize(
        ("days", "keep", "limit", "revision"),
        [
            (None, None, 9, 0),
            (9, None, 9, 0),
            (3, None, 9, 1),
            (2, None, 9, 2),
            (0, None, 99, 4),
            (0, None, 3, 2),
            (0, None, 2, 1),
            (None, 99, 9, 0),
            (None, 3, 9, 3),
            (None, 4, 9, 2),
            (None, 6, 9, 1),
            (3, 3, 9, 3),
        ],
    )
    async def test_it_can_be_cut_so_far(
        self, tmp_path: Path, days: int | None, keep: int | None, limit: int, revision: int
    ) -> None:
        async with opened(tmp_path / "phaseline.db") as app:
            await self.commits(app, 1, 2, 1, 3)
            before = None if days is None else app.clock.now() - days * DAY
            assert (
                await app.store.stale.trimmable(changed_before=before, keep=keep, limit=limit)
                == revision
            )

    async def test_one_commit_larger_than_the_limit_goes_whole(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "phaseline.db") as app:
            await self.commits(app, 5, 1)
            trimmable = app.store.stale.trimmable
            assert await trimmable(changed_before=app.clock.now(), keep=None, limit=2) == 1

    async def test_watches_learn_how_far_it_was_cut(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "phaseline.db") as app:
            await self.commits(app, 1, 2, 1)
            await app.writer.post(LetGo(trimmed_to=2))
            assert await app.store.log.trimmed() == 2
            assert await rows(app, "changes", "min(revision), count(*)") == [(3, 1)]
            await app.writer.post(LetGo(trimmed_to=1))
            assert await app.store.log.trimmed() == 2, "never back"
            found = app.store.stale.trimmable
            assert await found(changed_before=app.clock.now(), keep=None, limit=9) == 3


async def test_remembered_requests_are_forgotten_by_age(tmp_path: Path) -> None:
    async with opened(tmp_path / "phaseline.db") as app:
        await app.apply(1)
        for name in ("first", "second"):
            await app.start(name, request_id=name)
            await app.clock.advance(DAY)
        stale, now = app.store.stale, app.clock.now()
        old = await stale.forgettable(answered_before=now - DAY, limit=9)
        assert old == [("default", "first")]
        await app.writer.post(LetGo(forgotten=tuple(old)))
        assert await rows(app, "requests", "request_id") == [("second",)]
        assert len(await stale.forgettable(answered_before=now + DAY, limit=9)) == 1


def test_every_field_of_an_execution_is_stored() -> None:
    """A field that is neither in a column nor in the state would be lost with the process."""
    columns = {
        "key",
        "spec",
        "workflow",
        "status",
        "updated_at",
        "phases",
        "revision",
        "started_at",
    }
    columns |= {"completed_at", "is_purged"}
    assert set(Execution.__struct_fields__) == columns | set(State.__struct_fields__)
