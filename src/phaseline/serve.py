"""The composition root: makes a server out of settings, and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from ipaddress import ip_address

import structlog

from phaseline import heap
from phaseline.app.artifacts import Artifacts
from phaseline.app.assignments import Assignments
from phaseline.app.batches import Batches
from phaseline.app.caller import Caller
from phaseline.app.controls import Controls
from phaseline.app.executions import Executions
from phaseline.app.limits import Limits
from phaseline.app.prices import Price, PriceList
from phaseline.app.retention import Policy, Retention
from phaseline.app.timers import Timers
from phaseline.app.tokens import Signer
from phaseline.app.trees import Trees
from phaseline.app.work import Work
from phaseline.app.workflows import Workflows
from phaseline.domain.start import StartLimits
from phaseline.faults import NoPoints, points_from
from phaseline.rpc.artifacts import ArtifactService
from phaseline.rpc.auth import (
    Anyone,
    Authenticator,
    CredentialsError,
    Tokens,
    load_credentials,
)
from phaseline.rpc.controls import ExecutionControls
from phaseline.rpc.draining import Draining
from phaseline.rpc.executions import ExecutionService
from phaseline.rpc.health import Health
from phaseline.rpc.server import CannotListen, Options, Tls, build_server
from phaseline.rpc.watches import ExecutionWatches
from phaseline.rpc.workers import WorkerService
from phaseline.rpc.workflows import WorkflowService
from phaseline.settings import Settings, SettingsError
from phaseline.store.failures import CannotCopy, DatabaseInUse, SchemaUnknown, StoreFailed
from phaseline.store.opening import MemoryAlarm, Store, open_store, stored_version
from phaseline.store.pulse import Pulse
from phaseline.store.writer import GroupWriter
from phaseline.watch.payloads import StoredPayloads
from phaseline.watch.shared import Shared, Terms
from phaseline.watch.signal import Signal
from phaseline.watch.tail import Tail
from phaseline.watch.token import Tokens as ResumeTokens
from phaseline.watch.watching import Watching
from phaseline.wire.encoder import Encoder
from phaseline.wire.frames import Frames
from phaseline.wire.leases import LeaseDefaults
from phaseline.wire.reports import Sizes
from phaseline.worker.clock import SystemClock
from phaseline.worker.embedded import embedded
from phaseline.worker.local import LocalSource
from phaseline.worker.registry import Registry
from phaseline.worker.runner import RunnerOptions

log = structlog.stdlib.get_logger(__name__)

#: Names a point at which the process is to die, for tests.
CRASH_VARIABLE = "PHASELINE_CRASH_AT"

#: What keeps a server from starting; the text says what, and what to do about it.
CANNOT_START = (
    SettingsError,
    CredentialsError,
    DatabaseInUse,
    SchemaUnknown,
    StoreFailed,
    CannotListen,
)
#: What keeps a command on a database from being done.
CANNOT_USE = (*CANNOT_START, CannotCopy, ValueError)

_SERVICE = "phaseline.v1."
_GRACE_OF_CONNECTIONS = timedelta(minutes=2)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: What a second signal leaves the worker inside to stop its programs, in seconds.
_LAST_WORDS = 1.5


async def serve(
    settings: Settings,
    *,
    registry: Registry | None = None,
    on_serving: Callable[[int], None] | None = None,
    shares_port: bool = False,
) -> None:
    """
    Run a server, with a worker inside if there is a *registry*, until SIGINT or SIGTERM.

    The first signal drains it, a second one ends it at once. *on_serving* is called with the port
    once it serves; others that share it may listen, too. Raises `SettingsError` for settings
    that do not fit together, and else what `CANNOT_START` holds.
    """
    with _signals() as stopping:
        async with running(settings, shares_port=shares_port) as server:
            heap.settle()
            log.info("serving", listen=settings.listen, port=server.port)
            if on_serving is not None:
                on_serving(server.port)
            if registry is None:
                await stopping.begun.wait()
            else:
                source = LocalSource(server.work, Caller(), _sizes(settings))
                async with embedded(source, registry, _runner_options(settings)) as runner:
                    # Programs that it runs would outlive this process.
                    stopping.on_hurry(runner.stop)
                    await stopping.begun.wait()
            log.info("draining")
            await server.drain(settings.drain_timeout.total_seconds())
    log.info("stopped")


@asynccontextmanager
async def running(settings: Settings, *, shares_port: bool = False) -> AsyncIterator[Server]:
    """Open the store and serve it, for the block."""
    check_exposure(settings)
    authenticator = await asyncio.to_thread(_authenticator, settings)
    tls = await asyncio.to_thread(_tls, settings)
    await asyncio.to_thread(settings.make_data_directory)
    store = await open_store(
        settings.database_url, pool_size=settings.db_pool_size, **_pooling(settings)
    )
    try:
        async with _Core(store).run(_policy(settings)) as core:
            server = Server(settings, core, authenticator, tls, shares_port)
            await server.start()
            try:
                yield server
            finally:
                await server.drain(0)
    finally:
        await store.close()


async def upgrade_database(settings: Settings) -> str:
    """Bring the tables to what this program works with; return their version."""
    await asyncio.to_thread(settings.make_data_directory)
    store = await open_store(settings.database_url, **_pooling(settings))
    await store.close()
    return await database_version(settings)


async def database_version(settings: Settings) -> str:
    """Return the version of the tables; empty if there are none yet."""
    return await stored_version(settings.database_url, **_pooling(settings))


async def copy_database(
    source: Settings, target: Settings, told: Callable[[str, int], None]
) -> None:
    """Move all of one database to another one, which is empty; *told* of tables and rows."""
    from phaseline.store.copying import copy  # no server needs it

    await copy(source.database_url, target.database_url, told)


async def fill_database(settings: Settings, executions: int) -> None:
    """Add so many executions that have ended, to measure how a server does that has them."""
    from phaseline.store.fill import fill  # no server needs what makes them up

    await fill(settings.database_url, executions, encoder=Encoder(), clock=SystemClock())


def check_exposure(settings: Settings) -> None:
    """Raise `SettingsError` if strangers could call the server, and nobody said that they may."""
    if settings.insecure or _is_loopback(settings.listen):
        return
    if settings.credentials_file is None:
        raise SettingsError(
            f"{settings.listen} can be reached from other machines, and there are no credentials: "
            "give credentials_file, listen on 127.0.0.1, or say insecure"
        )
    if settings.tls_certificate is None:
        raise SettingsError(
            f"{settings.listen} can be reached from other machines, and tokens would travel in the "
            "clear: give tls_certificate and tls_key, listen on 127.0.0.1, or say insecure"
        )


class _Entropy:
    """`Entropy` of app/ports.py. It asks the system for the bits of many ids at once."""

    # Bytes for 74 bits, and what is too much of them.
    _SIZE, _EXTRA = 10, 6

    def __init__(self) -> None:
        self._drawn: list[int] = []

    def bits(self) -> int:
        if not self._drawn:
            drawn = secrets.token_bytes(256 * self._SIZE)
            self._drawn = [
                int.from_bytes(drawn[at : at + self._SIZE], "big") >> self._EXTRA
                for at in range(0, len(drawn), self._SIZE)
            ]
        return self._drawn.pop()

    def fraction(self) -> float:
        return random.random()


class _Core:
    """What is behind the RPCs: the store, its writer, and who is told of commits."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock, self.entropy = SystemClock(), _Entropy()
        self.signer = Signer(store.secret)
        self.signal = Signal(self.clock, Tail(store.head))
        self.tokens = ResumeTokens(self.signer, store.epoch)
        self.points = points_from(os.environ.get(CRASH_VARIABLE, ""))
        self.writer: GroupWriter = store.writer(
            self.signal,
            Encoder(),
            self.clock,
            self.points or NoPoints(),
            pulse=Pulse(self.clock),
        )
        self._alarm = MemoryAlarm(store.working, self.clock)

    @asynccontextmanager
    async def run(self, policy: Policy) -> AsyncIterator[_Core]:
        """Commit what is posted, let time act, and let go of what is old, for the block."""
        timers = Timers(self.writer, self._alarm, clock=self.clock, entropy=self.entropy)
        retention = Retention(self.writer, self.store.stale, policy, clock=self.clock)
        async with asyncio.TaskGroup() as tasks:
            keeping_up = tasks.create_task(self.store.keep_up())
            writing = tasks.create_task(self.writer.run())
            timing = tasks.create_task(timers.run())
            sweeping = tasks.create_task(retention.run())
            try:
                yield self
            finally:
                timing.cancel()
                sweeping.cancel()
                self.writer.close()
                await writing
                keeping_up.cancel()


