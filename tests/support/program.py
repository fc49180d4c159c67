"""The real program, as processes that a test may end in any way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from phaseline.v1 import (
    execution_service_pb2_grpc,
    worker_service_pb2_grpc,
    workflow_service_pb2_grpc,
)

_READY_SECONDS = 15
_END_SECONDS = 15
_LOOK_EVERY = 0.2


class Program:
    """`phaseline` with arguments, running until the block ends at the latest."""

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "phaseline", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PHASELINE_LOG_FORMAT": "json", **(environment or {})},
        )
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.end()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self.end()

    def end(self) -> int:
        """Return its exit code, once it has ended by itself."""
        code = self._process.wait(_END_SECONDS)
        self._reader.join(_END_SECONDS)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        return code

    def _read(self) -> None:
        assert self._process.stderr is not None
        self.log.extend(self._process.stderr)


class ServerProgram(Program):
    """A server on a free port of loopback."""

    def __init__(
        self,
        database: Path | str,
        *options: str,
        command: str = "serve",
        port: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.address = f"127.0.0.1:{port or free_port()}"
        arguments = (command, "--listen", self.address, "--db", str(database), *options)
        super().__init__(*arguments, environment=environment)

    def channel(self) -> grpc.Channel:
        """Return a channel to it, once it takes calls."""
        channel = grpc.insecure_channel(
            self.address, options=(("grpc.initial_reconnect_backoff_ms", 50),)
        )
        ready = grpc.channel_ready_future(channel)
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                ready.result(_LOOK_EVERY)
                return channel
            except grpc.FutureTimeoutError:
                if self.has_ended or time.monotonic() > deadline:
                    raise AssertionError("".join(self.log)) from None


class Stubs:
    """The stubs of all services on one channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.executions = execution_service_pb2_grpc.ExecutionServiceStub(channel)
        self.workflows = workflow_service_pb2_grpc.WorkflowServiceStub(channel)
        self.workers = worker_service_pb2_grpc.WorkerServiceStub(channel)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
