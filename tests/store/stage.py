"""A real store under a writer whose database fails when a test says so."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, text

from phaseline.app.changes import Commit
from phaseline.app.leasing import LeasePhases
from phaseline.app.ports import Committed, Decision, Needs, Remembered, View
from phaseline.domain.execution import Content, Execution, Operation
from phaseline.domain.ids import Key
from phaseline.domain.start import Place as Spot
from phaseline.domain.start import StartRequest, start
from phaseline.domain.workflow import Workflow
from phaseline.faults import Point
from phaseline.store.batch import Loaded
from phaseline.store.commit import Work
from phaseline.store.opening import Store, open_store
from phaseline.store.place import Place
from phaseline.store.pulse import Pulse
from phaseline.store.stale import Tidying
from phaseline.store.working import Working
from phaseline.store.writer import Backend, GroupWriter
from tests.support import make
from tests.support.clock import ManualClock, turns
from tests.support.databases import places

T = TypeVar("T")


class PlainEncoder:
    """`Encoder` whose bytes can be read."""

    def execution(self, execution: Execution) -> bytes:
        return f"{execution.key.execution_id} {execution.status} {execution.revision}".encode()

    def execution_extra(self, execution: Execution) -> bytes:
        return b"+" + str(len(execution.artifact_ids)).encode()

    def phase(self, execution: Execution, position: int) -> bytes:
        phase = execution.phases[position]
        return f"{phase.phase_id} {phase.status} {phase.revision}".encode()

    def operation(self, operation: Operation) -> bytes:
        return f"{operation.reported.operation_id} {operation.revision}".encode()


class Heard:
    """`Announcer` that keeps what it is told."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.fails = False

    def committed(self, commit: Commit) -> None:
        self.commits.append(commit)
        if self.fails:
            raise RuntimeError("nobody listens")

    def advance(self, head: int) -> None:
        raise AssertionError("nobody else commits")

    @property
    def revisions(self) -> list[int]:
        return [commit.revision for commit in self.commits]


class Gate:
    """`Points` that keep every commit waiting while the gate is shut."""

    def __init__(self) -> None:
        self.passed: list[Point] = []
        self._shut: dict[Point, asyncio.Event] = {}

    def shut(self, point: Point) -> None:
        self._shut[point] = asyncio.Event()

    def open(self, point: Point) -> None:
        self._shut.pop(point).set()

    def open_all(self) -> None:
        for point in list(self._shut):
            self.open(point)

    async def reached(self, point: Point) -> None:
        self.passed.append(point)
        if point in self._shut:
            await self._shut[point].wait()


