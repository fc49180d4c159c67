"""
What the use-cases rely on in a store, as the docstrings of their ports say it.

Seen through `Writer` and `Reads` alone, so that every store has to pass.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from msgspec.structs import replace

from phaseline.app.ports import (
    Child,
    Committed,
    Decision,
    Group,
    Needs,
    OperationsOf,
    Remembered,
    Slot,
    View,
    Withdrawn,
    WorkflowRef,
)
from phaseline.app.queries import ExecutionFilter, ExecutionQuery, OperationQuery, Order
from phaseline.domain.errors import NotFound, Unavailable
from phaseline.domain.execution import Artifact, Content, Execution, Operation
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload, text_payload
from phaseline.domain.report import OperationReport
from phaseline.store.failures import StoreFailed
from tests.store.stage import Put, Raising, Stage
from tests.support import make
from tests.support.clock import START as NOW

E1 = Key("default", "e1")


class Look:
    """A command that keeps what its view shows, and changes nothing."""

    def __init__(self, needs: Needs, look: object) -> None:
        self._needs, self._look = needs, look

    def needs(self) -> Needs:
        return self._needs

    def decide(self, view: View) -> Decision[object]:
        return Decision(self._look(view))  # type: ignore[operator]


class Store:
    """A command that stores one decision."""

    def __init__(self, **decision: object) -> None:
        self._decision = decision

    def needs(self) -> Needs:
        return Needs()

    def decide(self, _view: View) -> Decision[str]:
        return Decision("stored", **self._decision)  # type: ignore[arg-type]


class TestWriter:
    """`Writer`, and the `View` that its commands decide on."""

    async def test_answers_once_all_that_was_changed_can_be_read(self, stage: Stage) -> None:
        committed = await stage.start("e1")
        found = await stage.store.reads.status(E1)
        assert found is not None
        assert found.revision == committed.revision

    async def test_each_command_sees_those_before_it_in_its_batch(self, stage: Stage) -> None:
        look = Look(Needs(executions=(E1,)), lambda view: view.execution(E1))
        starting = stage.post(Put((stage.execution("e1"),)))
        answers = await asyncio.gather(starting, stage.post(look))
        assert answers[1].answer is not None

    async def test_commits_in_the_order_in_which_commands_were_posted(self, stage: Stage) -> None:
        committed = await asyncio.gather(*(stage.start(f"e{number}") for number in range(5)))
        revisions = [one.revision for one in committed]
        assert revisions == sorted(revisions)

    async def test_a_refusal_is_raised_and_leaves_no_trace(self, stage: Stage) -> None:
        head = stage.writer.head
        with pytest.raises(NotFound):
            await stage.post(Raising(NotFound("execution", "e1")))
        assert stage.writer.head == head

    async def test_a_refusal_spares_the_others_of_its_batch(self, stage: Stage) -> None:
        refused = stage.post(Raising(NotFound("execution", "e1")))
        answers = await asyncio.gather(stage.start("e1"), refused, return_exceptions=True)
        assert isinstance(answers[0], Committed)
        assert isinstance(answers[1], NotFound)
        assert await stage.store.reads.status(E1) is not None

    async def test_says_so_if_it_could_not_commit(self, stage: Stage) -> None:
        stage.backend.before = [StoreFailed("away")]
        with pytest.raises(Unavailable):
            await stage.start("e1")

    async def test_a_caller_that_stops_waiting_does_not_stop_its_command(
        self, stage: Stage
    ) -> None:
        waiting = asyncio.ensure_future(stage.start("e1"))
        await asyncio.sleep(0)
        waiting.cancel()
        await stage.start("e2")
        assert await stage.store.reads.status(E1) is not None

    async def test_all_of_a_batch_happens_at_one_moment(self, stage: Stage) -> None:
        now = Look(Needs(), lambda view: view.now)
        one, other = await asyncio.gather(stage.post(now), stage.post(now))
        assert one.answer == other.answer == stage.clock.now()

    async def test_ancestors_can_be_asked_for_unasked(self, stage: Stage) -> None:
        await stage.start("root")
        root = Key("default", "root")
        child = replace(
            stage.execution("e1"),
            spec=replace(
                stage.execution("e1").spec,
                parent_execution_id="root",
                root_execution_id="root",
                ancestor_execution_ids=("root",),
                step_key="step",
            ),
        )
        await stage.post(Put((child,)))

        def look(view: View) -> Sequence[object]:
            found = view.child(Child(root, "step"))
            assert found is not None
            above = view.execution(root)
            assert above is not None
            return found.key, above.key, [one.key for one in view.active_below(root)]

        needs = Needs(executions=(E1,), children=(Child(root, "step"),))
        seen = await stage.post(Look(needs, look))
        assert seen.answer == (E1, root, [E1])

    async def test_counts_what_is_active_and_who_has_or_wants_a_slot(self, stage: Stage) -> None:
        limited = replace(make.workflow(concurrency=make.limit(2)), version=2)
        await stage.apply_workflow(limited)
        has_one = replace(stage.execution("e1"), admitted=True)
        await stage.post(Put((has_one, stage.execution("e2"), stage.execution("e3"))))
        group = Group("default", "flow", "")

        def look(view: View) -> Sequence[object]:
            waiting = [one.spec.execution_id for one in view.waiting(group, 1)]
            return view.active_count("default"), view.admitted_count(group), waiting

        seen = await stage.post(Look(Needs(), look))
        assert seen.answer == (3, 1, ["e2"])

    async def test_finds_the_version_that_is_asked_for_and_the_latest(self, stage: Stage) -> None:
        second = replace(stage.workflow, version=2)
        await stage.apply_workflow(second)
        refs = tuple(WorkflowRef("default", "flow", version) for version in (0, 1, 2, 3))

        def look(view: View) -> list[int]:
            found = [view.workflow(ref) for ref in refs]
            return [0 if one is None else one.version for one in found]

        seen = await stage.post(Look(Needs(workflows=refs), look))
        assert seen.answer == [2, 1, 2, 0]

    async def test_knows_what_was_answered_to_a_request(self, stage: Stage) -> None:
        remembered = Remembered("default", "r1", "Apply", b"digest", b"answer")
        committed = await stage.post(Store(remembered=(remembered,)))
        needs = Needs(requests=(("default", "r1"), ("other", "r1")))
        seen = await stage.post(
            Look(needs, lambda view: [view.answered(*name) for name in needs.requests])
        )
        known, unknown = seen.answer
        assert (known.method, known.digest, known.answer) == ("Apply", b"digest", b"answer")
        assert (known.revision, unknown) == (committed.revision, None)

    async def test_knows_operations_that_are_on_record(self, stage: Stage) -> None:
        await stage.start("e1")
        await stage.post(Store(operations=(_operation("o1", 0),)))
        needs = Needs(operations=(OperationsOf(Slot(E1, 0), 1, ("o1", "o2")),))
        seen = await stage.post(Look(needs, lambda view: dict(view.recorded(Slot(E1, 0), 1))))
        assert [(name, one.ordinal) for name, one in seen.answer.items()] == [("o1", 0)]

    async def test_a_standing_command_waits_until_there_is_something_for_it(
        self, stage: Stage
    ) -> None:
        standing = stage.stand()
        answer = asyncio.ensure_future(standing.answer())
        await stage.post(Put())
        assert not answer.done()
        await stage.start("e1")
        (granted,) = (await answer).answer
        assert granted.slot == Slot(E1, 0)

    async def test_a_standing_command_can_be_withdrawn(self, stage: Stage) -> None:
        standing = stage.stand()
        answer = asyncio.ensure_future(standing.answer())
        await stage.post(Put())
        assert standing.withdraw()
        with pytest.raises(Withdrawn):
            await answer
        await stage.start("e1")
        assert stage.current("e1").phases[0].lease is None


class TestReads:
    """`Reads`."""

    async def test_what_is_not_there_is_none_or_empty(self, stage: Stage) -> None:
        reads, slot = stage.store.reads, Slot(E1, 0)
        assert await reads.status(E1) is None
        assert await reads.detail(E1) is None
        assert await reads.nesting("default", execution_id="e1", limit=1) is None
        assert await reads.content(E1) == Content()
        assert await reads.outputs([slot]) == {}
        assert await reads.checkpoint(slot) is None
        assert await reads.workflow(WorkflowRef("default", "other")) is None
        assert await reads.artifact("default", "a1") is None
        assert (await reads.artifacts(E1, limit=1)).total_size == 0

    async def test_another_workspace_sees_nothing(self, stage: Stage) -> None:
        await stage.start("e1")
        reads = stage.store.reads
        assert await reads.status(Key("other", "e1")) is None
        assert (await reads.executions(_query(workspace_id="other"))).total_size == 0
        assert (await reads.workflows("other", limit=1)).total_size == 0

    async def test_a_detail_has_all_of_one_moment(self, stage: Stage) -> None:
        content = Content(task="look", inputs={"a": "b"})
        output = text_payload("done")
        one = replace(
            stage.execution("e1"), spec=replace(stage.execution("e1").spec, has_content=True)
        )
        done = replace(one.phases[0], output_size=output.size)
        committed = await stage.post(
            Store(
                executions=(one.with_phase(0, done),),
                contents=((E1, content),),
                outputs=((Slot(E1, 0), output),),
                operations=(_operation("o1", 0),),
            )
        )
        detail = await stage.store.reads.detail(E1, operations=10)
        assert detail is not None
        assert (detail.content, dict(detail.outputs)) == (content, {0: output})
        assert [each.reported.operation_id for each in detail.operations] == ["o1"]
        assert detail.revision == detail.execution.revision == committed.revision
        bare = await stage.store.reads.detail(E1, full=False)
        assert bare is not None
        assert (bare.content, bare.outputs, bare.operations) == (Content(), {}, ())
        assert len(bare.execution.phases) == 2

    async def test_a_detail_shows_operations_of_the_phases_that_are_asked_for(
        self, stage: Stage
    ) -> None:
        await stage.start("e1")
        await stage.post(Store(operations=(_operation("o1", 0), _operation("o2", 1, position=1))))
        detail = await stage.store.reads.detail(E1, operations=10, phase_ids=["p1"])
        assert detail is not None
        assert [each.reported.operation_id for each in detail.operations] == ["o2"]

    async def test_pages_of_executions_meet(self, stage: Stage) -> None:
        for number in range(5):
            await stage.start(f"e{number}")
            await stage.clock.advance(timedelta(seconds=1))
        seen: list[str] = []
        query = _query(limit=2)
        while True:
            page = await stage.store.reads.executions(query)
            seen += [one.spec.execution_id for one in page.executions]
            assert page.total_size == 5
            if page.next is None:
                break
            query = replace(query, after=page.next)
        assert seen == ["e4", "e3", "e2", "e1", "e0"]

    async def test_pages_of_operations_meet_in_the_order_of_first_record(
        self, stage: Stage
    ) -> None:
        await stage.start("e1")
        names = ["c", "a", "b"]
        await stage.post(
            Store(operations=tuple(_operation(name, at) for at, name in enumerate(names)))
        )
        first = await stage.store.reads.operations(OperationQuery(E1, None, 2))
        assert (first.total_size, first.next) == (3, 1)
        rest = await stage.store.reads.operations(OperationQuery(E1, None, 2, after=1))
        assert rest.next is None
        found = [*first.operations, *rest.operations]
        assert [one.reported.operation_id for one in found] == names

    async def test_operations_have_input_and_output_only_if_asked(self, stage: Stage) -> None:
        await stage.start("e1")
        given = text_payload("in")
        await stage.post(Store(operations=(_operation("o1", 0, given=given),)))
        for full, expected in ((True, given), (False, None)):
            query = OperationQuery(E1, 0, 1, full=full)
            (one,) = (await stage.store.reads.operations(query)).operations
            assert one.reported.input == expected

    @pytest.mark.parametrize(
        ("room", "full", "expected"),
        [(5000, True, [1, 1, 1]), (9000, True, [2, 1]), (0, True, [1, 1, 1]), (9000, False, [3])],
    )
    async def test_a_page_of_operations_has_no_more_bytes_than_there_is_room_for(
        self, stage: Stage, room: int, full: bool, expected: list[int]
    ) -> None:
        await stage.start("e1")
        large = text_payload("x" * 3000)
        await stage.post(
            Store(operations=tuple(_operation(f"o{at}", at, given=large) for at in range(3)))
        )
        found: list[int] = []
        query = OperationQuery(E1, 0, 10, full=full, room=room)
        while True:
            page = await stage.store.reads.operations(query)
            found.append(len(page.operations))
            assert page.total_size == 3
            if page.next is None:
                break
            query = replace(query, after=page.next)
        assert found == expected

    async def test_the_last_checkpoint_and_output_count(self, stage: Stage) -> None:
        await stage.start("e1")
        slot = Slot(E1, 0)
        for text in ("one", "two"):
            payload = text_payload(text)
            await stage.post(Store(checkpoints=((slot, payload),), outputs=((slot, payload),)))
        reads = stage.store.reads
        assert await reads.checkpoint(slot) == text_payload("two")
        assert await reads.outputs([slot, Slot(E1, 1)]) == {slot: text_payload("two")}

    async def test_workflows_come_in_their_latest_version_by_id(self, stage: Stage) -> None:
        await stage.apply_workflow(replace(stage.workflow, version=2))
        other = make.workflow_spec(1, "another")
        await stage.post(Put(workflows=(replace(stage.workflow, version=1, spec=other),)))
        reads = stage.store.reads
        page = await reads.workflows("default", limit=1)
        assert ([one.workflow_id for one in page.workflows], page.has_more) == (["another"], True)
        rest = await reads.workflows("default", after="another", limit=1)
        assert [(one.workflow_id, one.version) for one in rest.workflows] == [("flow", 2)]
        assert (rest.has_more, rest.total_size) == (False, 2)

    async def test_artifacts_are_listed_without_their_bytes_and_read_with_them(
        self, stage: Stage
    ) -> None:
        await stage.start("e1")
        stored = [_artifact("a1", 0), _artifact("a2", 1), _artifact("a3", 1)]
        await stage.post(Store(artifacts=tuple((one, b"bytes") for one in stored)))
        reads = stage.store.reads
        page = await reads.artifacts(E1, limit=2)
        assert (list(page.artifacts), page.total_size, page.has_more) == (stored[:2], 3, True)
        page = await reads.artifacts(E1, phase_id="p1", after="a2", limit=2)
        assert (list(page.artifacts), page.total_size, page.has_more) == (stored[2:], 2, False)
        assert await reads.artifact("default", "a2") == (stored[1], b"bytes")

    async def test_a_tree_is_cut_at_its_deepest_and_newest(self, stage: Stage) -> None:
        await stage.start("root")
        for name, above in (
            ("b", ("root",)),
            ("a", ("root",)),
            ("deep", ("root", "b")),
        ):
            await stage.clock.advance(timedelta(seconds=1))
            await stage.post(Put((_below(stage, name, above),)))
        nesting = await stage.store.reads.nesting("default", execution_id="root", limit=2)
        assert nesting is not None
        assert [one.spec.execution_id for one in nesting.below] == ["b", "a"]
        assert nesting.truncated
        whole = await stage.store.reads.nesting("default", execution_id="root", limit=3)
        assert whole is not None
        assert (len(whole.below), whole.truncated) == (3, False)

    async def test_the_newest_execution_for_a_chat_message_is_the_one(self, stage: Stage) -> None:
        for name in ("e1", "e2"):
            await stage.start(name, chat_message_id="m1")
            await stage.clock.advance(timedelta(seconds=1))
        nesting = await stage.store.reads.nesting("default", chat_message_id="m1", limit=1)
        assert nesting is not None
        assert nesting.top.spec.execution_id == "e2"


def _query(workspace_id: str = "default", limit: int = 10) -> ExecutionQuery:
    return ExecutionQuery(workspace_id, ExecutionFilter(), Order.CREATED_AT_DESC, limit)


def _operation(
    operation_id: str, ordinal: int, position: int = 0, given: Payload | None = None
) -> Operation:
    told = OperationReport(operation_id, "tool", timestamp=NOW, input=given)
    return Operation(E1, f"p{position}", position, 1, 1, ordinal, told)


def _artifact(artifact_id: str, position: int) -> Artifact:
    name = f"{artifact_id}.md"
    return Artifact(artifact_id, E1, f"p{position}", position, name, 5, "", "", NOW)


def _below(stage: Stage, name: str, above: tuple[str, ...]) -> Execution:
    one = stage.execution(name)
    spec = replace(
        one.spec,
        parent_execution_id=above[-1],
        root_execution_id=above[0],
        ancestor_execution_ids=above,
    )
    return replace(one, spec=spec)
