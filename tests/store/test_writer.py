"""Commands become durable together, are answered after that, and fail alone."""

import asyncio
import gc
from pathlib import Path

import pytest

from phaseline.app.ports import Decision, Needs, Remembered, View, Withdrawn
from phaseline.domain.errors import NotFound, Reason, Unavailable
from phaseline.domain.execution import Content
from phaseline.domain.ids import Key
from phaseline.faults import Point
from phaseline.store.failures import StoreFailed
from phaseline.store.opening import open_store
from phaseline.store.statements import ADD_EXECUTION
from tests.store.stage import Put, Raising, Stage, staged, until
from tests.support import make
from tests.support.clock import turns
from tests.support.databases import BOTH, SQLITE
from tests.support.make import LEASE

pytestmark = pytest.mark.databases(*BOTH)

#: What both databases say of a second row with the same key.
TWICE = 'UNIQUE constraint failed: contents|unique constraint "pk_contents"'
AWAY = StoreFailed("the disk is full")
CONTENT = Content(task="once")


def twice(execution_id: str) -> Put:
    """Return a command that the tables refuse the second time."""
    return Put(contents=((Key("default", execution_id), CONTENT),), answer="twice")


class TestCommitting:
    """One commit for all that waits."""

    async def test_what_is_posted_together_is_one_commit(self, stage: Stage) -> None:
        answers = await asyncio.gather(*(stage.start(f"e{at}") for at in range(10)))
        assert {answer.revision for answer in answers} == {1}
        assert len(stage.backend.works) == 1
        assert await stage.stored() == {f"e{at}": 1 for at in range(10)}

    async def test_what_comes_during_a_commit_waits_for_the_next(self, stage: Stage) -> None:
        stage.gate.shut(Point.COMMIT_BEFORE)
        first = asyncio.ensure_future(stage.start("first"))
        await until(lambda: stage.gate.passed[-1:] == [Point.COMMIT_BEFORE])
        others = [asyncio.ensure_future(stage.start(f"e{at}")) for at in range(3)]
        await turns()
        stage.gate.open(Point.COMMIT_BEFORE)
        assert (await first).revision == 1
        assert {(await other).revision for other in others} == {2}

    async def test_a_crowd_is_cut_so_that_the_loop_goes_on(self, stage: Stage) -> None:
        answers = await asyncio.gather(*(stage.start(f"e{at}") for at in range(600)))
        sizes = [len(work.rows[ADD_EXECUTION]) for work in stage.backend.works]
        assert sizes == [256, 256, 88]
        assert [answer.revision for answer in answers] == [1] * 256 + [2] * 256 + [3] * 88

    async def test_a_crowd_of_heavy_ones_is_cut_sooner(self, stage: Stage) -> None:
        weights = (400, 600, 1, 5_000, 999, 1)
        answers = await asyncio.gather(
            *(
                stage.writer.post(Put((stage.execution(f"e{at}"),)), weight=weight)
                for at, weight in enumerate(weights)
            )
        )
        assert [answer.revision for answer in answers] == [1, 1, 2, 3, 4, 4]

    async def test_a_crowd_that_was_answered_together_is_waited_for(self, stage: Stage) -> None:
        await asyncio.gather(*(stage.start(f"e{at}") for at in range(8)))
        first = asyncio.ensure_future(stage.start("first"))
        await turns()
        last = asyncio.ensure_future(stage.start("last"))
        assert {(await first).revision, (await last).revision} == {2}

    async def test_whoever_comes_alone_is_not_kept_waiting(self, stage: Stage) -> None:
        await asyncio.gather(*(stage.start(f"e{at}") for at in range(7)))
        first = asyncio.ensure_future(stage.start("first"))
        await turns()
        last = asyncio.ensure_future(stage.start("last"))
        assert [(await first).revision, (await last).revision] == [2, 3]

    @pytest.mark.parametrize("point", [Point.COMMIT_BEFORE, Point.COMMIT_AFTER])
    async def test_nothing_is_answered_told_or_seen_before_it_is_committed(
        self, stage: Stage, point: Point
    ) -> None:
        stage.gate.shut(point)
        starting = asyncio.ensure_future(stage.start("e"))
        await until(lambda: point in stage.gate.passed)
        await turns()
        assert not starting.done()
        assert stage.heard.commits == []
        assert stage.working.get(Key("default", "e")) is None
        assert (await stage.stored() == {}) is (point is Point.COMMIT_BEFORE)
        stage.gate.open(point)
        await starting
        assert stage.heard.revisions == [1]

    async def test_watchers_hear_of_a_commit_before_its_caller(self, stage: Stage) -> None:
        heard: list[list[int]] = []
        starting = asyncio.ensure_future(stage.start("e"))
        starting.add_done_callback(lambda _: heard.append(stage.heard.revisions))
        await starting
        await turns()
        assert heard == [[1]]

    async def test_each_command_sees_those_before_it(self, stage: Stage) -> None:
        class Look:
            def needs(self) -> Needs:
                return Needs()

            def decide(self, view: View) -> Decision[bool]:
                return Decision(view.execution(Key("default", "e")) is not None)

        before = stage.writer.post(Look())
        made = stage.writer.post(Put((stage.execution("e"),)))
        after = stage.writer.post(Look())
        assert [(await before).answer, (await made).revision, (await after).answer] == [
            False,
            1,
            True,
        ]

    async def test_a_commit_without_a_new_version_makes_no_revision(self, stage: Stage) -> None:
        await stage.start("e")
        renewed = make.leased(stage.current("e"))
        answer = await stage.post(Put(renewals=(renewed,)))
        assert answer.revision == 1
        assert stage.heard.revisions == [1]
        assert stage.current("e").phases[0].lease is not None
        assert (await stage.rows("head, commits", "identity"))[0] == (1, 3)

    async def test_a_remembered_write_knows_the_revision_that_holds_what_it_tells(
        self, stage: Stage
    ) -> None:
        await stage.start("e")
        for name, put in {"new": Put((stage.execution("f"),)), "old": Put()}.items():
            remembered = Remembered("default", name, "Method", b"digest", b"answer")
            await stage.post(Put(put.executions, remembered=(remembered,)))
        found = await stage.rows("request_id, revision", "requests")
        assert dict(map(tuple, found)) == {"new": 2, "old": 2}

    async def test_a_caller_that_has_gone_does_not_stop_its_command(self, stage: Stage) -> None:
        starting = asyncio.ensure_future(stage.start("e"))
        await turns(1)
        starting.cancel()
        await stage.start("f")
        assert set(await stage.stored()) == {"e", "f"}

    async def test_who_cannot_hear_of_a_commit_does_not_undo_it(self, stage: Stage) -> None:
        stage.heard.fails = True
        assert (await stage.start("e")).revision == 1
        assert (await stage.start("f")).revision == 2
        assert await stage.stored() == {"e": 1, "f": 2}


