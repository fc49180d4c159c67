"""The use-cases over a real SQLite store, on a clock that moves only when a test says so."""

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path

from msgspec.structs import replace

from phaseline.app.artifacts import Artifacts
from phaseline.app.assignments import Assigned, Assignments
from phaseline.app.batches import Batches
from phaseline.app.caller import Caller
from phaseline.app.changes import Commit
from phaseline.app.controlling import Controlled, Tick
from phaseline.app.controls import Controls
from phaseline.app.executions import Executions
from phaseline.app.limits import Limits
from phaseline.app.ports import Committed
from phaseline.app.prices import Price, PriceList
from phaseline.app.starting import Started
from phaseline.app.tokens import Signer
from phaseline.app.trees import Trees
from phaseline.app.work import Reported, Work
from phaseline.app.workflows import Workflows
from phaseline.domain.execution import Artifact, Execution
from phaseline.domain.ids import Key
from phaseline.domain.report import Directive, LeaseRequest, Outcome, Report
from phaseline.domain.start import StartRequest
from phaseline.domain.workflow import PhaseSpec, WorkflowSpec
from phaseline.faults import Point
from phaseline.store.opening import Store, open_store
from phaseline.store.writer import GroupWriter
from phaseline.wire.encoder import Encoder
from tests.support import make
from tests.support.clock import ManualClock
from tests.support.databases import places

AT_ONCE = timedelta()
# Shared by all, so that a poll after a restart is another than one before it.
_REQUESTS = count(1)


class Counted:
    """`Entropy` that can be foreseen."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def bits(self) -> int:
        return next(self._numbers)

    def fraction(self) -> float:
        return 0.0


class Heard:
    """Keeps every commit that it is told of, and knows how far they have come."""

    def __init__(self) -> None:
        self.head = 0
        self.commits: list[Commit] = []
        self._came = asyncio.Event()

    def committed(self, commit: Commit) -> None:
        self.head = commit.revision
        self.commits.append(commit)
        self._tell()

    def advance(self, head: int) -> None:
        self.head = head
        self._tell()

    def _tell(self) -> None:
        came, self._came = self._came, asyncio.Event()
        came.set()

    async def changed(self, key: Key, *, after: int) -> None:
        while not any(
            entry.key == key and entry.revision > after
            for commit in self.commits
            for entry in commit.entries
        ):
            await self._came.wait()


class Gate:
    """`Points` at which commits wait, while it is shut."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self.is_waited_at = asyncio.Event()

    def shut(self) -> None:
        """Let the next commit wait just before it is made."""
        self._open.clear()
        self.is_waited_at.clear()

    def open(self) -> None:
        """Let commits be made."""
        self._open.set()

    async def reached(self, point: Point) -> None:
        if point is Point.COMMIT_BEFORE:
            self.is_waited_at.set()
            await self._open.wait()


