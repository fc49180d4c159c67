"""Leases phases, runs their handlers side by side, and reports on all of them together."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from math import inf

import msgspec
import structlog

from phaseline.domain.errors import PhaselineError
from phaseline.domain.report import LeaseRequest, Released
from phaseline.worker.assignment import Assignment
from phaseline.worker.attempt import Attempt
from phaseline.worker.clock import Alarm, Clock, SystemClock, sleep
from phaseline.worker.context import StopReason
from phaseline.worker.invoke import outcome_of
from phaseline.worker.limits import ID_LENGTH
from phaseline.worker.registry import Registry
from phaseline.worker.reporter import Reporter
from phaseline.worker.retrying import Backoff, until_answered
from phaseline.worker.slots import Slots
from phaseline.worker.source import Source

log = structlog.stdlib.get_logger(__name__)

#: How long a poll that waits for work may still be answered once the worker is to end. Cutting it
#: off at once could lose phases that are on their way, until their leases end.
_LAST_POLL = 0.2
#: Longest pause between polls that a server answers at once although it has nothing.
_IDLE_DELAY = 1.0
#: Of the time to drain, the part kept for stopping what still runs, and for reporting it.
_STOPPING_SHARE = 0.2
#: What is left to report after a second `stop`.
_LAST_WORDS = 1.0


class RunnerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker presents itself and how it works."""

    #: Unique among the workers that run; made up from host and process if empty.
    worker_id: str = ""
    #: Phases run at the same time.
    slots: int = 16
    queue_names: tuple[str, ...] = ("default",)
    #: Code version that it announces.
    deployment_id: str = ""
    #: Longest wait of a poll that finds no phase.
    wait: timedelta = timedelta(seconds=30)
    lease_duration: timedelta = timedelta(seconds=30)
    #: How long news other than an outcome waits for more.
    news_interval: timedelta = timedelta(milliseconds=100)
    #: Longest time from `stop` to the end.
    drain_timeout: timedelta = timedelta(seconds=30)
    #: Calls that report at the same time, each of other attempts.
    concurrent_reports: int = 2


