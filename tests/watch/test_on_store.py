"""The guarantees hold on a real database, with writers, readers and restarts at the same time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from phaseline.app.changes import Commit
from phaseline.app.ports import Decision, Needs, View, WorkflowRef
from phaseline.app.queries import ExecutionFilter
from phaseline.app.tokens import Signer
from phaseline.domain.execution import Execution, ExecutionSpec, Operation, Phase
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import TERMINAL, ExecutionStatus
from phaseline.domain.report import OperationReport
from phaseline.domain.workflow import PhaseSpec, Workflow, WorkflowSpec
from phaseline.faults import NoPoints
from phaseline.store.opening import Store, open_store
from phaseline.store.writer import GroupWriter
from phaseline.watch.shared import Sizes
from phaseline.watch.signal import Signal
from phaseline.watch.tail import Tail
from phaseline.watch.token import Tokens
from phaseline.watch.waking import Pace
from phaseline.wire.encoder import Encoder
from phaseline.worker.clock import SystemClock
from tests.support import guarantees
from tests.support.clock import START
from tests.support.databases import BOTH, places
from tests.watch.followers import ActiveFollower, Follower, TreeFollower
from tests.watch.serving import Serving, shared_of
from tests.watch.world import COMPLETED, PAUSED, PENDING, RUNNING, WORKSPACE, Ledger

pytestmark = pytest.mark.databases(*BOTH)

ABOVE: dict[str, tuple[str, ...]] = {
    "root": (),
    "a": ("root",),
    "z": ("root",),
    "m": ("root", "a"),
    "alone": (),
    "other": (),
}
IDS = sorted(ABOVE)
WORKFLOW = Workflow(
    WORKSPACE,
    1,
    WorkflowSpec("work", (PhaseSpec("p-0", "echo"), PhaseSpec("p-1", "echo"))),
    START,
    START,
)
FILTERS = (
    ExecutionFilter(),
    ExecutionFilter(statuses=(RUNNING,)),
    ExecutionFilter(root_execution_id="root"),
    ExecutionFilter(id_prefix="a"),
)


class Write(msgspec.Struct, frozen=True):
    """Changes some executions in some way, and starts those that do not exist."""

    what: tuple[tuple[str, int], ...]

    def needs(self) -> Needs:
        return Needs(executions=tuple(Key(WORKSPACE, id) for id, _ in self.what))

    def decide(self, view: View) -> Decision[None]:
        changed = [self._changed(view, id, how) for id, how in self.what]
        return Decision(
            None,
            executions=tuple(execution for execution, _ in changed),
            operations=tuple(told for _, operations in changed for told in operations),
        )

    def _changed(self, view: View, id: str, how: int) -> tuple[Execution, Sequence[Operation]]:
        before = view.execution(Key(WORKSPACE, id))
        if before is None:
            return _new(id, view), ()
        status = (RUNNING, PAUSED, COMPLETED, None)[how % 4]
        if before.status in TERMINAL:
            status = PENDING if how % 3 else None
        known = sum(phase.operation_count for phase in before.phases)
        # A new one, and now and then one that was told before.
        told = [_operation(before, known, is_new=True)]
        if known and how % 2:
            told.append(_operation(before, how % known, is_new=False))
        phases = list(before.phases)
        at = told[0].position
        phases[at] = replace(phases[at], operation_count=phases[at].operation_count + 1)
        return _moved(replace(before, phases=tuple(phases)), status, view), told


class Apply(msgspec.Struct, frozen=True):
    """Stores the workflow, once."""

    def needs(self) -> Needs:
        return Needs(workflows=(WorkflowRef(WORKSPACE, WORKFLOW.workflow_id),))

    def decide(self, view: View) -> Decision[None]:
        known = view.workflow(self.needs().workflows[0])
        return Decision(None, workflows=() if known else (WORKFLOW,))


class Trim(msgspec.Struct, frozen=True):
    """Forgets the change log up to a revision."""

    revision: int

    def needs(self) -> Needs:
        return Needs()

    def decide(self, view: View) -> Decision[None]:
        return Decision(None, trimmed_to=self.revision)


class Served(Serving):
    """A process on a store, which tells a ledger what it is told."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        signal = Signal(
            ledger.clock, Tail(store.head, max_revisions=12), pace=Pace(least_rest=0.001, burst=0)
        )
        tokens = Tokens(Signer(store.secret), store.epoch)
        sizes = Sizes(changes=3, log_page=5, executions=2, operations=3, look=4)
        super().__init__(
            shared_of(ledger.clock, signal, tokens, store.log, store.reads, sizes=sizes), ledger
        )
        # Soon enough that a reader which is up to date soon knows it.
        self.bookmark_interval = timedelta(milliseconds=50)
        self.writer: GroupWriter = store.writer(self, Encoder(), SystemClock(), NoPoints())

    def committed(self, commit: Commit) -> None:
        self.ledger.committed(commit)
        self.signal.committed(commit)

    def advance(self, head: int) -> None:
        self.signal.advance(head)


@asynccontextmanager
async def served(path: Path, ledger: Ledger) -> AsyncIterator[Served]:
    """Serve the database of *path* for the block."""
    store = await open_store(await places().at(path))
    process = Served(store, ledger)
    keeping_up = asyncio.create_task(store.keep_up())
    writing = asyncio.create_task(process.writer.run())
    try:
        yield process
    finally:
        await process.close()
        process.writer.close()
        await writing
        keeping_up.cancel()
        await asyncio.gather(keeping_up, return_exceptions=True)
        await store.close()


