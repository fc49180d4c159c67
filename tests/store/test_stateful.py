"""
Random commands, moves of the clock and crashes, on a real store.

After each step everything that is kept twice must agree: memory with tables, indexes with what
they would be if made anew, counters with rows, the log with the executions, and all of it with
what callers were told.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace
from sqlalchemy import func, select
from structlog.testing import capture_logs

from phaseline.app.assignments import Assigned
from phaseline.domain.errors import PhaselineError, Unavailable
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import TERMINAL
from phaseline.domain.report import OperationReport
from phaseline.store import tables
from phaseline.store.failures import StoreFailed
from phaseline.store.indexes import Indexes
from phaseline.store.load import read_executions
from phaseline.store.rows import operation_of
from tests.support import make
from tests.support.app import App, opened
from tests.support.clock import ManualClock

T = TypeVar("T")
IDS = st.sampled_from(["a", "b", "c", "d"])
FLOWS = {
    "flow": make.workflow_spec(2),
    "limited": make.workflow_spec(1, "limited", concurrency=make.limit(1)),
    "wide": make.workflow_spec(
        [make.phase_spec("p0", retry_policy=make.EAGER), make.phase_spec("p1", parallel=True)],
        "wide",
    ),
}


class Machine(RuleBasedStateMachine):
    """What callers and workers may do, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name, "phaseline.db")
        self.clock = ManualClock()
        self.stack = AsyncExitStack()
        self.logs = capture_logs()
        self.logs.__enter__()
        self.app = self.do(self.open())
        self.leases: list[Assigned] = []
        #: What callers were told, by execution.
        self.told: dict[str, Execution] = {}
        for spec in FLOWS.values():
            self.do(self.app.workflows.apply(self.app.caller, spec))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def open(self) -> App:
        return await self.stack.enter_async_context(opened(self.path, self.clock))

    def attempt(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self.do(work)
        except PhaselineError:
            return None

    @rule(name=IDS, flow=st.sampled_from(list(FLOWS)), parent=st.none() | IDS)
    def start(self, name: str, flow: str, parent: str | None) -> None:
        self.attempt(
            self.app.start(
                name, workflow_id=flow, parent_execution_id=parent or "", labels={"x": name}
            )
        )

    @rule(most=st.integers(1, 3))
    def lease(self, most: int) -> None:
        self.leases += self.attempt(self.app.lease(most)) or ()

    @precondition(lambda self: self.leases)
    @rule(
        data=st.data(),
        outcome=st.sampled_from([None, make.DONE, make.broken(), make.released()]),
        operations=st.integers(0, 2),
        success=st.none() | st.booleans(),
    )
    def report(self, data: Any, outcome: Any, operations: int, success: bool | None) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        told = tuple(OperationReport(f"o{at}", "tool", success=success) for at in range(operations))
        usage = make.spent(operations) if operations else None
        self.attempt(self.app.report(lease, outcome, operations=told, usage_by_model=usage))

    @rule(name=IDS, grace=st.sampled_from([timedelta(), make.LEASE]))
    def cancel(self, name: str, grace: timedelta) -> None:
        self.attempt(self.app.cancel(name, grace))

    @rule(name=IDS, act=st.sampled_from(["pause", "resume", "retry"]))
    def control(self, name: str, act: str) -> None:
        self.attempt(getattr(self.app.controls, act)(self.app.caller, name))

    @rule(by=st.sampled_from([1, 29, 31, 120]))
    def wait(self, by: int) -> None:
        self.do(self.app.passes(by * make.SECOND))

    @rule()
    def crash(self) -> None:
        """Go on with what is in the file."""
        self.do(self.stack.aclose())
        self.app = self.do(self.open())

    @rule(name=IDS, is_stored=st.booleans())
    def fail(self, name: str, is_stored: bool) -> None:
        """Have the database break off with a commit, done or not, that starts an execution."""
        backend, real = self.app.writer._backend, self.app.writer._backend.apply

        async def apply(work: Any) -> None:
            if is_stored:
                await real(work)
            raise StoreFailed("away")

        backend.apply = apply  # type: ignore[method-assign]
        try:
            self.do(self.app.start(name))
        except (Unavailable, PhaselineError):
            pass
        finally:
            backend.apply = real  # type: ignore[method-assign]
        # The next commit finds out what became of it.
        self.do(self.app.passes(timedelta()))

    @invariant()
    def everything_agrees(self) -> None:
        self.do(self.check())

    async def check(self) -> None:
        working = self.app.store.working
        stored = {
            one.key: one
            for one in await self.app.store.database.read(
                lambda c: read_executions(c, [Key("default", name) for name in "abcd"], working)
            )
        }
        self.check_memory(stored)
        await self.check_tables(stored)
        for key, execution in stored.items():
            before = self.told.get(key.execution_id)
            if before is not None:
                assert execution.revision >= before.revision, "what was told is not taken back"
            self.told[key.execution_id] = execution
        assert set(self.told) == {key.execution_id for key in stored}, "nothing is lost"

    def check_memory(self, stored: dict[Key, Execution]) -> None:
        working = self.app.store.working
        active = {key for key, one in stored.items() if not one.done}
        assert set(working.executions) == active
        for key in stored:
            known = working.get(key)
            if known is not None:
                assert _plain(known) == _plain(stored[key])
        anew = Indexes()
        for execution in working.executions.values():
            anew.replace(None, execution)
        assert _shape(working.indexes) == _shape(anew)

    async def check_tables(self, stored: dict[Key, Execution]) -> None:
        e, c, n = tables.executions.c, tables.changes.c, tables.execution_counts.c
        read = self.app.store.database.read
        counted = await read(
            lambda one: {
                (flow, status): total
                for flow, status, total in one.execute(
                    select(n.workflow_id, n.status, n.total).where(n.total > 0)
                )
            }
        )
        assert counted == Counter(
            (one.workflow.workflow_id, one.status.value) for one in stored.values()
        )
        newest = await read(
            lambda one: dict(
                map(
                    tuple,
                    one.execute(
                        select(c.execution_id, func.max(c.revision)).group_by(c.execution_id)
                    ),
                )
            )
        )
        assert newest == {key.execution_id: one.revision for key, one in stored.items()}
        head = await self.app.store.log.head()
        assert head == max(newest.values(), default=0)
        assert head == self.app.writer.head == working_head(self.app)
        await self.check_operations(stored)
        for one in stored.values():
            assert (one.status in TERMINAL) == (one.completed_at is not None)
        assert await read(lambda one: one.execute(select(func.count(e.spec))).scalar_one()) == len(
            stored
        )

    async def check_operations(self, stored: dict[Key, Execution]) -> None:
        """Only an attempt that runs has open operations, and it knows how many."""
        found = await self.app.store.database.read(
            lambda one: list(one.execute(select(tables.operations)).mappings())
        )
        going = Counter(
            (one.key, one.position, one.epoch)
            for one in map(operation_of, found)
            if one.reported.goes_on
        )
        assert going == Counter(
            {
                (key, position, lease.epoch): lease.open_operations
                for key, execution in stored.items()
                for position, _, lease in execution.leases()
                if lease.open_operations
            }
        )

    def teardown(self) -> None:
        self.do(self.stack.aclose())
        self.logs.__exit__(None, None, None)
        self.loop.close()
        self.directory.cleanup()


def working_head(app: App) -> int:
    return app.store.working.head


def _plain(execution: Execution) -> Execution:
    """Return *execution* without what a server adds in memory at its start."""
    return replace(
        execution,
        phases=tuple(
            phase
            if phase.lease is None
            else replace(phase, lease=replace(phase.lease, held_until=None))
            for phase in execution.phases
        ),
    )


def _shape(indexes: Indexes) -> object:
    """Return all that indexes tell, in a form that compares."""
    lanes = {
        # Equals are in the order in which they came, which nothing stored tells.
        (name, kind, flow): sorted((rank, repr(slot)) for rank, slot in lane.slots.ranked())
        for name, queue in indexes.ready._queues.items()
        for kind, shelf in queue.shelves.items()
        for flow, lane in shelf.lanes.items()
    }
    return (
        lanes,
        {name: sorted(map(repr, slots)) for name, slots in indexes.leased.items()},
        indexes.leases,
        indexes.trees,
        indexes.steps,
        +indexes.active,
        +indexes.admitted,
        {group: list(waiting) for group, waiting in indexes.waiting.items()},
        {key: indexes._due.rank(key) for key in indexes._due},
    )


TestQuick = pytest.mark.timeout(120)(Machine.TestCase)
TestQuick.settings = settings(
    max_examples=5,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Long(Machine):
    """The same, for longer."""


TestLong = pytest.mark.long(pytest.mark.timeout(600)(Long.TestCase))
TestLong.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