class Server:
    """The services of one process, and the gRPC server that listens for them."""

    def __init__(
        self,
        settings: Settings,
        core: _Core,
        authenticator: Authenticator,
        tls: Tls | None,
        shares_port: bool,
    ) -> None:
        limits = _limits(settings)
        self.work = Work(
            core.writer,
            core.store.reads,
            entropy=core.entropy,
            signer=core.signer,
            prices=PriceList(_prices(settings)),
            assignments=Assignments(
                core.store.reads, clock=core.clock, signer=core.signer, limits=limits
            ),
            limits=limits,
        )
        self._draining = Draining()
        self._watching = Watching(_shared(settings, core))
        self._health = Health(lambda: core.writer.is_well)
        self._grpc, self.port = build_server(
            self._servicers(settings, core, limits),
            self._health,
            Options(
                settings.listen,
                tls,
                shares_port=shares_port,
                max_request_size=settings.limits.request_size,
                # A watch may be as old as its connection, and then goes on until its own end.
                max_connection_grace=settings.watch.max_age + _GRACE_OF_CONNECTIONS,
            ),
            authenticator,
            core.points,
        )

    def _servicers(
        self, settings: Settings, core: _Core, limits: Limits
    ) -> Mapping[str, Sequence[object]]:
        return {
            _SERVICE + "ExecutionService": self._execution_servicers(settings, core, limits),
            _SERVICE + "WorkflowService": (
                WorkflowService(
                    Workflows(core.writer, core.store.reads, signer=core.signer, limits=limits)
                ),
            ),
            _SERVICE + "WorkerService": (
                WorkerService(
                    self.work,
                    clock=core.clock,
                    draining=self._draining,
                    defaults=LeaseDefaults(settings.leases.wait, settings.leases.duration),
                    sizes=_sizes(settings),
                ),
            ),
            _SERVICE + "ArtifactService": (
                ArtifactService(Artifacts(core.store.reads, signer=core.signer)),
            ),
        }

    def _execution_servicers(
        self, settings: Settings, core: _Core, limits: Limits
    ) -> Sequence[object]:
        executions = Executions(
            core.writer,
            core.store.reads,
            core.signal,
            clock=core.clock,
            entropy=core.entropy,
            signer=core.signer,
            limits=limits,
        )
        batches = Batches(
            core.writer,
            clock=core.clock,
            entropy=core.entropy,
            signer=core.signer,
            limits=limits,
        )
        controls = Controls(core.writer, limits=limits)
        return (
            ExecutionService(
                executions,
                batches,
                Trees(core.store.reads),
                clock=core.clock,
                tokens=core.tokens,
                draining=self._draining,
            ),
            ExecutionControls(controls, clock=core.clock, grace=settings.leases.grace_period),
            ExecutionWatches(self._watching, bookmark_interval=settings.watch.bookmark_interval),
        )

    async def start(self) -> None:
        """Take calls."""
        await self._grpc.start()

    async def drain(self, timeout: float) -> None:
        """Send new callers elsewhere, end what only waits, and let running calls end in time."""
        self._health.drain()
        self._draining.begin()
        self.work.drain()
        self._watching.drain()
        self._health.close()
        await self._grpc.stop(timeout)


