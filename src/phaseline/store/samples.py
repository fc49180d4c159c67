"""What real executions look like: made by the domain, with the variety that lists are about."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

import msgspec
from msgspec.structs import replace

from phaseline.app.ports import Slot
from phaseline.domain import control, work
from phaseline.domain.advance import summed
from phaseline.domain.execution import Execution, Phase
from phaseline.domain.failure import Cancellation, Failure
from phaseline.domain.payload import Payload, json_payload
from phaseline.domain.report import Completed, Failed, LeaseRequest, Outcome, Report
from phaseline.domain.start import Place, StartRequest, start
from phaseline.domain.usage import ModelUsage, total
from phaseline.domain.workflow import PhaseSpec, Workflow, WorkflowSpec

PHASES = 3

_STEP = timedelta(milliseconds=700)
_REQUEST = LeaseRequest("filler", "filling")
OUTPUT = json_payload(b'{"summary": "all is well", "files": 12}')
_FAILED = Failed(Failure(code="EXIT_CODE", message="exited with 1", retryable=False))


class Variety(msgspec.Struct, frozen=True):
    """How many different values executions share out."""

    workspace_id: str = "default"
    workflows: int = 20
    users: int = 1_000
    responders: int = 50
    repos: int = 500
    customers: int = 1_000
    per_session: int = 20

    def request(self, number: int, random: Random) -> StartRequest:
        """Return what the caller of the execution of that number said."""
        return StartRequest(
            workflow_id=f"filled-{_skewed(self.workflows, random)}",
            session_id=f"session-{number // self.per_session}",
            user_id=f"user-{random.randrange(self.users)}",
            responder_id=f"responder-{_skewed(self.responders, random)}",
            chat_message_id=f"message-{number // 2}",
            repos=tuple({f"acme/repo-{_skewed(self.repos, random)}" for _ in range(2)}),
            labels={
                "environment": "staging" if random.random() < 0.3 else "production",
                "customer": f"customer-{random.randrange(self.customers)}",
            },
            queue_name=_queue(random),
        )


class Version(msgspec.Struct, frozen=True):
    """An execution after one more thing happened to it, and the output that this brought."""

    execution: Execution
    outputs: tuple[tuple[Slot, Payload], ...] = ()


def workflow(workspace_id: str, number: int, now: datetime) -> Workflow:
    """Return the workflow of that number."""
    phases = tuple(PhaseSpec(f"phase-{at}", "filled") for at in range(PHASES))
    spec = WorkflowSpec(f"filled-{number}", phases)
    return Workflow(workspace_id, 1, spec, now, now)


def life(
    request: StartRequest, of: Workflow, place: Place, now: datetime, random: Random
) -> Iterator[Version]:
    """Yield every version of an execution, from its start to its end."""
    execution, _ = start(request, of, place, now)
    yield Version(execution)
    fate = random.random()
    for position in range(PHASES):
        now += _STEP
        execution = work.lease(execution, position, _REQUEST, "", now)
        yield Version(execution)
        now += _STEP
        if fate < 0.02:
            cancellation = Cancellation(now, "filler", "not needed any more")
            execution = control.cancel(execution, cancellation)
            yield Version(execution)
        outcome: Outcome = Completed(OUTPUT)
        if fate < 0.1:
            outcome = _FAILED
        reported = work.report(
            execution,
            position,
            1,
            Report("", usage_by_model=usage(random), outcome=outcome),
            now,
            recorded={},
            check_output=lambda _workflow, _output: None,
            jitter=0.0,
        )
        assert reported.execution is not None, "the lease is live"
        execution = reported.execution
        slot = Slot(execution.key, position)
        yield Version(execution, ((slot, reported.output),) if reported.output else ())
        if execution.done:
            return


def like(
    ended: Execution, request: StartRequest, place: Place, now: datetime, random: Random
) -> Execution:
    """Return another execution that went as *ended* did, begun at *now*."""
    execution, _ = start(request, ended.workflow, place, now)
    later = now - ended.spec.created_at
    phases = tuple(_later(phase, later, random) for phase in ended.phases)
    moved = replace(
        ended,
        key=execution.key,
        spec=execution.spec,
        phases=phases,
        started_at=_plus(ended.started_at, later),
        run_started_at=_plus(ended.run_started_at, later),
        completed_at=_plus(ended.completed_at, later),
        updated_at=now,
    )
    return summed(moved, ended.updated_at + later)


def usage(random: Random) -> tuple[ModelUsage, ...]:
    """Return what an attempt may have consumed."""
    taken = random.randrange(1_000, 200_000)
    return (ModelUsage("claude-sonnet-4-5", taken, taken // 10, 0, taken * 3, taken * 4_800),)


def _later(phase: Phase, later: timedelta, random: Random) -> Phase:
    if not phase.attempts:
        return replace(phase, completed_at=_plus(phase.completed_at, later))
    models = usage(random)
    attempt = phase.attempts[0]
    spent = total(models)
    return replace(
        phase,
        started_at=_plus(phase.started_at, later),
        completed_at=_plus(phase.completed_at, later),
        past_usage=spent,
        past_usage_by_model=models,
        attempts=(
            replace(
                attempt,
                started_at=attempt.started_at + later,
                completed_at=attempt.completed_at + later,
                usage=spent,
            ),
        ),
    )


def _plus(moment: datetime | None, later: timedelta) -> datetime | None:
    return None if moment is None else moment + later


def _skewed(values: int, random: Random) -> int:
    """Return a number below *values*: a few come often, most seldom."""
    return int(values * random.random() ** 3)


def _queue(random: Random) -> str:
    drawn = random.random()
    return "rare" if drawn < 0.001 else "bulk" if drawn < 0.2 else "default"