class App:
    """All use-cases of one server, and shorthands for what tests do with them."""

    def __init__(
        self, store: Store, clock: ManualClock, limits: Limits, prices: dict[str, Price]
    ) -> None:
        self.store, self.clock, self.limits = store, clock, limits
        self.caller = Caller()
        self.heard = Heard()
        self.entropy = Counted()
        self.gate = Gate()
        self.writer: GroupWriter = store.writer(self.heard, Encoder(), clock, self.gate)
        signer, reads = Signer(store.secret), store.reads
        self.executions = Executions(
            self.writer,
            reads,
            self.heard,
            clock=clock,
            entropy=self.entropy,
            signer=signer,
            limits=limits,
        )
        self.batches = Batches(
            self.writer, clock=clock, entropy=self.entropy, signer=signer, limits=limits
        )
        self.controls = Controls(self.writer, limits=limits)
        self.trees = Trees(reads)
        self.artifacts = Artifacts(reads, signer=signer)
        self.workflows = Workflows(self.writer, reads, signer=signer, limits=limits)
        self.work = Work(
            self.writer,
            reads,
            entropy=self.entropy,
            signer=signer,
            prices=PriceList(prices),
            assignments=Assignments(reads, clock=clock, signer=signer, limits=limits),
            limits=limits,
        )

    async def apply(self, phases: int | list[PhaseSpec] = 1, **fields: object) -> WorkflowSpec:
        """Store a workflow."""
        spec = make.workflow_spec(phases, **fields)  # type: ignore[arg-type]
        await self.workflows.apply(self.caller, spec)
        return spec

    async def start(
        self, execution_id: str = "", *, digest: bytes = b"", **fields: object
    ) -> Started:
        """Start an execution of "flow"."""
        given = {"workflow_id": "flow", "execution_id": execution_id} | fields
        return await self.executions.execute(self.caller, StartRequest(**given), digest)  # type: ignore[arg-type]

    async def lease(
        self, most: int = 1, *, request_id: str = "", wait: timedelta = AT_ONCE, **fields: object
    ) -> tuple[Assigned, ...]:
        """Lease what is ready, each time by a request of its own unless one is named."""
        name = request_id or f"lease-{next(_REQUESTS)}"
        request = make.lease_request(name, max_phases=most, wait=wait, **fields)  # type: ignore[arg-type]
        return tuple(await self.work.lease(self.caller, request, wait))

    async def lease_one(self, **fields: object) -> Assigned:
        """Lease one phase, which must be there."""
        (assigned,) = await self.lease(**fields)  # type: ignore[arg-type]
        return assigned

    async def report(
        self, assigned: Assigned | str, outcome: Outcome | None = None, **news: object
    ) -> Directive:
        """Report on a lease."""
        told = await self.tell(reporting(assigned, outcome, **news))
        (directive,) = told.directives
        return directive

    async def tell(self, *reports: Report, more: LeaseRequest | None = None) -> Reported:
        """Report on several leases, and ask for more."""
        return await self.work.report(self.caller, reports, more)

    async def run(self, outcome: Outcome = make.DONE, **news: object) -> Assigned:
        """Lease a phase and end it."""
        assigned = await self.lease_one()
        await self.report(assigned, outcome, **news)
        return assigned

    async def get(self, execution_id: str) -> Execution:
        """Return an execution with its phases, as it is committed."""
        return (await self.executions.get(self.caller, execution_id)).execution

    async def statuses(self, execution_id: str) -> tuple[str, ...]:
        """Return the status of an execution, then of its phases."""
        return make.statuses(await self.get(execution_id))

    async def cancel(self, execution_id: str, grace: timedelta = make.LEASE) -> Execution:
        """Cancel an execution, and return it."""
        return _acted(
            await self.controls.cancel(self.caller, execution_id, reason="enough", grace=grace)
        )

    async def artifact(self, artifact_id: str) -> tuple[Artifact, bytes | None]:
        """Return an artifact with its bytes."""
        return await self.artifacts.get(self.caller, artifact_id)

    async def pause(self, execution_id: str) -> Execution:
        """Pause an execution, and return it."""
        return _acted(await self.controls.pause(self.caller, execution_id))

    async def resume(self, execution_id: str) -> Execution:
        """Resume an execution, and return it."""
        return _acted(await self.controls.resume(self.caller, execution_id))

    async def retry(self, execution_id: str, **fields: object) -> Execution:
        """Retry an execution, and return it."""
        return _acted(await self.controls.retry(self.caller, execution_id, **fields))  # type: ignore[arg-type]

    async def purge(self, execution_id: str) -> Execution:
        """Purge an execution, and return it."""
        return _acted(await self.controls.purge(self.caller, execution_id))

    async def passes(self, by: timedelta) -> None:
        """Let time pass, and act."""
        await self.clock.advance(by)
        while (await self.writer.post(Tick(self.entropy.fraction))).answer:
            continue


def _acted(controlled: Committed[Controlled]) -> Execution:
    assert controlled.answer.execution is not None, "there is such an execution"
    return controlled.answer.execution


def reporting(assigned: Assigned | str, outcome: Outcome | None = None, **news: object) -> Report:
    """Return a report on a lease."""
    token = assigned if isinstance(assigned, str) else assigned.lease_token
    return replace(Report(token, outcome=outcome), **news)


async def new_database(path: Path) -> None:
    """Put an empty database at *path*: a copy, since migrating takes longer than most tests."""
    template = _template()
    if _is_missing(template):
        await (await open_store(str(template))).close()
    shutil.copy(template, path)


def _is_missing(path: Path) -> bool:
    return not path.exists()


@cache
def _template() -> Path:
    directory = tempfile.TemporaryDirectory(prefix="phaseline-")
    atexit.register(directory.cleanup)
    return Path(directory.name) / "empty.db"


async def _place_of(path: Path) -> str:
    if not places().are_shared and _is_missing(path):
        await new_database(path)
    return await places().at(path)


@asynccontextmanager
async def opened(
    path: Path | str,
    clock: ManualClock | None = None,
    limits: Limits | None = None,
    prices: dict[str, Price] | None = None,
) -> AsyncIterator[App]:
    """Open the database at *path*, or of a URL, and run the use-cases over it, for the block."""
    store = await open_store(path if isinstance(path, str) else await _place_of(path))
    app = App(store, clock or ManualClock(), limits or Limits(), prices or {})
    keeping_up = asyncio.create_task(store.keep_up())
    writing = asyncio.create_task(app.writer.run())
    try:
        yield app
    finally:
        app.writer.close()
        await writing
        keeping_up.cancel()
        await asyncio.gather(keeping_up, return_exceptions=True)
        await store.close()