class _Stopping:
    """Whether the process was told to stop, and what is to happen if it is told again."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self._hurry: Callable[[], object] = lambda: None

    def on_hurry(self, act: Callable[[], object]) -> None:
        """Call *act* at a second signal, shortly before the process ends."""
        self._hurry = act

    def received(self) -> None:
        """Take a signal in."""
        if not self.begun.is_set():
            self.begun.set()
            return
        self._hurry()
        # What is committed is safe, and whoever asks twice does not want to wait for the rest.
        asyncio.get_running_loop().call_later(_LAST_WORDS, os._exit, 130)


@contextmanager
def _signals() -> Iterator[_Stopping]:
    """Listen for the signals that stop the process."""
    stopping = _Stopping()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.received)
    try:
        yield stopping
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _shared(settings: Settings, core: _Core) -> Shared:
    limits, codec = settings.limits, Frames()
    terms = Terms(
        retention=settings.retention.changes,
        max_age=settings.watch.max_age,
        per_process=limits.watches_per_process,
        per_workspace=limits.watches_per_workspace,
    )
    return Shared(
        clock=core.clock,
        entropy=core.entropy,
        signal=core.signal,
        history=core.store.log,
        state=core.store.reads,
        encoder=Encoder(),
        codec=codec,
        payloads=StoredPayloads(core.store.reads, codec),
        tokens=core.tokens,
        terms=terms,
        turns=asyncio.Semaphore(terms.readers),
    )


def _pooling(settings: Settings) -> dict[str, bool]:
    return {"listens": settings.db_listen, "prepares": settings.db_prepare}


def _is_loopback(listen: str) -> bool:
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _authenticator(settings: Settings) -> Authenticator:
    if settings.credentials_file is None:
        return Anyone()
    return Tokens(load_credentials(settings.credentials_file), now=SystemClock().now)


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Tls(settings.tls_certificate.read_bytes(), settings.tls_key.read_bytes())


def _limits(settings: Settings) -> Limits:
    limits = settings.limits
    return Limits(
        start=StartLimits(inputs=limits.inputs_size, payload=limits.payload_size),
        payload=limits.payload_size,
        phases_per_workflow=limits.phases_per_workflow,
        tree_depth=limits.tree_depth,
        tree_size=limits.tree_size,
        active_executions=limits.active_executions,
        batch=limits.batch_size,
        queue_concurrency=settings.queue_concurrency,
    )


def _policy(settings: Settings) -> Policy:
    kept = settings.retention
    return Policy(
        changes=kept.changes,
        changes_count=kept.changes_count,
        request_ids=kept.request_ids,
        purge_after=kept.purge_after,
        delete_after=kept.delete_after,
    )


def _sizes(settings: Settings) -> Sizes:
    return Sizes(payload=settings.limits.payload_size)


def _prices(settings: Settings) -> dict[str, Price]:
    return {model: Price(**price.model_dump()) for model, price in settings.prices.items()}


def _runner_options(settings: Settings) -> RunnerOptions:
    chosen = settings.worker
    return RunnerOptions(
        worker_id=chosen.worker_id,
        slots=chosen.slots,
        queue_names=chosen.queues,
        deployment_id=chosen.deployment_id,
        wait=settings.leases.wait,
        lease_duration=settings.leases.duration,
        drain_timeout=settings.drain_timeout,
    )
