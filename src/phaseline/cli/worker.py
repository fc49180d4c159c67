"""The command that runs a worker."""

from __future__ import annotations

import importlib
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from phaseline.cli.failures import Refused
from phaseline.cli.options import Logging
from phaseline.cli.session import Session, credentials

if TYPE_CHECKING:
    from phaseline.settings import Settings
    from phaseline.worker.registry import HandlerFunction, Registry


@dataclass(frozen=True)
class Working:
    """What a worker runs and how it presents itself."""

    module: Annotated[
        list[str] | None,
        typer.Option(
            "--module", "-m", help="Python module with handlers; repeatable.", show_default=False
        ),
    ] = None
    queue: Annotated[
        list[str] | None,
        typer.Option(
            "--queue",
            "--queue-name",
            help="Queue to take phases from; repeatable; default by default.",
            show_default=False,
        ),
    ] = None
    slots: Annotated[
        int | None,
        typer.Option(min=1, help="Phases run at the same time; 16 by default.", show_default=False),
    ] = None
    worker_id: Annotated[
        str | None,
        typer.Option(help="Name, unique among workers; made up by default.", show_default=False),
    ] = None
    deployment_id: Annotated[
        str | None, typer.Option(help="Code version to announce.", show_default=False)
    ] = None
    pass_environment: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Variable that programs and agents see as well; repeatable.",
            show_default=False,
        ),
    ] = None
    drain_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="How long running phases may take to end after SIGTERM; 30s by default.",
            show_default=False,
        ),
    ] = None


async def worker(session: Session, working: Working, logging: Logging) -> None:
    """
    Lease phases from a server and run them.

    SIGTERM or Ctrl-C lets running phases end first; a second one gives them back at once.
    """
    from phaseline.telemetry import set_up_logging

    settings = session.settings_with(
        worker={
            "modules": working.module or None,
            "queues": working.queue or None,
            "slots": working.slots,
            "worker_id": working.worker_id,
            "deployment_id": working.deployment_id,
            "pass_environment": working.pass_environment or None,
        },
        drain_timeout=working.drain_timeout,
        **asdict(logging),
    )
    set_up_logging(settings.log_level, settings.log_format)
    remove_leftovers()
    await _run(settings, handlers(settings))


def handlers(settings: Settings) -> Registry:
    """Return the handlers that ship, and those that the modules register when imported."""
    from phaseline.worker.registry import Registry, default_registry

    # What `python -m` would find is found here as well, though a console script started us.
    if "" not in sys.path:
        sys.path.insert(0, "")
    for name in settings.worker.modules:
        _import(name)
    registry = Registry()
    registry.include(default_registry)
    for name, function in _shipped(settings).items():
        if registry.get(name) is None:
            registry.add(name, function)
    return registry


def remove_leftovers() -> None:
    """Remove the working directories that workers have left here which were killed."""
    from phaseline.worker.handlers.workdir import default_parent, remove_orphans

    remove_orphans(default_parent())


def _shipped(settings: Settings) -> dict[str, HandlerFunction]:
    from phaseline.app.prices import Price, PriceList
    from phaseline.worker.handlers.agent import AgentHandler
    from phaseline.worker.handlers.command import CommandHandler

    chosen = settings.worker
    own = {model: Price(**price.model_dump()) for model, price in settings.prices.items()}
    return {
        "command": CommandHandler(pass_environment=chosen.pass_environment),
        "agent": AgentHandler(
            pass_environment=chosen.pass_environment,
            work_root=chosen.work_root,
            prices=PriceList(own),
        ),
    }


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if not f"{name}.".startswith(f"{missing}."):
            raise Refused(f"module {name!r} needs {missing!r}, which is not installed") from error
        raise Refused(
            f"there is no module {name!r}",
            hint="it is looked for in the working directory and among installed packages",
        ) from None


async def _run(settings: Settings, registry: Registry) -> None:
    from phaseline.worker.runner import RunnerOptions
    from phaseline.worker.source import GrpcSource
    from phaseline.worker.standalone import work

    chosen = settings.worker
    options = RunnerOptions(
        worker_id=chosen.worker_id,
        slots=chosen.slots,
        queue_names=chosen.queues,
        deployment_id=chosen.deployment_id,
        wait=settings.leases.wait,
        lease_duration=settings.leases.duration,
        drain_timeout=settings.drain_timeout,
    )
    token, ca = credentials(settings)
    source = GrpcSource.connect(settings.server, token=token, ca=ca, tls=settings.tls)
    async with source:
        await work(source, registry, options)
