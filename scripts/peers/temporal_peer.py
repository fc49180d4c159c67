"""Temporal's development server on a SQLite file: workflows of three activities."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import uuid
from datetime import timedelta
from pathlib import Path

from driver import CALLERS, drive, report
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

_QUEUE = "peer"
_POLLERS = 16
_START_SECONDS = 30
_LOOK_EVERY = 0.2


@activity.defn
async def step(number: int) -> str:
    return "done"


@workflow.defn
class ThreeSteps:
    @workflow.run
    async def run(self) -> str:
        for number in range(3):
            await workflow.execute_activity(
                step, number, start_to_close_timeout=timedelta(seconds=30)
            )
        return "done"


async def work(address: str) -> None:
    """Run workflows and activities until the process is ended."""
    worker = Worker(
        await connected(address),
        task_queue=_QUEUE,
        workflows=[ThreeSteps],
        activities=[step],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_workflow_tasks=CALLERS * 2,
        max_concurrent_activities=CALLERS * 2,
        max_concurrent_workflow_task_polls=_POLLERS,
        max_concurrent_activity_task_polls=_POLLERS,
    )
    await worker.run()


async def connected(address: str) -> Client:
    """Connect as soon as the server takes connections."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                return await Client.connect(address)
            except RuntimeError:
                await asyncio.sleep(_LOOK_EVERY)


def main() -> None:
    programs = Path(sys.executable).parent
    version = subprocess.check_output([programs / "temporal", "--version"], text=True).strip()
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        options = ("--headless", "--port", str(port), "--log-level", "never")
        # Without a file it keeps everything in memory, and durable is what all contenders are.
        database = ("--db-filename", f"{directory}/temporal.db")
        with (
            subprocess.Popen(
                [programs / "temporal", "server", "start-dev", *options, *database],
                stdout=subprocess.DEVNULL,
            ) as server,
            subprocess.Popen([sys.executable, __file__, "0", f"127.0.0.1:{port}"]) as worker,
        ):
            try:
                figures = asyncio.run(measure(f"127.0.0.1:{port}"))
                report(figures, "temporalio", server=version)
            finally:
                worker.kill()
                server.kill()


async def measure(address: str) -> dict[str, float]:
    client = await connected(address)

    async def one() -> None:
        name = uuid.uuid4().hex
        await client.execute_workflow(ThreeSteps.run, id=name, task_queue=_QUEUE)

    return await drive(one)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    if len(sys.argv) > 2:
        asyncio.run(work(sys.argv[2]))
    else:
        main()