class Runner:
    """
    A worker: runs the handlers of a registry on the phases that a source leases.

    `run` once, on one event loop. What happens to the server meanwhile is ridden out: calls are
    repeated until they are answered. A lease that could not be renewed in time is given up, as the
    server may have given the phase to another worker.
    """

    def __init__(
        self,
        source: Source,
        registry: Registry,
        options: RunnerOptions | None = None,
        *,
        clock: Clock | None = None,
        fraction: Callable[[], float] = random.random,
        new_id: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        if not registry:
            # To the server, no handlers means all of them.
            raise ValueError("a worker needs at least one handler")
        self.options = options or RunnerOptions()
        self.worker_id = self.options.worker_id or default_worker_id()
        self.slots = Slots(self.options.slots)
        self._source = source
        self._registry = registry
        self._clock = clock or SystemClock()
        self._fraction = fraction
        self._new_id = new_id
        self._alarm = Alarm(self._clock, self._tick)
        self._reporter = Reporter(
            source,
            self.slots,
            self._clock,
            interval=self.options.news_interval,
            fraction=fraction,
            lease_request=self._lease_request,
            start=self._start,
        )
        #: By lease token, until nothing more is to be reported of them.
        self._attempts: dict[str, Attempt] = {}
        self._handlers: set[asyncio.Task[None]] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._polling: asyncio.Task[None] | None = None
        self._is_asking = self._is_stopping = False
        self._cut_poll_at = self._release_at = self._exit_at = inf
        self._drained = asyncio.Event()

    @property
    def running(self) -> int:
        """Handlers that run at this moment."""
        return self.slots.running

    async def run(self) -> None:
        """
        Run phases until `stop`; return when all is reported, or the time to drain is over.

        Raises the `PhaselineError` by which the server refuses this worker. Cancelled, it stops
        the handlers and reports nothing: their leases then end by themselves.
        """
        log.info("worker started", worker_id=self.worker_id, slots=self.slots.capacity)
        try:
            await self._run()
        except BaseExceptionGroup as group:
            raise _first_of(group) from group
        finally:
            self._alarm.off()
            self._reporter.off()
            for attempt in self._attempts.values():
                attempt.outbox.close()
        log.info("worker ended", worker_id=self.worker_id, unreported=len(self._attempts))

    def stop(self) -> None:
        """
        Lease nothing more, let running phases end, then return from `run`.

        Those that still run when most of `drain_timeout` has passed are stopped and given back. A
        second call gives them back at once and does not wait for more than a last report.
        """
        now = self._clock.time()
        if not self._is_stopping:
            log.info("worker drains", running=self.running)
            self._is_stopping = True
            timeout = self.options.drain_timeout.total_seconds()
            self._cut_poll_at = now + (_LAST_POLL if self._is_asking else 0)
            self._release_at = now + timeout * (1 - _STOPPING_SHARE)
            self._exit_at = now + timeout
        else:
            log.warning("worker ends at once", running=self.running)
            self._cut_poll_at = self._release_at = now
            self._exit_at = min(self._exit_at, now + _LAST_WORDS)
            for attempt in tuple(self._attempts.values()):
                attempt.stop(StopReason.DRAINING, give_up_at=now)
                attempt.give_up()
        self._tick()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            reporting = [
                tasks.create_task(self._reporter.run())
                for _ in range(self.options.concurrent_reports)
            ]
            self._polling = tasks.create_task(self._poll())
            self._polling.add_done_callback(lambda _: self._check_drained())
            await self._drained.wait()
            # What was told to stop and still runs is cancelled once more: now without any grace.
            for task in (self._polling, *reporting, *self._handlers):
                task.cancel()

    async def _poll(self) -> None:
        idle = Backoff(self._fraction, longest=_IDLE_DELAY)
        while not self._is_stopping:
            # A report asks for more phases by itself, in the same call. And a worker that cannot
            # report is to lease nothing, or it would do the same work again and again.
            asked = await self.slots.ask_when_idle(self._reporter.is_busy)
            asked_at = self._clock.time()
            assignments: Sequence[Assignment] = ()
            self._is_asking = True
            try:
                assignments = await self._lease(asked)
            finally:
                self._is_asking = False
                self.slots.answered(asked)
                self._start(assignments)
            if assignments or self._clock.time() - asked_at > _IDLE_DELAY:
                idle.reset()
            else:
                # Such as one that is about to end: it does not let polls wait.
                await sleep(self._clock, idle.next())

    async def _lease(self, count: int) -> Sequence[Assignment]:
        request = self._lease_request(count)
        if request is None:
            return ()
        # The same request_id until it is answered: phases leased in an answer that was lost are
        # given again.
        return await until_answered(
            lambda: self._source.lease(request), self._clock, self._fraction, defects=inf
        )

    def _lease_request(self, count: int) -> LeaseRequest | None:
        if self._is_stopping:
            return None
        return LeaseRequest(
            worker_id=self.worker_id,
            request_id=self._new_id(),
            queue_names=self.options.queue_names,
            handlers=self._registry.names,
            deployment_id=self.options.deployment_id,
            max_phases=count,
            wait=self.options.wait,
            lease_duration=self.options.lease_duration,
        )

    def _start(self, assignments: Sequence[Assignment]) -> None:
        """Run what was leased, or give it back if the worker is to end."""
        for assignment in assignments:
            if assignment.lease_token in self._attempts:
                continue
            attempt = Attempt(assignment, self, self._clock)
            self._attempts[assignment.lease_token] = attempt
            if self._is_stopping:
                attempt.finish(Released())
            else:
                self._alarm.by(attempt.due_at)
                self._handle(attempt)
        self._check_drained()

    def _handle(self, attempt: Attempt) -> None:
        assert self._tasks is not None
        self.slots.occupy()
        task = self._tasks.create_task(self._outcome(attempt))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    async def _outcome(self, attempt: Attempt) -> None:
        try:
            outcome = await outcome_of(self._registry.get(attempt.assignment.handler), attempt)
        finally:
            # Before the outcome is told, so that the call that reports it asks for the next phase.
            self.slots.vacate()
        attempt.finish(outcome)

    def news(self, attempt: Attempt) -> None:
        """An attempt has news."""
        self._reporter.news(attempt)

    def urgent(self, attempt: Attempt) -> None:
        """An attempt is to be reported at once."""
        self._reporter.urgent(attempt)

    def wake_by(self, when: float) -> None:
        """An attempt has something to do then."""
        self._alarm.by(when)

    def over(self, attempt: Attempt) -> None:
        """Nothing more is to be reported of an attempt."""
        self._attempts.pop(attempt.assignment.lease_token, None)
        self._reporter.forget(attempt)
        self._check_drained()

    def _tick(self) -> None:
        """Do what time alone demands, and be called again when it demands more."""
        now = self._clock.time()
        attempts = tuple(self._attempts.values())
        for attempt in attempts:
            attempt.tick(now)
            self._alarm.by(attempt.due_at)
        if self._is_stopping:
            self._tick_to_the_end(now, attempts)

    def _tick_to_the_end(self, now: float, attempts: Sequence[Attempt]) -> None:
        if now >= self._cut_poll_at and self._polling is not None:
            self._polling.cancel()
        if now >= self._release_at:
            give_up_at = (self._release_at + self._exit_at) / 2
            for attempt in attempts:
                attempt.stop(StopReason.DRAINING, give_up_at=give_up_at)
        if now >= self._exit_at:
            self._drained.set()
        for when in (self._cut_poll_at, self._release_at, self._exit_at):
            if when > now:
                self._alarm.by(when)
        self._check_drained()

    def _check_drained(self) -> None:
        has_ended = self._is_stopping and self._polling is not None and self._polling.done()
        if has_ended and not self._attempts and not self._reporter.calls:
            self._drained.set()


def default_worker_id() -> str:
    """Return a name that no other running worker has: host, process and chance."""
    return f"{socket.gethostname()[: ID_LENGTH - 20]}-{os.getpid()}-{secrets.token_hex(4)}"


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that a caller can act on, else the whole group."""
    for error in group.exceptions:
        if isinstance(error, PhaselineError):
            return error
    return group