class TestRefusing:
    """What is wrong with one command is no other's concern."""

    async def test_a_refused_command_leaves_no_trace(self, stage: Stage) -> None:
        refused = stage.writer.post(Raising(NotFound("execution", "nothing")))
        stored = stage.writer.post(Put((stage.execution("e"),)))
        with pytest.raises(NotFound):
            await refused
        assert (await stored).revision == 1
        assert len(stage.backend.works) == 1

    async def test_a_defect_of_a_command_is_its_callers_alone(self, stage: Stage) -> None:
        broken = stage.writer.post(Raising(ZeroDivisionError("a defect")))
        stored = stage.writer.post(Put((stage.execution("e"),)))
        with pytest.raises(ZeroDivisionError):
            await broken
        assert (await stored).revision == 1

    async def test_what_the_tables_refuse_is_found_and_refused_alone(self, stage: Stage) -> None:
        await stage.post(twice("x"))
        before = stage.writer.post(Put((stage.execution("before"),)))
        refused = stage.writer.post(twice("x"))
        after = stage.writer.post(Put((stage.execution("after"),)))
        with pytest.raises(Exception, match=TWICE):
            await refused
        assert ((await before).revision, (await after).revision) == (1, 2)
        assert await stage.stored() == {"before": 1, "after": 2}
        assert stage.heard.revisions == [1, 2]

    async def test_a_wrong_count_of_rows_is_a_refusal(self, stage: Stage) -> None:
        """Zero rows mean that somebody else wrote, and are never passed over."""
        await stage.start("e")
        await stage.store.database.write(
            lambda connection: connection.exec_driver_sql("DELETE FROM phases WHERE position = 1")
        )
        done = make.completed(make.completed(stage.current("e")), 1)
        with pytest.raises(RuntimeError, match="update phases: 1 of 2 rows were there"):
            await stage.post(Put((done,)))
        assert stage.current("e").status == "pending"
        assert await stage.stored() == {"e": 1}

    async def test_failures_that_nobody_awaits_are_no_noise(self, stage: Stage) -> None:
        complaints: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(context))
        unawaited = [stage.writer.post(Raising(NotFound("execution", "nothing")))]
        stage.writer.stand(Raising(NotFound("execution", "nothing")))
        stage.stand("gone").withdraw()
        await stage.start("e")
        await turns()
        unawaited.clear()
        gc.collect()
        assert complaints == []