class Life:
    """What happens to one database, as drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.ledger = Ledger(SystemClock())
        self.followers: list[Follower] = []

    async def live(self, processes: Sequence[Served], steps: int) -> None:
        """Write, read and watch for a while, all at the same time."""
        for _ in range(steps):
            process = self.random.choice(processes)
            writes = [
                self.random.choice(processes).writer.post(self._write())
                for _ in range(self.random.randint(1, 3))
            ]
            for _ in range(self.random.randint(0, 15)):
                await asyncio.sleep(0)
                self.read()
            await self._something(process)
            await asyncio.gather(*writes)

    def read(self) -> None:
        for follower in self.followers:
            follower.turn()

    async def catch_up(self) -> None:
        """Let everybody read to the end."""
        for follower in self.followers:
            follower.is_slow = False
        while not all(map(self._is_up_to_date, self.followers)):
            await asyncio.sleep(0.001)
            self.read()

    def check(self) -> None:
        for follower in self.followers:
            if not follower.is_over:
                guarantees.synced(follower.reader.stream)
                follower.pause()
            follower.check(self.ledger)
            for stream in follower.history:
                guarantees.well_formed(stream)
                guarantees.bounded(stream)
            guarantees.durable(follower.history, self.ledger.stored())

    async def _something(self, process: Served) -> None:
        began = max(self.ledger.head_revision - self.random.randint(0, 30), 0)
        match self.random.randint(0, 9):
            case 0 | 1:
                some = self.random.choice([None, began])
                active = ActiveFollower(process, some, self.random.choice(FILTERS))
                self.followers.append(active)
            case 2 | 3:
                key = Key(WORKSPACE, self.random.choice(IDS))
                if any(entry.key == key for _, entry in self.ledger.versions):
                    some = self.random.choice([None, began])
                    self.followers.append(
                        TreeFollower(process, some, key, self.random.random() < 0.5)
                    )
            case 4 | 5 if self.followers:
                await self.random.choice(self.followers).move(process)
            case 6 | 7 if self.followers:
                follower = self.random.choice(self.followers)
                follower.is_slow = not follower.is_slow
            case 8 if self.random.random() < 0.3:
                kept = self.random.randint(0, 40)
                await self._trim(process, self.ledger.head_revision - kept)
            case _:
                pass

    async def _trim(self, process: Served, revision: int) -> None:
        if revision > self.ledger.trimmed_revision:
            # Before it is done: a reader may be told of it at once.
            self.ledger.trimmed_revision = revision
            await process.writer.post(Trim(revision))

    def _is_up_to_date(self, follower: Follower) -> bool:
        stream = follower.reader.stream
        if follower.is_over or not any(frame.synced for frame in stream):
            return follower.is_over
        return follower.revision_of(stream[-1].token) >= self.ledger.head_revision

    def _write(self) -> Write:
        ids = self.random.sample(IDS, self.random.randint(1, 3))
        return Write(tuple((id, self.random.randint(0, 11)) for id in ids))


@pytest.mark.parametrize("seed", range(2))
async def test_the_guarantees_hold_on_both_databases(
    database_kind: str, tmp_path: Path, seed: int
) -> None:
    await _lead(Life(seed), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(2, 30))
async def test_they_hold_in_many_lives(database_kind: str, tmp_path: Path, seed: int) -> None:
    await _lead(Life(seed), tmp_path)


async def _lead(life: Life, directory: Path) -> None:
    """Live three times on one database, in several processes if they can share it, and check."""
    count = 2 if places().are_shared else 1
    for _ in range(3):
        async with AsyncExitStack() as stack:
            processes = [
                await stack.enter_async_context(served(directory / "phaseline.db", life.ledger))
                for _ in range(count)
            ]
            for follower in life.followers:
                await follower.move(life.random.choice(processes))
            await processes[0].writer.post(Apply())
            await life.live(processes, 15)
            await life.catch_up()
    life.check()


def _new(id: str, view: View) -> Execution:
    above = ABOVE[id]
    spec = ExecutionSpec(
        workspace_id=WORKSPACE,
        execution_id=id,
        created_at=view.now,
        parent_execution_id=above[-1] if above else "",
        root_execution_id=above[0] if above else id,
        ancestor_execution_ids=above,
        queue_name="default",
    )
    phases = tuple(Phase(phase.phase_id) for phase in WORKFLOW.spec.phases)
    return Execution(Key(WORKSPACE, id), spec, WORKFLOW, PENDING, view.now, phases)


def _moved(execution: Execution, status: ExecutionStatus | None, view: View) -> Execution:
    status = status or execution.status
    ended = view.now if status in TERMINAL else None
    return replace(execution, status=status, updated_at=view.now, completed_at=ended)


def _operation(execution: Execution, ordinal: int, *, is_new: bool) -> Operation:
    position = ordinal % len(execution.phases)
    return Operation(
        key=execution.key,
        phase_id=execution.phases[position].phase_id,
        position=position,
        epoch=1,
        attempt=1,
        ordinal=ordinal,
        reported=OperationReport(f"o-{ordinal}", "tool", timestamp=START),
        is_new=is_new,
    )
