"""Executions, workflows and reports as tests need them, with defaults for what does not matter."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from phaseline.domain import work
from phaseline.domain.advance import tick
from phaseline.domain.execution import Execution, Lease, Phase
from phaseline.domain.failure import Cancellation, Failure, FailureKind
from phaseline.domain.payload import Payload, text_payload
from phaseline.domain.recording import Recorded
from phaseline.domain.report import Completed, Failed, LeaseRequest, Outcome, Released, Report
from phaseline.domain.start import Place, StartRequest, start
from phaseline.domain.usage import ModelUsage
from phaseline.domain.work import Reported
from phaseline.domain.workflow import (
    ConcurrencyLimit,
    PhaseSpec,
    RetryPolicy,
    Workflow,
    WorkflowSpec,
)
from tests.support.clock import START as NOW

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=30)
#: Longest time until a worker of such a lease hears that it is to stop.
SILENCE = timedelta(seconds=5)
DONE = Completed(text_payload("done"))
BROKEN = Failure(code="BROKEN", message="it broke")
#: Retries at once and without end in sight, so that delays do not matter.
EAGER = RetryPolicy(max_attempts=100, initial_delay=timedelta())
ONCE = RetryPolicy(max_attempts=1)


def phase_spec(phase_id: str = "p0", **fields: object) -> PhaseSpec:
    """Return a phase of a workflow."""
    return PhaseSpec(**({"phase_id": phase_id, "handler": "work"} | fields))  # type: ignore[arg-type]


def workflow_spec(
    phases: int | Iterable[PhaseSpec] = 1, workflow_id: str = "flow", **fields: object
) -> WorkflowSpec:
    """Return a workflow of the given phases, or of so many in a row: "p0", "p1", ..."""
    if isinstance(phases, int):
        phases = [phase_spec(f"p{at}") for at in range(phases)]
    return WorkflowSpec(workflow_id, tuple(phases), **fields)  # type: ignore[arg-type]


def workflow(phases: int | Iterable[PhaseSpec] = 1, **fields: object) -> Workflow:
    """Return the first version of a workflow."""
    return Workflow("default", 1, workflow_spec(phases, **fields), NOW, NOW)  # type: ignore[arg-type]


def execution(
    phases: int | Iterable[PhaseSpec] = 1,
    *,
    request: Mapping[str, object] | None = None,
    admitted: bool = True,
    **fields: object,
) -> Execution:
    """Return a new execution of a workflow; *request* is what its caller says, all else default."""
    asked = StartRequest(**({"workflow_id": "flow"} | dict(request or {})))  # type: ignore[arg-type]
    made, _ = start(asked, workflow(phases, **fields), Place("default", "e1"), NOW)
    return made if made.admitted or not admitted else replace(made, admitted=True)


def start_request(workflow_id: str = "flow", **fields: object) -> StartRequest:
    """Return what a caller says that starts an execution."""
    return StartRequest(**({"workflow_id": workflow_id} | fields))  # type: ignore[arg-type]


def limit(max_running: int, key: str = "") -> ConcurrencyLimit:
    """Return a concurrency limit."""
    return ConcurrencyLimit(max_running, key)


def lease_request(request_id: str = "r1", worker_id: str = "w1", **fields: object) -> LeaseRequest:
    """Return what a worker asks for when it polls."""
    given: dict[str, object] = {"lease_duration": LEASE} | fields
    return LeaseRequest(worker_id, request_id, **given)  # type: ignore[arg-type]


def leased(
    execution: Execution, position: int = 0, now: datetime = NOW, worker_id: str = "w1"
) -> Execution:
    """Return *execution* with a phase leased."""
    return work.lease(execution, position, lease_request(worker_id=worker_id), "digest", now)


def reported(
    execution: Execution,
    outcome: Outcome | None = None,
    position: int = 0,
    now: datetime = NOW,
    *,
    epoch: int = 0,
    recorded: Mapping[str, Recorded] | None = None,
    wrong: str | None = None,
    jitter: float = 0.0,
    **news: object,
) -> Reported:
    """Return what a report of the lease of *epoch*, else of the last one, brings about."""
    return work.report(
        execution,
        position,
        epoch or execution.phases[position].epoch,
        Report("token", outcome=outcome, **news),  # type: ignore[arg-type]
        now,
        recorded=recorded or {},
        check_output=lambda _workflow, _output: wrong,
        jitter=jitter,
    )


def after(
    execution: Execution, outcome: Outcome | None = None, position: int = 0, now: datetime = NOW
) -> Execution:
    """Return *execution* after a report that is stored."""
    left = reported(execution, outcome, position, now).execution
    assert left is not None, "the report is stored"
    return left


def completed(execution: Execution, position: int = 0, now: datetime = NOW) -> Execution:
    """Return *execution* with a phase leased and completed."""
    return after(leased(execution, position, now), DONE, position, now)


def failed(
    execution: Execution, position: int = 0, now: datetime = NOW, failure: Failure = BROKEN
) -> Execution:
    """Return *execution* with a phase leased and its attempt failed."""
    return after(leased(execution, position, now), Failed(failure), position, now)


def ready(execution: Execution) -> Execution:
    """Return *execution* at the next moment that is due."""
    assert execution.due_at is not None, "something is due"
    return tick(execution, execution.due_at)


def broken(**fields: object) -> Failed:
    """Return the outcome of an attempt that failed."""
    return Failed(replace(BROKEN, **fields))


def stopped() -> Failed:
    """Return the outcome of a worker that stopped because it was told to."""
    return Failed(Failure(FailureKind.CANCELLED))


def released(delay: timedelta = timedelta()) -> Released:
    """Return the outcome of an attempt that is given back."""
    return Released(delay)


def cancellation(now: datetime = NOW) -> Cancellation:
    """Return who cancels."""
    return Cancellation(now, "alice", "enough")


def spent(cost_nanos: int | None = 1, model: str = "m", tokens: int = 10) -> tuple[ModelUsage, ...]:
    """Return what an attempt consumed of one model."""
    return (ModelUsage(model, input_tokens=tokens, cost_nanos=cost_nanos),)


def lease_of(execution: Execution, position: int = 0) -> Lease:
    """Return the lease of a running phase."""
    lease = execution.phases[position].lease
    assert lease is not None, "the phase is leased"
    return lease


def statuses(execution: Execution) -> tuple[str, ...]:
    """Return the status of the execution, then of its phases."""
    return (execution.status.value, *(phase.status.value for phase in execution.phases))


def phase(execution: Execution, position: int = 0) -> Phase:
    """Return a phase."""
    return execution.phases[position]


def payload(text: str = "data") -> Payload:
    """Return a text as a payload."""
    return text_payload(text)
