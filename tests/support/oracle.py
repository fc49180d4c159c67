"""
What a store of executions must show, modelled with dicts: no SQL, no clock, none of our own code.

All executions run one workflow: phases in a row, with attempts, delays and a concurrency limit.
Times are seconds. Money is nano-dollars.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

LEASE = 30.0
SILENCE = 5.0
TERMINAL = {"completed", "failed", "cancelled"}


class Refused(Exception):
    """The model refuses a command, for the reason that it names."""


@dataclass
class Phase:
    """A phase in the model."""

    status: str = "pending"
    attempt: int = 0
    forgiven: int = 0
    epoch: int = 0
    next_at: float = 0.0
    lease_until: float = 0.0
    stop_by: float | None = None
    #: Time to stop that its worker gets once it hears of it.
    grace: float = 0.0
    held_until: float = 0.0
    #: Epoch and outcome of the lease that ended last; "" if no report ended it.
    ended_by: tuple[int, str] = (0, "")

    @property
    def lease_end(self) -> float:
        end = self.lease_until if self.stop_by is None else min(self.lease_until, self.stop_by)
        return max(end, self.held_until)


@dataclass
class Execution:
    """An execution in the model."""

    name: str
    created: float
    parent: str
    phases: list[Phase]
    status: str = "pending"
    begun: bool = False
    admitted: bool = False
    stopping: bool = False
    purged: bool = False
    cost: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return self.status in TERMINAL


class Oracle:
    """The model. Each method says what must happen, or raises `Refused`."""

    def __init__(
        self,
        *,
        phases: int,
        max_attempts: int,
        delay: float,
        max_running: int | None = None,
        max_active: int = 10**9,
    ) -> None:
        self._phases, self._max_attempts, self._delay = phases, max_attempts, delay
        self._max_running, self._max_active = max_running, max_active
        self.now = 0.0
        self.executions: dict[str, Execution] = {}
        self._requests: dict[str, str] = {}

    def show(self, name: str) -> tuple[str, ...]:
        """Return the status of an execution, then of its phases."""
        one = self.executions[name]
        return (one.status, *(phase.status for phase in one.phases))

    def cost(self, name: str) -> tuple[int, int]:
        """Return what an execution has cost, and its tree."""
        own = sum(self.executions[name].cost.values())
        return own, own + sum(sum(one.cost.values()) for one in self._below(name))

    def leasable(self) -> set[tuple[str, int]]:
        """Return the phases that a worker can get."""
        return {
            (one.name, at)
            for one in self.executions.values()
            if one.status != "paused"
            for at, phase in enumerate(one.phases)
            if phase.status == "ready"
        }

    def running(self) -> list[tuple[str, int]]:
        """Return the phases that are leased."""
        return [
            (one.name, at)
            for one in self.executions.values()
            for at, phase in enumerate(one.phases)
            if phase.status == "running"
        ]

    def start(self, name: str, parent: str = "", request_id: str = "") -> str:
        """Start an execution, and return the name of the one that there is then."""
        if request_id in self._requests:
            return self._requests[request_id]
        if parent:
            above = self.executions.get(parent)
            if above is None:
                raise Refused("PARENT_NOT_FOUND")
            if above.done or above.stopping:
                raise Refused("PARENT_NOT_ACTIVE")
        if name in self.executions:
            raise Refused("EXECUTION_ALREADY_EXISTS")
        self._check_active()
        phases = [Phase() for _ in range(self._phases)]
        self.executions[name] = Execution(name, self.now, parent, phases)
        if request_id:
            self._requests[request_id] = name
        self._settle()
        return name

    def lease(self, name: str, at: int) -> int:
        """Lease a phase that can be, and return its epoch."""
        one, phase = self.executions[name], self.executions[name].phases[at]
        assert (name, at) in self.leasable(), f"{name}/{at} cannot be leased"
        phase.status = "running"
        phase.attempt += 1
        phase.epoch += 1
        phase.lease_until, phase.stop_by, phase.held_until = self.now + LEASE, None, 0.0
        phase.grace = 0.0
        if one.status == "pending":
            one.status, one.begun = "running", True
        return phase.epoch

    def report(
        self, name: str, at: int, epoch: int, outcome: str = "", cost: int | None = None
    ) -> str:
        """Report on a lease, and return what its worker is told."""
        one, phase = self.executions[name], self.executions[name].phases[at]
        self._expire(one)
        if phase.status != "running" or phase.epoch != epoch:
            is_repeat = outcome and phase.ended_by == (epoch, outcome)
            return "accepted" if is_repeat else "abandon"
        if cost is not None:
            one.cost[at, epoch] = cost
        if not outcome:
            return self._renew(phase)
        phase.ended_by = (epoch, outcome)
        if outcome == "completed":
            phase.status = "completed"
        elif outcome == "released":
            phase.attempt -= 1
            phase.status, phase.next_at = "cancelled" if one.stopping else "pending", self.now
        else:
            attempts = phase.attempt - phase.forgiven
            self._fail(one, phase, self._delay * 2 ** (attempts - 1), "failed")
        self._settle()
        return "accepted"

    def cancel(self, name: str, grace: float) -> None:
        """Cancel an execution and all below it."""
        for one in (self._found(name), *self._below(name)):
            if one.done or one.stopping:
                continue
            one.stopping = True
            for phase in one.phases:
                if phase.status == "running":
                    # It is told with its next report, unless nobody wants to wait for it.
                    phase.stop_by = self.now + grace + (SILENCE if grace else 0.0)
                    phase.grace = grace
        self._settle()

    def pause(self, name: str) -> None:
        """Pause an execution."""
        one = self._found(name)
        if one.done or one.stopping:
            raise Refused("INVALID_STATUS")
        one.status = "paused"

    def resume(self, name: str) -> None:
        """Resume an execution."""
        one = self._found(name)
        if one.done or one.stopping:
            raise Refused("INVALID_STATUS")
        if one.status == "paused":
            one.status = "running" if one.begun else "pending"
        self._settle()

    def retry(self, name: str) -> None:
        """Retry an execution."""
        one = self._found(name)
        if one.status not in ("failed", "cancelled"):
            raise Refused("INVALID_STATUS")
        if one.purged:
            raise Refused("EXECUTION_PURGED")
        if one.parent:
            above = self.executions[one.parent]
            if above.done or above.stopping:
                raise Refused("PARENT_NOT_ACTIVE")
        self._check_active()
        one.status, one.begun, one.admitted, one.stopping = "pending", False, False, False
        for phase in one.phases:
            if phase.status != "completed":
                phase.status, phase.forgiven, phase.next_at = "pending", phase.attempt, 0.0
        self._settle()

    def purge(self, name: str) -> None:
        """Purge an execution."""
        if not self._found(name).done:
            raise Refused("INVALID_STATUS")
        self.executions[name].purged = True

    def passes(self, seconds: float) -> None:
        """Let time pass, and act."""
        self.now += seconds
        for one in list(self.executions.values()):
            self._expire(one)
        self._settle()

    def restart(self) -> None:
        """Let a new server take over: every lease is held for its whole time."""
        for one in self.executions.values():
            for phase in one.phases:
                if phase.status == "running":
                    phase.held_until = self.now + LEASE

    def _expire(self, one: Execution) -> None:
        for phase in one.phases:
            if phase.status == "running" and phase.lease_end <= self.now:
                phase.ended_by = (phase.epoch, "")
                self._fail(one, phase, 0.0, "cancelled")
                self._settle()

    def _renew(self, phase: Phase) -> str:
        if phase.stop_by is None:
            phase.lease_until, phase.held_until = self.now + LEASE, 0.0
            return "continue"
        told_by = max(phase.stop_by, phase.held_until)
        phase.stop_by = self.now + phase.grace if phase.grace else told_by
        phase.grace = 0.0
        phase.lease_until, phase.held_until = phase.stop_by, 0.0
        return "cancel"

    def _fail(self, one: Execution, phase: Phase, delay: float, when_stopping: str) -> None:
        if one.stopping:
            phase.status = when_stopping
        elif phase.attempt - phase.forgiven < self._max_attempts:
            phase.status, phase.next_at = "pending", self.now + delay
        else:
            phase.status = "failed"

    def _settle(self) -> None:
        """Bring about all that follows, until nothing does."""
        for one in self.executions.values():
            self._wind_down(one)
        for one in sorted(self.executions.values(), key=lambda each: (each.created, each.name)):
            waits = not (one.done or one.admitted or one.status == "paused")
            if waits and (self._max_running is None or self._taken() < self._max_running):
                one.admitted = True
        for one in self.executions.values():
            self._go_on(one)

    def _wind_down(self, one: Execution) -> None:
        failed = any(phase.status == "failed" for phase in one.phases)
        if one.done or not (one.stopping or failed):
            return
        for phase in one.phases:
            if phase.status in ("pending", "ready"):
                phase.status = "cancelled" if one.stopping else "skipped"
        if any(phase.status == "running" for phase in one.phases):
            one.status = "cancelling"
        else:
            one.status = "cancelled" if one.stopping else "failed"

    def _go_on(self, one: Execution) -> None:
        if one.done or one.stopping:
            return
        before = "completed"
        for phase in one.phases:
            can_begin = before == "completed" and phase.next_at <= self.now and one.admitted
            if phase.status == "pending" and can_begin:
                phase.status = "ready"
            before = phase.status
        if all(phase.status == "completed" for phase in one.phases):
            one.status = "completed"
            self._settle()

    def _taken(self) -> int:
        return sum(one.admitted and not one.done for one in self.executions.values())

    def _check_active(self) -> None:
        if sum(not one.done for one in self.executions.values()) >= self._max_active:
            raise Refused("TOO_MANY_EXECUTIONS")

    def _found(self, name: str) -> Execution:
        if name not in self.executions:
            raise Refused("EXECUTION_NOT_FOUND")
        return self.executions[name]

    def _below(self, name: str) -> Iterator[Execution]:
        for one in list(self.executions.values()):
            if one.parent == name:
                yield one
                yield from self._below(one.name)
