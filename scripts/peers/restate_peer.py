"""Restate's server: a handler of three steps, served by Hypercorn and called by HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import hypercorn.asyncio
import hypercorn.config
import restate
from driver import CALLERS, drive, report

_START_SECONDS = 60
_LOOK_EVERY = 0.2

service = restate.Service("peer")


async def step() -> str:
    return "done"


@service.handler()
async def three_steps(context: restate.Context) -> str:
    for number in range(3):
        await context.run_typed(f"step-{number}", step)
    return "done"


async def work(port: int) -> None:
    """Serve the handler until the process is ended."""
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    await hypercorn.asyncio.serve(restate.app(services=[service]), config)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


async def until_true(function: Callable[[], Awaitable[bool]]) -> None:
    """Return once *function* says so; a server that does not listen yet does not."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                if await function():
                    return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(_LOOK_EVERY)


def main() -> None:
    program = Path(sys.argv[2])
    version = subprocess.check_output([program, "--version"], text=True).strip()
    ingress, admin, node, worker_port = free_ports(4)
    with tempfile.TemporaryDirectory() as directory:
        environment = {
            **os.environ,
            "RESTATE_BASE_DIR": directory,
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_LOG_FILTER": "error",
        }
        with (
            subprocess.Popen(
                [program, "--no-logo"], env=environment, stdout=subprocess.DEVNULL
            ) as server,
            subprocess.Popen([sys.executable, __file__, "0", "work", str(worker_port)]) as worker,
        ):
            try:
                figures = asyncio.run(measure(ingress, admin, worker_port))
                report(figures, "restate-sdk", "hypercorn", server=version)
            finally:
                worker.kill()  # Hypercorn would wait for the server to hang up
                server.kill()


async def measure(ingress: int, admin: int, worker_port: int) -> dict[str, float]:
    connector = aiohttp.TCPConnector(limit=CALLERS)
    # A handler that takes nothing refuses a body, and aiohttp would announce one.
    async with aiohttp.ClientSession(
        connector=connector, skip_auto_headers=("Content-Type",)
    ) as session:

        async def serves() -> bool:
            async with session.get(f"http://127.0.0.1:{worker_port}/health"):
                return True

        async def registered() -> bool:
            url = f"http://127.0.0.1:{admin}/deployments"
            deployment = json.dumps({"uri": f"http://127.0.0.1:{worker_port}"})
            headers = {"Content-Type": "application/json"}
            async with session.post(url, data=deployment, headers=headers) as answer:
                return bool(answer.ok)

        async def one() -> bool:
            async with session.post(f"http://127.0.0.1:{ingress}/peer/three_steps") as answer:
                answer.raise_for_status()
                return bool(await answer.read() == b'"done"')

        # Asked to register what does not answer yet, the server tries on its own for long.
        await until_true(serves)
        await until_true(registered)
        await until_true(one)
        return await drive(one)


if __name__ == "__main__":
    if sys.argv[2] == "work":
        asyncio.run(work(int(sys.argv[3])))
    else:
        main()
