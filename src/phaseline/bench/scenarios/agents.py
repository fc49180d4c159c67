"""How many events of an agent's stream a second become operations, alone and stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from phaseline.bench.results import Result
from phaseline.bench.scenarios.ends import one
from phaseline.bench.stage import Stage
from phaseline.bench.target import Target
from phaseline.telemetry import set_up_logging
from phaseline.worker import Assignment, Context, GrpcSource, Registry, Runner, RunnerOptions
from phaseline.worker.clock import SystemClock
from phaseline.worker.handlers.agent.adapters import ADAPTERS
from phaseline.worker.handlers.agent.recording import Recording
from phaseline.worker.handlers.agent.stream import Stream
from phaseline.worker.outbox import Outbox

_HANDLER = "bench-agent"
_ADAPTER = ADAPTERS["claude"]
#: Events for each second of the plan; three for each call of a tool.
_EVENTS = 15_000
_LEAST = 300
_CHUNK = 64 * 1024


async def agents(stage: Stage) -> AsyncGenerator[Result]:
    """Yield events a second through an adapter alone, and through worker and server as well."""
    # The worker runs in this process, which prints figures and nothing else.
    set_up_logging("error")
    calls = max(_LEAST, round(_EVENTS * stage.plan.seconds)) // 3
    data = b"".join(msgspec.json.encode(event) + b"\n" for event in _events(calls))
    yield Result("agent events, adapter alone", _read(data), "/s")
    with TemporaryDirectory() as directory:
        path = Path(directory) / "stream.jsonl"
        path.write_bytes(data)
        async with stage.target() as target:
            rate = await _stored(target, path, events=3 * calls + 1)
    yield Result("agent events, adapter, worker and server", rate, "/s")


def _read(data: bytes) -> float:
    """Return how many events a second are read; what becomes of them is thrown away."""
    outbox = Outbox(lambda: None)
    context = Context(Assignment("", "", "", _HANDLER), outbox, SystemClock())
    stream = Stream(_ADAPTER, context, lambda _: datetime.now(UTC))
    began = time.perf_counter()
    for at in range(0, len(data), _CHUNK):
        stream.feed(data[at : at + _CHUNK])
        while outbox.has_news:
            outbox.take()
    stream.end(0)
    return stream.events / (time.perf_counter() - began)


async def _stored(target: Target, path: Path, *, events: int) -> float:
    """Return how many events a second are read, reported and committed, from start to end."""
    registry = Registry()
    registry.add(_HANDLER, Recording(path, _ADAPTER))
    workflow_id = await target.workflow(1, handler=_HANDLER)
    async with GrpcSource.connect(target.address) as source:
        options = RunnerOptions(slots=1, queue_names=(target.queues.working,))
        runner = Runner(source, registry, options)
        running = asyncio.create_task(runner.run())
        try:
            began = time.perf_counter()
            await one(target, workflow_id)
            return events / (time.perf_counter() - began)
        finally:
            runner.stop()
            await running


def _events(calls: int) -> Iterator[dict[str, object]]:
    usage = {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 20_000}
    for at in range(calls):
        message = {"id": f"msg_{at}", "model": "claude-opus-4-7", "usage": usage}
        said = {"type": "text", "text": "Let me look at that file."}
        call = {"type": "tool_use", "id": f"toolu_{at}", "name": "Read", "input": {"path": "a.py"}}
        for block in (said, call):
            yield {"type": "assistant", "message": {**message, "content": [block]}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{at}", "content": "x" * 1000}
        yield {"type": "user", "message": {"role": "user", "content": [result]}}
    models = {"claude-opus-4-7": {"inputTokens": 3 * calls, "costUSD": 0.5}}
    yield {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "result": "done",
        "modelUsage": models,
        "total_cost_usd": 0.5,
    }
