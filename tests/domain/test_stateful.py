"""Random commands and clock moves: what must hold of an execution whatever happens to it."""

from collections.abc import Callable
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from phaseline.domain.advance import hold_leases, settle, tick
from phaseline.domain.control import cancel, pause, resume, retry
from phaseline.domain.errors import FailedPrecondition
from phaseline.domain.execution import Execution
from phaseline.domain.lifecycle import (
    EXECUTION_TRANSITIONS,
    PHASE_TRANSITIONS,
    ExecutionStatus,
    ExecutionTrigger,
    PhaseStatus,
    PhaseTrigger,
)
from phaseline.domain.purge import purge
from phaseline.domain.recording import Recorded
from phaseline.domain.report import (
    Completed,
    DirectiveAction,
    OperationReport,
    Outcome,
    Report,
)
from phaseline.domain.timing import lease_end
from phaseline.domain.usage import NO_USAGE, ModelUsage, Usage, total
from phaseline.domain.work import Reported, can_lease, lease, report
from phaseline.domain.workflow import PhaseSpec, RetryPolicy
from tests.support import make
from tests.support.clock import START
from tests.support.make import MINUTE, SECOND

SPANS = st.sampled_from([timedelta(), SECOND, 5 * SECOND, 29 * SECOND, 30 * SECOND, 2 * MINUTE])
POLICY = RetryPolicy(max_attempts=2, initial_delay=3 * SECOND)
GRAPHS: list[list[PhaseSpec]] = [
    [make.phase_spec("a", retry_policy=POLICY)],
    [make.phase_spec("a"), make.phase_spec("b", retry_policy=POLICY, timeout=MINUTE)],
    [
        make.phase_spec("a", retry_policy=make.ONCE),
        make.phase_spec("b", parallel=True, timeout=20 * SECOND),
        make.phase_spec("c", depends_on=("a",)),
        make.phase_spec("d", depends_on=("b", "c"), retry_policy=POLICY),
    ],
]
ENDS: list[Outcome] = [
    make.DONE,
    Completed(),
    make.broken(),
    make.broken(retryable=False),
    make.stopped(),
    make.released(),
    make.released(SECOND),
    make.released(MINUTE),
]
MODELS = st.builds(
    ModelUsage,
    st.sampled_from(["m1", "m2"]),
    st.integers(0, 5),
    cost_nanos=st.none() | st.integers(0, 5),
)


