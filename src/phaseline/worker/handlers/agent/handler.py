"""Runs an agent, and takes its final text for the output of the phase."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from phaseline.app.prices import PriceList
from phaseline.domain.failure import FailureKind
from phaseline.domain.payload import Payload
from phaseline.domain.usage import ModelUsage
from phaseline.worker.context import Context
from phaseline.worker.failures import HandlerError
from phaseline.worker.handlers.agent.adapter import Adapter, Beginning, Order
from phaseline.worker.handlers.agent.budget import Budget
from phaseline.worker.handlers.agent.config import (
    AgentConfig,
    Resume,
    chosen_adapter,
    command_line,
    model_in,
    parse_config,
)
from phaseline.worker.handlers.agent.directory import default_root, directory_of
from phaseline.worker.handlers.agent.earlier import earlier_of, save
from phaseline.worker.handlers.agent.environment import variables_of_worker
from phaseline.worker.handlers.agent.outcome import failure_of, output_of
from phaseline.worker.handlers.agent.pace import Pace
from phaseline.worker.handlers.agent.reader import Fault, Success
from phaseline.worker.handlers.agent.stream import Stream
from phaseline.worker.handlers.capture import Capture
from phaseline.worker.handlers.process import Process, not_started
from phaseline.worker.handlers.session import kill_orphans
from phaseline.worker.handlers.workdir import WorkDir, default_parent
from phaseline.worker.threads import in_thread

_STDERR_TAIL = 2048

#: Files of a command that an agent has no use for: what it prints says it all.
_NOT_TOLD = ("PHASELINE_OUTPUT_FILE", "PHASELINE_REPORT_FILE")

#: Variables that tell the programs of one phase from all others.
_OF_THE_PHASE = ("PHASELINE_WORKFLOW_ID", "PHASELINE_EXECUTION_ID", "PHASELINE_PHASE_ID")


class AgentHandler:
    """
    Runs the agent that the settings of a phase name, without a terminal.

    Its prompt comes on standard input; what it does, consumes and says is read from the events
    that it prints. *pass_environment* names variables of the worker that agents may see besides
    those that are harmless or their own. Without a directory in the settings, the agents of one
    execution share one below *work_root*; files for one attempt only are made in *directory*.
    """

    def __init__(
        self,
        *,
        pass_environment: Sequence[str] = (),
        work_root: Path | None = None,
        directory: Path | None = None,
        prices: PriceList | None = None,
    ) -> None:
        self._pass_environment = tuple(pass_environment)
        self._work_root = work_root or default_root()
        self._directory = directory or default_parent()
        self._prices = prices or PriceList()

    async def __call__(self, context: Context) -> Payload:
        config = parse_config(context.config)
        adapter = chosen_adapter(config, context.inputs)
        workdir = await in_thread(lambda: WorkDir(self._directory))
        budget = Budget(context.assignment.remaining_budget_nanos, self._prices)
        run = _Run(context, config, adapter, workdir, budget)
        try:
            await in_thread(lambda: run.prepare(self._work_root))
            return await run.run(variables_of_worker(adapter, self._pass_environment, config))
        finally:
            await in_thread(workdir.remove)


class _Run:
    """One run of an agent."""

    def __init__(
        self,
        context: Context,
        config: AgentConfig,
        adapter: Adapter,
        workdir: WorkDir,
        budget: Budget,
    ) -> None:
        self._context = context
        self._config = config
        self._workdir = workdir
        self._budget = budget
        self._cwd = Path(config.cwd or workdir.work)
        earlier = earlier_of(context, config.resume)
        model = context.model or config.model
        self._argv = command_line(
            config, adapter, _order(context, config, model, earlier.agent_session_id)
        )
        self._stream = Stream(
            adapter,
            context,
            lambda _: context.now,
            Beginning(model=model or model_in(self._argv), before=earlier.agent_usage),
        )
        self._stderr = Capture(head=0, tail=_STDERR_TAIL)
        self._task: asyncio.Task[object] | None = None
        self._is_too_dear = False
        self._kept: tuple[str, tuple[ModelUsage, ...]] = ("", ())
        self._process: Process
        self._pace: Pace

    def prepare(self, work_root: Path) -> None:
        """Make all that the agent needs. Blocks."""
        if self._config.cwd is None:
            context = self._context
            self._cwd = directory_of(
                work_root, context.assignment.workspace_id, context.execution_id, context.now
            )
        elif not self._cwd.is_dir():
            raise HandlerError(
                f"there is no directory {self._config.cwd!r} to run in",
                code="CWD_NOT_FOUND",
                retryable=False,
            )
        self._workdir.create(self._context, None)
        self._budget.prepare()
        # One whose worker was killed may be at work on this very phase, in the same directory.
        told = self._workdir.variables(self._context)
        kill_orphans({name: told[name] for name in _OF_THE_PHASE})

    async def run(self, environment: Mapping[str, str]) -> Payload:
        """Run the agent, and return the output of the phase."""
        self._process = await self._start(environment)
        self._pace = Pace(self._process, self._context)
        try:
            exit_code = await self._wait()
        finally:
            self._pace.close()
            verdict = self._stream.end(self._process.exit_code)
            self._keep_session()
        if isinstance(verdict, Fault):
            raise failure_of(verdict, self._stream, exit_code=exit_code, stderr=self._stderr.tail)
        return await in_thread(lambda: self._keep(verdict))

    async def _start(self, environment: Mapping[str, str]) -> Process:
        workdir = self._workdir
        prompt = workdir.prompt_file if self._context.prompt else workdir.task_file
        try:
            return await Process.start(
                self._argv,
                cwd=self._cwd,
                environment={**environment, **self._variables()},
                stdin=prompt,
                stdout=self._take,
                stderr=self._stderr.write,
                grace=self._config.grace_seconds,
            )
        except OSError as error:
            raise not_started(self._argv[0], error) from error

    def _variables(self) -> dict[str, str]:
        told = self._workdir.variables(self._context)
        for name in _NOT_TOLD:
            del told[name]
        if self._context.traceparent:
            told["TRACEPARENT"] = self._context.traceparent
        told["PHASELINE_WORK_DIR"] = str(self._cwd)
        return told

    def _take(self, data: bytes) -> None:
        """Take what the agent has printed."""
        self._stream.feed(data)
        self._keep_session()
        self._pace.look()
        if self._budget.is_used_up_by(self._stream.journal.usage):
            self._stop_spending()

    def _stop_spending(self) -> None:
        # An agent that is through has nothing left to spend: what its last words cost is for the
        # server to judge.
        if self._task is None or self._is_too_dear or self._stream.is_decided:
            return
        self._is_too_dear = True
        self._task.cancel()

    async def _wait(self) -> int:
        self._task = asyncio.current_task()
        try:
            # Tools that an agent has left in the background have nobody to work for any more.
            return await self._process.wait(thoroughly=True)
        except asyncio.CancelledError:
            if not self._is_too_dear or self._context.cancelled or self._task is None:
                raise
            self._task.uncancel()
            raise self._too_dear() from None
        finally:
            self._task = None

    def _too_dear(self) -> HandlerError:
        left = self._context.remaining_budget_usd
        return HandlerError(
            f"the agent was stopped because it has used up the budget of {left} US dollars",
            code="BUDGET_EXCEEDED",
            kind=FailureKind.BUDGET_EXCEEDED,
            retryable=False,
        )

    def _keep_session(self) -> None:
        """Let the next attempt know the session, also if the worker is killed in this one."""
        if self._config.resume is Resume.NEVER:
            return
        journal = self._stream.journal
        known = (journal.session_id, journal.usage)
        if journal.session_id and known != self._kept:
            self._kept = known
            save(self._context, journal.session_id, self._stream.session_usage)

    def _keep(self, success: Success) -> Payload:
        """Leave behind what the agent has left, and return its output. Blocks."""
        for name, content in self._workdir.collect().artifacts:
            self._context.artifact(name, content)
        return output_of(success)


def _order(context: Context, config: AgentConfig, model: str, session_id: str) -> Order:
    budget = context.remaining_budget_usd
    return Order(
        model=model,
        access=config.access,
        max_turns=None if config.max_turns is None else int(config.max_turns),
        budget_usd="" if budget is None else format(budget, "f"),
        session_id=session_id,
        args=config.args,
    )