class TestFailing:
    """The database cannot do what it must."""

    async def test_everybody_is_told_when_the_database_is_away(self, stage: Stage) -> None:
        stage.backend.before.append(AWAY)
        outcomes = await asyncio.gather(
            *(stage.start(f"e{at}") for at in range(3)),
            stage.post(Raising(NotFound("execution", "nothing"))),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 4
        assert {outcome.reason for outcome in outcomes} == {  # type: ignore[union-attr]
            Reason.STORAGE_UNAVAILABLE
        }
        assert await stage.stored() == {}
        assert stage.heard.commits == []
        assert len(stage.backend.works) == 1

    async def test_it_heals_by_itself(self, stage: Stage) -> None:
        stage.backend.before.append(AWAY)
        with pytest.raises(Unavailable):
            await stage.start("e")
        assert (await stage.start("e")).revision == 1
        assert await stage.stored() == {"e": 1}

    async def test_a_commit_that_broke_off_when_it_was_done_is_taken_over(
        self, stage: Stage
    ) -> None:
        stage.backend.after.append(AWAY)
        with pytest.raises(Unavailable):
            await stage.start("e")
        assert stage.working.get(Key("default", "e")) is None
        assert (await stage.start("f")).revision == 2
        assert await stage.stored() == {"e": 1, "f": 2}
        assert stage.current("e").revision == 1
        assert stage.heard.revisions == [1, 2]

    async def test_what_was_taken_over_can_be_leased(self, stage: Stage) -> None:
        stage.backend.after.append(AWAY)
        with pytest.raises(Unavailable):
            await stage.start("e")
        leased = await asyncio.wait_for(stage.stand().answer(), 5)
        assert [granted.slot.key.execution_id for granted in leased.answer] == ["e"]

    @pytest.mark.databases(SQLITE)
    async def test_nothing_is_committed_while_it_is_in_doubt(self, stage: Stage) -> None:
        stage.backend.after.append(AWAY)
        stage.backend.on_place.extend([AWAY, AWAY])
        for execution_id in ("e", "f", "g"):
            with pytest.raises(Unavailable):
                await stage.start(execution_id)
        assert (await stage.start("h")).revision == 2
        assert await stage.stored() == {"e": 1, "h": 2}
        assert stage.heard.revisions == [1, 2]

    async def test_a_commit_without_a_revision_is_taken_over_too(self, stage: Stage) -> None:
        stage.backend.after.append(AWAY)
        flow = make.workflow(1, workflow_id="other")
        with pytest.raises(Unavailable):
            await stage.apply_workflow(flow)
        await stage.start("e")
        assert (await stage.stored())["e"] == 1

    @pytest.mark.databases(SQLITE)
    async def test_a_database_that_somebody_else_wrote_to_takes_nothing_more(
        self, stage: Stage
    ) -> None:
        await stage.start("e")
        await stage.store.database.write(
            lambda connection: connection.exec_driver_sql("UPDATE identity SET commits = 99")
        )
        for _ in range(2):
            with pytest.raises(Unavailable):
                await stage.start("f")
        assert await stage.stored() == {"e": 1}

    @pytest.mark.parametrize("error", [AWAY, RuntimeError("a defect")])
    async def test_what_is_committed_is_answered_though_leaving_the_turn_breaks(
        self, stage: Stage, error: Exception
    ) -> None:
        standing = stage.stand()
        await turns()
        stage.backend.on_leaving.append(error)
        started = await asyncio.gather(*(stage.start(f"e{at}") for at in range(3)))
        assert {answer.revision for answer in started} == {1}
        assert len((await standing.answer()).answer) == 1
        assert len(stage.backend.works) == 1
        assert (await stage.start("f")).revision == 2

    async def test_an_outage_while_commands_are_spared_costs_no_lease(self, stage: Stage) -> None:
        standing = stage.stand()
        await stage.start("e")
        await standing.answer()
        stage.backend.before.extend([RuntimeError("refused together"), AWAY])
        outcomes = await asyncio.gather(
            *(stage.start(f"e{at}") for at in range(2)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 2
        assert not stage.writer.is_well
        await stage.start("f")
        assert stage.writer.is_well
        (lease,) = (lease for _, _, lease in stage.current("e").leases())
        assert lease.held_until == stage.clock.now() + LEASE

    async def test_it_fails_once_however_many_commands_are_being_spared(self, stage: Stage) -> None:
        await stage.post(twice("x"))
        works = len(stage.backend.works)
        stage.backend.before.extend([RuntimeError("refused together"), AWAY])
        outcomes = await asyncio.gather(
            *(stage.start(f"e{at}") for at in range(5)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5
        assert len(stage.backend.works) == works + 2


class TestStanding:
    """Commands that wait for a phase."""

    async def test_it_is_answered_once_there_is_a_phase(self, stage: Stage) -> None:
        standing = stage.stand()
        await turns()
        started = await stage.start("e")
        leased = await standing.answer()
        assert [granted.slot.key.execution_id for granted in leased.answer] == ["e"]
        # In the very commit that made the phase ready.
        assert leased.revision == started.revision == 1

    async def test_who_came_first_is_served_first(self, stage: Stage) -> None:
        first, second = stage.stand("first"), stage.stand("second")
        await turns()
        await stage.start("e", priority=1)
        await stage.start("f")
        assert (await first.answer()).answer[0].slot.key.execution_id == "e"
        assert (await second.answer()).answer[0].slot.key.execution_id == "f"

    async def test_one_that_waits_is_asked_only_while_there_is_something_for_it(
        self, stage: Stage
    ) -> None:
        asked: list[str] = []

        class Counting:
            workspace_id = "default"
            request = make.lease_request("counting", handlers=("rare",))

            def decide(self, view: View) -> Decision[str] | None:
                asked.append("once more")
                return None

        stage.writer.stand(Counting())
        for at in range(5):
            await stage.start(f"e{at}")
        assert asked == ["once more"]

    async def test_withdrawn_it_leases_nothing(self, stage: Stage) -> None:
        standing = stage.stand()
        await turns()
        assert standing.withdraw()
        await stage.start("e")
        with pytest.raises(Withdrawn):
            await standing.answer()
        assert stage.current("e").phases[0].lease is None

    async def test_while_it_is_committed_it_cannot_be_withdrawn(self, stage: Stage) -> None:
        standing = stage.stand()
        await turns()
        stage.gate.shut(Point.COMMIT_BEFORE)
        starting = asyncio.ensure_future(stage.start("e"))
        await until(lambda: standing.decision is not None)
        assert not standing.withdraw()
        stage.gate.open(Point.COMMIT_BEFORE)
        await starting
        assert len((await standing.answer()).answer) == 1
        assert not standing.withdraw()

    async def test_it_stands_again_if_the_commit_fails(self, stage: Stage) -> None:
        standing = stage.stand()
        await turns()
        stage.backend.before.append(AWAY)
        with pytest.raises(Unavailable):
            await stage.start("e")
        assert (await stage.start("f")).revision == 1
        assert (await standing.answer()).answer[0].slot.key.execution_id == "f"

    async def test_withdrawn_during_a_commit_that_fails_it_does_not_wait_on(
        self, stage: Stage
    ) -> None:
        standing = stage.stand()
        await turns()
        stage.gate.shut(Point.COMMIT_BEFORE)
        stage.backend.before.append(AWAY)
        starting = asyncio.ensure_future(stage.start("e"))
        await until(lambda: standing.decision is not None)
        assert not standing.withdraw()
        stage.gate.open(Point.COMMIT_BEFORE)
        with pytest.raises(Unavailable):
            await standing.answer()
        with pytest.raises(Unavailable):
            await starting
        await stage.start("f")
        assert stage.current("f").phases[0].lease is None

    @pytest.mark.parametrize("error", [NotFound("phase", "p"), ZeroDivisionError("a defect")])
    async def test_one_that_raises_is_asked_no_more(self, stage: Stage, error: Exception) -> None:
        standing = stage.writer.stand(Raising(error))
        with pytest.raises(type(error)):
            await standing.answer()
        assert standing.withdraw()
        assert (await stage.start("e")).revision == 1

    async def test_one_that_cannot_be_committed_spares_the_others(self, stage: Stage) -> None:
        """It used to stand again after each refusal, and no batch was committed any more."""
        await stage.post(twice("x"))

        class Wrong:
            workspace_id = "default"
            request = make.lease_request("wrong")

            def decide(self, view: View) -> Decision[str]:
                return twice("x").decide(view)

        standing, waiting = stage.writer.stand(Wrong()), stage.stand("right")
        started = stage.writer.post(Put((stage.execution("e"),)))
        with pytest.raises(Exception, match=TWICE):
            await standing.answer()
        assert (await started).revision == 1
        assert len((await waiting.answer()).answer) == 1


class TestClosing:
    """What was taken in is answered, and nothing more is taken in."""

    async def test_what_was_posted_before_is_committed(self, tmp_path: Path) -> None:
        async with staged(tmp_path / "phaseline.db") as stage:
            posted = [stage.writer.post(Put((stage.execution(f"e{at}"),))) for at in range(300)]
            stage.writer.close()
            answers = await asyncio.gather(*posted)
        assert [answer.revision for answer in answers] == [1] * 256 + [2] * 44

    async def test_what_comes_later_is_refused(self, stage: Stage) -> None:
        stage.writer.close()
        for late in (stage.writer.post(Put()), stage.stand().answer()):
            with pytest.raises(Unavailable) as refused:
                await late
            assert refused.value.reason == Reason.DRAINING

    async def test_what_waits_is_withdrawn(self, stage: Stage) -> None:
        standing = stage.stand()
        stage.writer.close()
        with pytest.raises(Withdrawn):
            await standing.answer()

    async def test_a_commit_that_fails_while_closing_leaves_nobody_waiting(
        self, stage: Stage
    ) -> None:
        standing = stage.stand()
        await turns()
        stage.gate.shut(Point.COMMIT_BEFORE)
        stage.backend.before.append(AWAY)
        starting = asyncio.ensure_future(stage.start("e"))
        await until(lambda: standing.decision is not None)
        stage.writer.close()
        stage.gate.open(Point.COMMIT_BEFORE)
        for late in (starting, standing.answer()):
            with pytest.raises(Unavailable):
                await late

    async def test_cancelled_it_leaves_nobody_waiting(self, tmp_path: Path) -> None:
        stage = Stage(await open_store(str(tmp_path / "phaseline.db")))
        running = asyncio.create_task(stage.writer.run())
        stage.gate.shut(Point.COMMIT_BEFORE)
        in_flight = stage.writer.post(Put(workflows=(stage.workflow,)))
        await until(lambda: stage.gate.passed)
        queued, standing = stage.writer.post(Put()), stage.stand()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        for left in (in_flight, queued):
            with pytest.raises(Unavailable):
                await left
        with pytest.raises(Withdrawn):
            await standing.answer()
        await stage.store.close()
