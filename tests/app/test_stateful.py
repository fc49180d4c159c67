"""Random commands, clock moves and restarts over the real store, against a model made of dicts."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from phaseline.app.limits import Limits
from phaseline.domain.errors import PhaselineError
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.domain.report import Outcome
from phaseline.domain.workflow import RetryPolicy
from phaseline.store import working
from phaseline.store.load import read_active
from phaseline.store.working import Working
from tests.support import make
from tests.support.app import App, opened
from tests.support.clock import ManualClock
from tests.support.databases import places
from tests.support.make import SECOND
from tests.support.oracle import Oracle, Refused

OUTCOMES: dict[str, Outcome] = {
    "completed": make.DONE,
    "failed": make.broken(),
    "released": make.released(),
}
POLICY = RetryPolicy(max_attempts=2, initial_delay=4 * SECOND)
NAMES = [f"e{number}" for number in range(6)]
CONTROLS = ["start", "pause", "resume", "retry", "purge"]
ANY_NAME = st.sampled_from(NAMES)
MAX_ACTIVE = 4


@pytest.fixture(autouse=True)
def _few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what has ended leave memory soon."""
    monkeypatch.setattr(working, "_KEPT_ENDED", 1)


class Stored(RuleBasedStateMachine):
    """A server and the model of it, told the same."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory(prefix="phaseline-")
        self.clock = ManualClock()
        self.stack = AsyncExitStack()
        self.app: App
        #: Every lease that was ever given: its token by name, position and epoch.
        self.tokens: dict[tuple[str, int, int], str] = {}

    @initialize(phases=st.integers(1, 3), max_running=st.sampled_from([None, 1, 2]))
    def open(self, phases: int, max_running: int | None) -> None:
        self.oracle = Oracle(
            phases=phases,
            max_attempts=2,
            delay=4.0,
            max_running=max_running,
            max_active=MAX_ACTIVE,
        )
        self._run(self._open())
        specs = [make.phase_spec(f"p{at}", retry_policy=POLICY) for at in range(phases)]
        limit = None if max_running is None else make.limit(max_running)
        self._run(self.app.apply(specs, concurrency=limit))

    @rule(name=ANY_NAME, parent=st.just("") | ANY_NAME, request_id=st.sampled_from(["", "r1"]))
    def start(self, name: str, parent: str, request_id: str) -> None:
        async def act() -> str:
            started = await self.app.start(name, parent_execution_id=parent, request_id=request_id)
            return started.execution_id

        self._both(lambda: self.oracle.start(name, parent, request_id), act)

    @rule(most=st.integers(1, 3))
    def lease(self, most: int) -> None:
        leasable = self.oracle.leasable()
        given = self._run(self.app.lease(most))
        assert len(given) == min(most, len(leasable))
        for assigned in given:
            name = assigned.execution.spec.execution_id
            epoch = self.oracle.lease(name, assigned.position)
            assert assigned.fencing_token == epoch
            self.tokens[name, assigned.position, epoch] = assigned.lease_token

    @precondition(lambda self: self.tokens)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(["", *OUTCOMES]),
        cost=st.none() | st.integers(0, 9),
    )
    def report(self, data: st.DataObject, outcome: str, cost: int | None) -> None:
        name, at, epoch = data.draw(st.sampled_from(sorted(self.tokens)))
        told = self.oracle.report(name, at, epoch, outcome, cost)
        usage = None if cost is None else make.spent(cost)
        directive = self._run(
            self.app.report(
                self.tokens[name, at, epoch], OUTCOMES.get(outcome), usage_by_model=usage
            )
        )
        assert directive.action == told

    @rule(name=ANY_NAME, grace=st.sampled_from([0, 5, 60]))
    def cancel(self, name: str, grace: int) -> None:
        self._both(
            lambda: self.oracle.cancel(name, grace), lambda: self.app.cancel(name, grace * SECOND)
        )

    @rule(name=ANY_NAME)
    def pause(self, name: str) -> None:
        self._both(lambda: self.oracle.pause(name), lambda: self.app.pause(name))

    @rule(name=ANY_NAME)
    def resume(self, name: str) -> None:
        self._both(lambda: self.oracle.resume(name), lambda: self.app.resume(name))

    @rule(name=ANY_NAME)
    def retry(self, name: str) -> None:
        self._both(lambda: self.oracle.retry(name), lambda: self.app.retry(name))

    @rule(name=ANY_NAME)
    def purge(self, name: str) -> None:
        self._both(lambda: self.oracle.purge(name), lambda: self.app.purge(name))

    @rule(asked=st.lists(st.tuples(st.sampled_from(CONTROLS), ANY_NAME), min_size=2, max_size=5))
    def several_come_at_once(self, asked: list[tuple[str, str]]) -> None:
        """One commit takes all of them, each of which sees those before it."""
        told = [_reason_of(getattr(self.oracle, what), name) for what, name in asked]

        async def act() -> list[str]:
            return await asyncio.gather(*(ask(what, name) for what, name in asked))

        async def ask(what: str, name: str) -> str:
            try:
                await getattr(self.app, what)(name)
            except PhaselineError as error:
                return error.reason
            return ""

        assert self._run(act()) == told

    @rule(seconds=st.sampled_from([0, 1, 4, 8, 29, 30, 100]))
    def time_passes(self, seconds: int) -> None:
        self.oracle.passes(seconds)
        self._run(self.app.passes(seconds * SECOND))

    @rule(seconds=st.sampled_from([0, 5, 3600]))
    def the_server_restarts(self, seconds: int) -> None:
        self._run(self.stack.aclose())
        self._run(self.clock.advance(seconds * SECOND))
        self.oracle.now += seconds
        self.oracle.restart()
        self._run(self._open())
        self.time_passes(0)

    @invariant()
    def everything_is_as_in_the_model(self) -> None:
        for name, modelled in self.oracle.executions.items():
            stored = self._run(self.app.get(name))
            kept = self.app.store.working.get(stored.key)
            assert kept is None or kept.revision == stored.revision, "memory is as the tables are"
            assert make.statuses(stored) == self.oracle.show(name)
            spent = (stored.usage.cost_nanos, stored.tree_usage.cost_nanos)
            assert spent == self.oracle.cost(name)
            assert stored.is_purged == modelled.purged
            assert [phase.epoch for phase in stored.phases] == [
                phase.epoch for phase in modelled.phases
            ]

    @invariant()
    def memory_has_whose_budgets_count(self) -> None:
        _check_above(self.app.store.working)

    def teardown(self) -> None:
        self._run(self.stack.aclose())
        self.runner.close()
        places().give_back()
        self.directory.cleanup()

    async def _open(self) -> None:
        self.stack = AsyncExitStack()
        self.app = await self._opened()

    async def _opened(self) -> App:
        path = Path(self.directory.name) / "phaseline.db"
        limits = Limits(active_executions=MAX_ACTIVE)
        return await self.stack.enter_async_context(opened(path, self.clock, limits))

    def _both(self, model: Callable[[], object], act: Callable[[], Awaitable[object]]) -> None:
        """Do the same to both: both do it, or both refuse for the same reason."""
        head = self._run(self.app.store.log.head())
        try:
            expected = model()
        except Refused as refused:
            reason = str(refused)
        else:
            answer = self._run(_awaited(act))
            assert expected is None or answer == expected
            return
        with pytest.raises(PhaselineError) as caught:
            self._run(_awaited(act))
        assert caught.value.reason == reason
        assert self._run(self.app.store.log.head()) == head, "a refused command leaves no trace"

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)


def _reason_of(model: Callable[[str], object], name: str) -> str:
    """Return why the model refuses a command; empty if it does not."""
    try:
        model(name)
    except Refused as refused:
        return str(refused)
    return ""


async def _awaited(act: Callable[[], Awaitable[object]]) -> object:
    return await act()


class Longer(Stored):
    """The same, for longer."""


class Replicated(Stored):
    """Servers that share a database, each told a part of it: together they are as one."""

    async def _open(self) -> None:
        self.stack = AsyncExitStack()
        self.apps = [await self._opened() for _ in range(3)]
        self.app = self.apps[0]

    @rule(which=st.integers(0, 2))
    def the_next_calls_go_to(self, which: int) -> None:
        self.app = self.apps[which]

    @invariant()
    def memory_is_as_it_would_be_after_a_restart(self) -> None:
        for app in self.apps:
            self._run(app.store.log.head())
            self._run(_check_memory(app))


class ReplicatedLonger(Replicated):
    """The same, for longer."""


async def _check_memory(app: App) -> None:
    """Check that memory holds what the tables do, and finds it by the same indexes."""
    known, read = app.store.working, Working()
    for execution in await app.store.database.read(lambda c: read_active(c, read)):
        read.adopt(execution)
    assert _unheld(known) == _unheld(read)
    ours, theirs = known.indexes, read.indexes
    assert +ours.active == +theirs.active
    assert +ours.leases == +theirs.leases
    for name in ("leased", "trees", "steps", "admitted"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert {group: set(line) for group, line in ours.waiting.items()} == {
        group: set(line) for group, line in theirs.waiting.items()
    }
    _check_above(known)
    anything = make.lease_request("look")
    assert set(ours.ready.take("default", anything)) == set(theirs.ready.take("default", anything))


def _check_above(known: Working) -> None:
    """Check that memory has all who are above active executions, also those that have ended."""
    for key, execution in known.executions.items():
        for ancestor in execution.spec.ancestor_execution_ids:
            assert known.get(Key(key.workspace_id, ancestor)) is not None


def _unheld(working: Working) -> dict[Key, Execution]:
    """Return what is active without how long leases are held, of which not all is stored."""
    found = {}
    for key, execution in working.executions.items():
        for position, phase, lease in list(execution.leases()):
            bare = replace(phase, lease=replace(lease, held_until=None))
            execution = execution.with_phase(position, bare)
        found[key] = execution
    return found


TestStored = pytest.mark.timeout(60)(Stored.TestCase)
TestStored.settings = settings(max_examples=10, stateful_step_count=30, deadline=None)
TestLonger = pytest.mark.long(pytest.mark.timeout(1200)(Longer.TestCase))
TestLonger.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)

_ON_POSTGRESQL = pytest.mark.usefixtures("on_postgresql")
TestReplicated = _ON_POSTGRESQL(pytest.mark.timeout(60)(Replicated.TestCase))
TestReplicated.settings = settings(max_examples=3, stateful_step_count=25, deadline=None)
TestReplicatedLonger = _ON_POSTGRESQL(
    pytest.mark.long(pytest.mark.timeout(1200)(ReplicatedLonger.TestCase))
)
TestReplicatedLonger.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