class FailingBackend:
    """`Backend` that raises what it is given, before or after it did what it was asked."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.sets_no_more = backend.sets_no_more
        self.works: list[Work] = []
        self.loads: list[Needs] = []
        self.before: list[Exception] = []
        self.after: list[Exception] = []
        self.on_place: list[Exception] = []
        self.on_leaving: list[Exception] = []

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        async with self._backend.turn():
            yield
        if self.on_leaving:
            raise self.on_leaving.pop(0)

    async def load(self, needs: Needs, working: Working, loaded: Loaded) -> None:
        self.loads.append(needs)
        await self._backend.load(needs, working, loaded)

    async def apply(self, work: Work) -> None:
        self.works.append(work)
        if self.before:
            raise self.before.pop(0)
        await self._backend.apply(work)
        if self.after:
            raise self.after.pop(0)

    async def place(self) -> Place:
        if self.on_place:
            raise self.on_place.pop(0)
        return await self._backend.place()

    async def write(self, job: Callable[[Connection], T]) -> T:
        return await self._backend.write(job)


class Put(msgspec.Struct, frozen=True):
    """A command that stores what it is given."""

    executions: tuple[Execution, ...] = ()
    renewals: tuple[Execution, ...] = ()
    contents: tuple[tuple[Key, Content], ...] = ()
    workflows: tuple[Workflow, ...] = ()
    remembered: tuple[Remembered, ...] = ()
    answer: str = "done"

    def needs(self) -> Needs:
        return Needs()

    def decide(self, view: View) -> Decision[str]:
        return Decision(
            self.answer,
            executions=self.executions,
            renewals=self.renewals,
            contents=self.contents,
            workflows=self.workflows,
            remembered=self.remembered,
        )


class Raising(msgspec.Struct, frozen=True):
    """A command, standing or not, that raises."""

    error: Exception
    workspace_id: str = "default"
    request: Any = make.lease_request("raising")

    def needs(self) -> Needs:
        return Needs()

    def decide(self, view: View) -> Decision[str]:
        raise self.error


class Stage:
    """A store, its writer, and shorthands for what tests do with them."""

    def __init__(self, store: Store) -> None:
        self.store, self.working = store, store.working
        self.clock, self.heard, self.gate = ManualClock(), Heard(), Gate()
        self.backend = FailingBackend(store.backend)
        encoder = PlainEncoder()
        self.writer = GroupWriter(
            self.backend,
            store.working,
            self.heard,
            encoder,
            self.clock,
            tidy=Tidying(store.working, encoder),
            points=self.gate,
            pulse=Pulse(self.clock),
        )
        if store.neighbours is not None:
            store.neighbours.attach(self.heard, self.writer.wake)
        self.workflow = make.workflow(2)

    def execution(self, execution_id: str, **fields: object) -> Execution:
        """Return a new execution of the workflow."""
        request = StartRequest("flow", **fields)  # type: ignore[arg-type]
        spot = Spot("default", execution_id)
        return start(request, self.workflow, spot, self.clock.now())[0]

    async def apply_workflow(self, workflow: Workflow | None = None) -> None:
        """Store the workflow that executions are of."""
        self.workflow = workflow or self.workflow
        await self.post(Put(workflows=(self.workflow,)))

    async def post(self, command: Any) -> Committed[Any]:
        """Post a command and wait for its answer."""
        found: Committed[Any] = await self.writer.post(command)
        return found

    async def start(self, *execution_ids: str, **fields: object) -> Committed[Any]:
        """Store new executions."""
        return await self.post(Put(tuple(self.execution(each, **fields) for each in execution_ids)))

    def stand(self, request_id: str = "poll", **fields: object) -> Any:
        """Wait for a phase, as a worker does."""
        request = make.lease_request(request_id, **fields)  # type: ignore[arg-type]
        return self.writer.stand(LeasePhases("default", request))

    def current(self, execution_id: str) -> Execution:
        """Return an execution as memory has it."""
        found = self.working.get(Key("default", execution_id))
        assert found is not None
        return found

    async def stored(self) -> dict[str, int]:
        """Return the revision of each execution in the tables."""
        return {row[0]: row[1] for row in await self.rows("execution_id, revision", "executions")}

    async def rows(self, columns: str, table: str) -> list[Any]:
        """Return rows of a table."""
        query = text(f"SELECT {columns} FROM {table} ORDER BY 1")
        return await self.store.database.read(lambda c: list(c.execute(query)))


@asynccontextmanager
async def staged(path: Path, *, workflow: Workflow | None = None) -> AsyncIterator[Stage]:
    """Open the database at *path* with a writer that runs, for the block."""
    stage = Stage(await open_store(await places().at(path)))
    running = asyncio.create_task(stage.writer.run())
    try:
        if stage.store.place.commits == 0:
            await stage.apply_workflow(workflow)
            stage.backend.works.clear()
            stage.gate.passed.clear()
        yield stage
    finally:
        stage.gate.open_all()
        stage.writer.close()
        await running
        await stage.store.close()


async def until(condition: Callable[[], object]) -> None:
    """Return once *condition* holds; the test's time limit is the bound."""
    while not condition():
        await turns(1)
