"""The command that records runs of agents that took place elsewhere."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phaseline.cli import parsing
from phaseline.cli.failures import Refused
from phaseline.cli.session import Session, credentials

if TYPE_CHECKING:
    from phaseline.client import Client
    from phaseline.domain.payload import Payload
    from phaseline.v1.execution_pb2 import Execution
    from phaseline.v1.workflow_pb2 import Workflow
    from phaseline.worker.context import Context
    from phaseline.worker.handlers.agent.adapter import Adapter

_HANDLER = "import"
_PHASE = "agent"
_STDIN = "-"
_MOST_NAME = 256  #: characters of a label
_MOST_ATTEMPTS = 100  #: that a server allows


@dataclass(frozen=True)
class What:
    """How runs are read and recorded."""

    adapter: Annotated[
        str,
        typer.Option(metavar="NAME", help="claude, codex, gemini or jsonl; found out by default."),
    ] = ""
    workflow_id: Annotated[
        str,
        typer.Option("--workflow-id", "--workflow", help="Workflow; imported-ADAPTER by default."),
    ] = ""
    model: Annotated[
        str, typer.Option(help="Model that was used, for agents that do not tell, as Codex.")
    ] = ""
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Label; repeatable.", show_default=False),
    ] = None


async def import_(
    session: Session,
    stream: Annotated[
        list[Path],
        typer.Argument(
            metavar="STREAM...", help="Files with what agents have printed; - is standard input."
        ),
    ],
    what: What,
) -> None:
    """
    Record finished runs of agents from their event streams, each as an execution that has ended.

    What is in a stream is imported once into a workflow, whatever its file is called.
    """
    from phaseline.telemetry import set_up_logging

    session.parting = "interrupted: run it again to go on"
    set_up_logging("error", session.settings.log_format)
    labels = parsing.pairs(what.label or (), "--label")
    recorded: list[Execution] = []
    try:
        async with session.connected() as client:
            for given in stream:
                with _file(given) as path:
                    run = _Run(given.name, path, _adapter(path, given, what), what, labels)
                    recorded.append(await run.record(session, client))
                if session.output.is_table:
                    _draw(session, run, recorded[-1])
    finally:
        # What is recorded is told, whatever became of the others.
        _write(session, recorded, several=len(stream) > 1)


def _write(session: Session, recorded: Sequence[Execution], *, several: bool) -> None:
    if session.output.is_table:
        return
    if several:
        session.output.write_all(recorded)
    elif recorded:
        session.output.write(recorded[0])


class _Run:
    """One run that is to be recorded."""

    def __init__(
        self, name: str, path: Path, adapter: Adapter, what: What, labels: dict[str, str]
    ) -> None:
        self.adapter = adapter
        self._path = path
        self._workflow_id = what.workflow_id or f"imported-{adapter.name}"
        self._model = what.model
        self._labels = {"imported": name[:_MOST_NAME], "agent": adapter.name, **labels}
        self.was_there = False

    async def record(self, session: Session, client: Client) -> Execution:
        """Record it, unless it is; return the execution, which has ended."""
        await self._prepare_workflow(client)
        execution_id = self._execution_id()
        is_new = await self._start(client, execution_id)
        execution = (await client.get(execution_id)).execution
        self.was_there = not is_new and _is_recorded(execution)
        if not is_new and not self.was_there:
            session.output.note("it was cut off before, and goes on: within 30 s if it was killed")
        while not _is_recorded(execution):
            if execution.HasField("completed_at"):
                await client.retry(execution_id)
            await self._work(session, client, execution_id)
            execution = (await client.get(execution_id)).execution
        return execution

    async def _start(self, client: Client, execution_id: str) -> bool:
        """Start the execution, on a queue of its own; return False if that was done before."""
        from phaseline.domain.errors import AlreadyExists

        try:
            await client.execute(
                self._workflow_id,
                execution_id=execution_id,
                queue_name=execution_id,
                labels=self._labels,
            )
        except AlreadyExists:
            return False
        return True

    async def _prepare_workflow(self, client: Client) -> None:
        """Store the workflow unless it is there. Raises `Refused` for one of another kind."""
        from phaseline.domain.errors import NotFound

        try:
            workflow = await client.get_workflow(self._workflow_id)
        except NotFound:
            await client.apply_workflow(_workflow(self._workflow_id, self.adapter))
            return
        if [phase.handler for phase in workflow.phases] != [_HANDLER]:
            raise Refused(
                f"workflow {self._workflow_id!r} runs something: "
                f"nothing can be imported but into one phase with the handler {_HANDLER!r}",
                hint="choose another with --workflow; one that is not there is made",
            )

    def _execution_id(self) -> str:
        """Return the same for the same run: one that was cut off is taken up, none comes twice."""
        digest = hashlib.sha256()
        with self._path.open("rb") as file:
            while chunk := file.read(1024 * 1024):
                digest.update(chunk)
        digest.update(repr((self._workflow_id, self._model)).encode())
        return f"import-{digest.hexdigest()[:48]}"

    async def _work(self, session: Session, client: Client, execution_id: str) -> None:
        """Be the worker of its one phase, until that has ended."""
        import asyncio

        from phaseline.worker.registry import Registry
        from phaseline.worker.runner import Runner, RunnerOptions
        from phaseline.worker.source import GrpcSource

        async def handler(context: Context) -> Payload:
            return await self._tell(client, context)

        settings = session.settings
        token, ca = credentials(settings)
        registry = Registry()
        registry.add(_HANDLER, handler)
        options = RunnerOptions(slots=1, queue_names=(execution_id,))
        server = GrpcSource.connect(settings.server, token=token, ca=ca, tls=settings.tls)
        async with server as source:
            runner = Runner(source, registry, options)
            working = asyncio.create_task(runner.run())
            waiting = asyncio.create_task(client.wait(execution_id))
            try:
                await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
                runner.stop()
                await working
                await waiting
            except asyncio.CancelledError:
                # The second time gives the phase back at once, for whoever goes on.
                runner.stop()
                runner.stop()
                await asyncio.wait([working])
                raise
            finally:
                working.cancel()
                waiting.cancel()

    async def _tell(self, client: Client, context: Context) -> Payload:
        """Tell of the run what no attempt before has told."""
        from phaseline.v1.execution_pb2 import EXECUTION_VIEW_BASIC
        from phaseline.worker.handlers.agent.recording import Recording

        found = await client.get(context.execution_id, view=EXECUTION_VIEW_BASIC)
        known = {
            each.operation_id: (each.success, each.error_message)
            async for each in client.iter_operations(context.execution_id)
            if each.HasField("success")
        }
        # Only with an outcome is usage stored: then it is that of a run which somebody retries.
        usage = found.execution.usage
        is_counted = bool(usage.total_tokens) or Decimal(usage.cost_usd or 0) > 0
        recording = Recording(
            self._path, self.adapter, self._model, known=known, is_counted=is_counted
        )
        return await recording(context)


def _is_recorded(execution: Execution) -> bool:
    """Whether an execution has ended as the run did, and not because its import was cut off."""
    from phaseline.v1.execution_pb2 import FAILURE_KIND_WORKER_LOST

    is_lost = execution.failure.kind == FAILURE_KIND_WORKER_LOST
    return execution.HasField("completed_at") and not is_lost


def _workflow(workflow_id: str, adapter: Adapter) -> Workflow:
    from phaseline.v1.workflow_pb2 import PhaseSpec, RetryPolicy, Workflow

    phase = PhaseSpec(
        phase_id=_PHASE,
        name="Agent run",
        handler=_HANDLER,
        # For imports that are killed: what is in a file never fails in another way the next time.
        retry_policy=RetryPolicy(max_attempts=_MOST_ATTEMPTS),
    )
    return Workflow(
        workflow_id=workflow_id,
        name=f"Imported runs of {adapter.name}" if adapter.name in workflow_id else "",
        description="Runs of agents that took place elsewhere, recorded from their streams.",
        phases=[phase],
        is_agentic=True,
    )


def _adapter(path: Path, given: Path, what: What) -> Adapter:
    from phaseline.worker.handlers.agent.adapters import ADAPTERS
    from phaseline.worker.handlers.agent.recording import adapter_of

    known = ", ".join(ADAPTERS)
    if what.adapter:
        if what.adapter not in ADAPTERS:
            raise Refused(f"--adapter must be one of {known}, is {what.adapter!r}")
        return ADAPTERS[what.adapter]
    adapter = adapter_of(path)
    if adapter is None:
        raise Refused(
            f"nothing in {given} tells which agent has printed it",
            hint=f"say it with --adapter: {known}",
        )
    return adapter


@contextmanager
def _file(given: Path) -> Iterator[Path]:
    """Give the file to read, which is read more than once."""
    if str(given) != _STDIN:
        yield given
        return
    with tempfile.NamedTemporaryFile() as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)


def _draw(session: Session, run: _Run, execution: Execution) -> None:
    from rich.text import Text

    from phaseline.cli import execution_view

    facts = (execution.execution_id, "  ", run.adapter.name, "  ")
    text = Text.assemble(*facts, execution_view.summary(execution))
    session.output.draw(text)
    if run.was_there:
        session.output.note("it was imported before")