class Lives(RuleBasedStateMachine):
    """One execution, told of everything that can happen to it."""

    execution: Execution
    now: datetime

    @initialize(graph=st.sampled_from(GRAPHS), run_timeout=st.none() | SPANS.filter(bool))
    def start(self, graph: list[PhaseSpec], run_timeout: timedelta | None) -> None:
        self.now = START
        self.execution = make.execution(graph, run_timeout=run_timeout)
        #: What each lease has reported last, by position and epoch.
        self.spent: dict[tuple[int, int], Usage] = {}
        self.operations: dict[tuple[int, int], dict[str, Recorded]] = {}
        self.completed: set[int] = set()

    @rule(by=SPANS)
    def time_passes(self, by: timedelta) -> None:
        self.now += by
        self._becomes(tick(self.execution, self.now))
        assert self.execution.due_at is None or self.execution.due_at > self.now

    @rule(by=SPANS)
    def a_server_restarts(self, by: timedelta) -> None:
        self.now += by
        self.execution = hold_leases(self.execution, self.now)
        for _, _, held in self.execution.leases():
            assert lease_end(held) >= self.now + held.duration

    @rule(data=st.data())
    def a_worker_leases(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(self.execution.phases) - 1))
        before = self.execution.phases[position]

        def act() -> Execution:
            return lease(self.execution, position, make.lease_request(), "d", self.now)

        if can_lease(self.execution, position):
            self._becomes(act())
            after = self.execution.phases[position]
            assert (after.epoch, after.attempt) == (before.epoch + 1, before.attempt + 1)
        else:
            self._refused(act)

    @rule(
        data=st.data(),
        outcome=st.none() | st.sampled_from(ENDS),
        usage=st.none() | st.lists(MODELS, max_size=3).map(tuple),
        names=st.lists(st.sampled_from(["1", "2", "3"]), max_size=3),
        jitter=st.floats(0, 0.9),
    )
    def a_worker_reports(
        self,
        data: st.DataObject,
        outcome: Outcome | None,
        usage: tuple[ModelUsage, ...] | None,
        names: list[str],
        jitter: float,
    ) -> None:
        position = data.draw(st.integers(0, len(self.execution.phases) - 1))
        phase = self.execution.phases[position]
        epoch = data.draw(st.integers(max(phase.epoch - 1, 1), phase.epoch + 1))
        key = (position, epoch)
        known = self.operations.get(key, {})
        told = report(
            self.execution,
            position,
            epoch,
            Report(
                "token",
                operations=tuple(OperationReport(name, "model") for name in names),
                usage_by_model=usage,
                outcome=outcome,
            ),
            self.now,
            recorded={name: known[name] for name in names if name in known},
            check_output=lambda _workflow, _output: None,
            jitter=jitter,
        )
        is_live = phase.lease is not None and phase.lease.epoch == epoch
        is_live = is_live and phase.lease is not None and lease_end(phase.lease) > self.now
        self._check_directive(told, is_live=is_live, is_over=outcome is not None)
        if is_live:
            if usage is not None:
                self.spent[key] = total(usage)
            recorded = self.operations.setdefault(key, {})
            for operation in told.operations:
                told_of = operation.reported
                recorded[told_of.operation_id] = Recorded.of(operation.ordinal, told_of)
        if told.execution is not None:
            self._becomes(told.execution, only_renewed=told.only_renewed)

    @rule(grace=SPANS)
    def a_caller_cancels(self, grace: timedelta) -> None:
        self._becomes(cancel(self.execution, make.cancellation(self.now), grace))
        assert self.execution.done or self.execution.stopping

    @rule()
    def a_caller_pauses(self) -> None:
        self._tries(lambda: pause(self.execution, self.now))

    @rule()
    def a_caller_resumes(self) -> None:
        self._tries(lambda: resume(self.execution, self.now))

    @precondition(lambda self: self.execution.done)
    @rule()
    def a_caller_retries(self) -> None:
        self._tries(lambda: retry(self.execution, self.now), is_retry=True)

    @rule()
    def a_caller_looks_at_a_purged_copy(self) -> None:
        if not self.execution.done:
            return self._refused(lambda: purge(self.execution, self.now))
        purged = purge(self.execution, self.now)
        assert (purged.usage, purged.status) == (self.execution.usage, self.execution.status)
        return None

    @invariant()
    def sums_are_those_of_the_parts(self) -> None:
        one, phases = self.execution, self.execution.phases
        usage = sum(self.spent.values(), NO_USAGE)
        assert one.usage == usage == sum((phase.usage for phase in phases), NO_USAGE)
        assert total(one.usage_by_model).total_tokens == usage.total_tokens
        assert total(one.usage_by_model).cost_complete == usage.cost_complete
        assert one.completed_phases == sum(phase.status == "completed" for phase in phases)
        assert sum(phase.operation_count for phase in phases) == sum(
            map(len, self.operations.values())
        )
        assert one.model_call_count == sum(map(len, self.operations.values()))

    @invariant()
    def every_operation_has_a_place_of_its_own(self) -> None:
        places = [each.ordinal for known in self.operations.values() for each in known.values()]
        assert sorted(places) == list(range(len(places)))

    @invariant()
    def a_phase_is_leased_exactly_while_it_runs(self) -> None:
        for phase in self.execution.phases:
            assert (phase.lease is not None) == (phase.status == "running")
            assert phase.lease is None or phase.lease.epoch == phase.epoch
            assert phase.done == (phase.completed_at is not None)
            assert phase.attempt - phase.attempts_forgiven >= 0
            assert (phase.next_attempt_at is None) or phase.status == "pending"

    @invariant()
    def nothing_runs_or_waits_once_it_has_ended(self) -> None:
        one = self.execution
        assert one.done == (one.completed_at is not None)
        if one.done:
            assert all(phase.done for phase in one.phases)
            assert (one.due_at, one.current_phase) == (None, "")
        if one.status == "cancelling":
            assert one.running_phases
            assert all(phase.done or phase.lease for phase in one.phases)

    @invariant()
    def an_active_execution_can_go_on(self) -> None:
        """Whatever is not over is running, can be leased, waits for a time, or is paused."""
        one = self.execution
        if one.done or one.status == "paused":
            return
        leasable = any(can_lease(one, at) for at in range(len(one.phases)))
        assert leasable or one.running_phases or one.due_at is not None

    @invariant()
    def it_is_settled(self) -> None:
        if not self.execution.done:
            assert settle(self.execution, self.execution.updated_at) == self.execution

    def _check_directive(self, told: Reported, *, is_live: bool, is_over: bool) -> None:
        action = told.directive.action
        if not is_live:
            assert told.directive.replayed or action is DirectiveAction.ABANDON
            assert (told.operations, told.output) == ((), None)
        elif is_over:
            assert (action, told.directive.replayed) == (DirectiveAction.ACCEPTED, False)
        else:
            assert action in (DirectiveAction.CONTINUE, DirectiveAction.CANCEL)
            assert told.directive.time_to_live is not None
            assert told.directive.time_to_live > timedelta()

    def _tries(self, act: Callable[[], Execution], *, is_retry: bool = False) -> None:
        try:
            after = act()
        except FailedPrecondition:
            return self._refused(act)
        self._becomes(after, is_retry=is_retry)
        return None

    def _refused(self, act: Callable[[], Execution]) -> None:
        before = repr(self.execution)
        try:
            act()
        except FailedPrecondition:
            assert repr(self.execution) == before, "a refused command leaves no trace"
        else:
            raise AssertionError("it was refused a moment ago")

    def _becomes(
        self, after: Execution, *, is_retry: bool = False, only_renewed: bool = False
    ) -> None:
        before, self.execution = self.execution, after
        assert after.status in _reached(EXECUTION_TRANSITIONS, before.status, is_retry)
        for old, new in zip(before.phases, after.phases, strict=True):
            assert new.status in _reached(PHASE_TRANSITIONS, old.status, is_retry)
            assert new.epoch >= old.epoch
        if before.done and not is_retry:
            assert after.status is before.status, "terminal stays terminal"
        if only_renewed:
            assert after.updated_at == before.updated_at
            assert [phase.status for phase in after.phases] == [
                phase.status for phase in before.phases
            ]
        if not is_retry:
            done = {at for at, phase in enumerate(after.phases) if phase.status == "completed"}
            assert self.completed <= done, "what is completed stays completed"
            self.completed = done


def _reached(
    table: object, status: ExecutionStatus | PhaseStatus, is_retry: bool
) -> set[ExecutionStatus | PhaseStatus]:
    """Return what a status can become in one command, which may make several moves."""
    assert isinstance(table, dict)
    retries = (ExecutionTrigger.RETRY, PhaseTrigger.RETRY)
    found: set[ExecutionStatus | PhaseStatus] = set()
    coming = {status}
    while coming:
        found |= coming
        coming = {
            target
            for (source, trigger), target in table.items()
            if source in coming and (is_retry or trigger not in retries)
        } - found
    return found


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
