"""The change log and what a watch starts with, of any execution of a tree."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from phaseline.app.changes import Entry, Resource
from phaseline.app.queries import ExecutionFilter
from phaseline.domain.advance import settle
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.domain.payload import text_payload
from phaseline.domain.report import OperationReport
from phaseline.domain.start import Place, StartRequest, start
from tests.store.stage import Put, Stage, staged
from tests.support import make
from tests.support.app import App, opened
from tests.support.databases import BOTH

pytestmark = pytest.mark.databases(*BOTH)

ALL = 1_000_000
PENDING, RUNNING, COMPLETED = (
    ExecutionStatus.PENDING,
    ExecutionStatus.RUNNING,
    ExecutionStatus.COMPLETED,
)


def key(execution_id: str) -> Key:
    return Key("default", execution_id)


def child(stage: Stage, *path: str) -> Execution:
    """Return a new execution below all others of *path*."""
    place = Place("default", path[-1], path[:-1])
    return start(StartRequest("flow"), stage.workflow, place, stage.clock.now())[0]


async def tree(stage: Stage) -> None:
    """Store r > (a > b, c), and one beside it, each with a commit of its own."""
    for path in (("r",), ("r", "a"), ("r", "a", "b"), ("r", "c"), ("beside",)):
        await stage.post(Put((child(stage, *path),)))


def ids(entries: list[Entry]) -> list[str]:
    return [entry.key.execution_id for entry in entries]


async def entries(
    stage: Stage, execution_id: str, *, descendants: bool = True, after: int = 0, limit: int = 100
) -> list[Entry]:
    return list(
        await stage.store.log.entries_of(
            key(execution_id), descendants=descendants, after=after, until=ALL, limit=limit
        )
    )


@pytest.mark.parametrize(
    ("of", "found"),
    [("r", ["r", "a", "b", "c"]), ("a", ["a", "b"]), ("b", ["b"]), ("c", ["c"]), ("x", [])],
)
async def test_the_log_of_any_node_has_all_that_is_below_it(
    stage: Stage, of: str, found: list[str]
) -> None:
    await tree(stage)
    assert ids(await entries(stage, of)) == found
    assert ids(await entries(stage, of, descendants=False)) == found[:1]


@pytest.mark.parametrize(("of", "below"), [("r", ["a", "b", "c"]), ("a", ["b"]), ("b", [])])
async def test_the_pages_below_any_node_are_bounded(
    stage: Stage, of: str, below: list[str]
) -> None:
    await tree(stage)
    found: list[str] = []
    while True:
        pages = await stage.store.log.pages_below(
            key(of), after_id=found[-1] if found else "", limit=2, operations=10, full=True
        )
        assert len(pages) <= 2
        if not pages:
            break
        found += [page.execution.key.execution_id for page in pages]
        assert all(len(page.execution.phases) == 2 for page in pages)
    assert found == below


async def test_entries_come_in_whole_commits(stage: Stage) -> None:
    await stage.post(Put((child(stage, "r"), child(stage, "r", "a"))))
    await stage.post(Put(tuple(child(stage, "r", name) for name in "bcde")))
    assert ids(await entries(stage, "r", limit=3)) == ["a", "r"]
    # A commit that alone has more comes whole.
    assert ids(await entries(stage, "r", after=1, limit=3)) == ["b", "c", "d", "e"]
    assert ids(await entries(stage, "r", limit=6)) == ["a", "r", "b", "c", "d", "e"]
    assert ids(await entries(stage, "r", limit=5)) == ["a", "r"]


async def test_a_range_has_neither_what_is_before_it_nor_behind(stage: Stage) -> None:
    await tree(stage)
    found = await stage.store.log.entries_of(key("r"), descendants=True, after=1, until=3, limit=10)
    assert [entry.revision for entry in found] == [2, 3]


async def test_what_is_read_is_what_was_announced(stage: Stage) -> None:
    await stage.start("e")
    leased = make.leased(stage.current("e"))
    await stage.post(Put((leased,)))
    await stage.post(Put((make.after(stage.current("e"), make.DONE),)))
    announced = [entry for commit in stage.heard.commits for entry in commit.entries]
    read = await entries(stage, "e")
    assert [replace(entry, execution=None) for entry in read] == [
        replace(entry, execution=None) for entry in announced
    ]


async def test_parts_tell_their_place_and_what_is_stored_apart(tmp_path: Path) -> None:
    async with opened(tmp_path / "phaseline.db") as app:
        await app.apply(2)
        await app.start("e")
        told = OperationReport("o", "tool", input=text_payload("in"))
        await app.run(operations=(told, OperationReport("p", "tool")))
        await app.run()
        parts = [
            [(part.resource, part.ordinal, part.has_payload) for part in entry.parts]
            for commit in app.heard.commits
            for entry in commit.entries
        ]
    of, phase, operation = Resource.EXECUTION, Resource.PHASE, Resource.OPERATION
    assert parts == [
        [(of, 0, False), (phase, 0, False), (phase, 1, False)],
        [(of, 0, False), (phase, 0, False)],
        [
            (of, 0, False),
            (phase, 0, True),
            (phase, 1, False),
            (operation, 0, True),
            (operation, 1, False),
        ],
        [(of, 0, False), (phase, 1, False)],
        [(of, 0, True), (phase, 1, True)],
    ]


async def reporting(app: App, count: int) -> str:
    """Have an execution with so many operations, and return its lease."""
    await app.apply(1)
    await app.start("e")
    leased = await app.lease_one()
    for at in range(0, count, 10):
        some = tuple(OperationReport(f"o{at + i}", "tool") for i in range(min(10, count - at)))
        await app.report(leased, operations=some)
    return leased.lease_token


async def test_operations_come_in_pages(tmp_path: Path) -> None:
    async with opened(tmp_path / "phaseline.db") as app:
        await reporting(app, 25)
        found: list[int] = []
        while True:
            page = await app.store.log.execution_page(
                key("e"), after=found[-1] if found else -1, limit=10, full=True
            )
            assert page is not None
            assert len(page.operations) <= 10
            if not page.operations:
                break
            found += [operation.ordinal for operation in page.operations]
        assert found == list(range(25))
        assert await app.store.log.execution_page(key("x"), after=-1, limit=1, full=True) is None


class TestFolding:
    """A range of the log, one entry for each execution."""

    async def folded(
        self,
        stage: Stage,
        *,
        after: int = 0,
        until: int = ALL,
        past: tuple[int, str] = (0, ""),
        limit: int = 100,
    ) -> list[tuple[str, int, str | None, frozenset[str], int]]:
        found = await stage.store.log.folded(
            "default", ExecutionFilter(), after=after, until=until, past=past, limit=limit
        )
        return [
            (
                one.entry.key.execution_id,
                one.entry.revision,
                one.status_before,
                one.passed,
                one.left_out,
            )
            for one in found
        ]

    async def live(self, stage: Stage) -> None:
        """Start e and f, run e to its end, and lease f."""
        await stage.start("e", "f")
        for _ in range(2):
            await stage.post(Put((make.leased(stage.current("e"), self.next(stage)),)))
            await stage.post(Put((make.after(stage.current("e"), make.DONE, self.next(stage)),)))
        await stage.post(Put((make.leased(stage.current("f")),)))

    def next(self, stage: Stage) -> int:
        return stage.current("e").completed_phases

    async def test_each_execution_comes_once_at_its_last_version(self, stage: Stage) -> None:
        await self.live(stage)
        assert await self.folded(stage) == [
            ("e", 5, None, frozenset({PENDING, RUNNING}), 4),
            ("f", 6, None, frozenset({PENDING}), 1),
        ]

    async def test_it_tells_where_it_stood_before_the_range(self, stage: Stage) -> None:
        await self.live(stage)
        assert await self.folded(stage, after=2, until=4) == [
            ("e", 4, RUNNING, frozenset({RUNNING}), 1)
        ]
        assert await self.folded(stage, after=4) == [
            ("e", 5, RUNNING, frozenset(), 0),
            ("f", 6, PENDING, frozenset(), 0),
        ]

    async def test_it_goes_on_past_a_place(self, stage: Stage) -> None:
        await self.live(stage)
        (first,) = await self.folded(stage, limit=1)
        (second,) = await self.folded(stage, limit=1, past=(first[1], first[0]))
        assert (first[0], second[0]) == ("e", "f")
        assert await self.folded(stage, past=(second[1], second[0])) == []

    async def test_a_commit_of_several_is_told_in_order(self, stage: Stage) -> None:
        await stage.start("b", "a", "c")
        assert [one[0] for one in await self.folded(stage)] == ["a", "b", "c"]
        assert [one[0] for one in await self.folded(stage, past=(1, "a"))] == ["b", "c"]


class TestActive:
    """The active executions, as of one revision."""

    async def test_pages_are_in_order_of_ids(self, stage: Stage) -> None:
        await stage.start("c", "a", "d", "b")
        first = await stage.store.log.active_page(
            "default", ExecutionFilter(), after_id="", limit=3
        )
        rest = await stage.store.log.active_page(
            "default", ExecutionFilter(), after_id="c", limit=3
        )
        assert [one.key.execution_id for one in first.executions] == ["a", "b", "c"]
        assert [one.key.execution_id for one in rest.executions] == ["d"]
        assert (first.has_more, rest.has_more, first.revision) == (True, False, 1)

    async def test_only_what_matches_is_there(self, stage: Stage) -> None:
        await stage.post(Put((stage.execution("a", labels={"x": "1"}), stage.execution("b"))))
        matching = ExecutionFilter(labels={"x": "1"})
        page = await stage.store.log.active_page("default", matching, after_id="", limit=1)
        assert [one.key.execution_id for one in page.executions] == ["a"]
        assert not page.has_more

    async def test_it_settles_with_all_that_is_below(self, stage: Stage) -> None:
        await tree(stage)
        assert await stage.store.log.settled(key("a")) == (False, 5)
        for name in ("a", "r", "c"):
            stopped = replace(stage.current(name), cancellation=make.cancellation())
            await stage.post(Put((settle(stopped, stage.clock.now()),)))
        assert (await stage.store.log.settled(key("c")))[0]
        assert not (await stage.store.log.settled(key("a")))[0], "b goes on"
        assert not (await stage.store.log.settled(key("r")))[0]
        stopped = replace(stage.current("b"), cancellation=make.cancellation())
        await stage.post(Put((settle(stopped, stage.clock.now()),)))
        assert (await stage.store.log.settled(key("r"))) == (True, 9)


async def test_a_log_knows_its_database(tmp_path: Path) -> None:
    path = tmp_path / "phaseline.db"
    async with staged(path) as stage:
        await stage.start("e")
        assert await stage.store.log.head() == 1
        assert await stage.store.log.trimmed() == 0
