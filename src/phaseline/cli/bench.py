"""Commands that measure a server, and fill a database for that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phaseline.cli.failures import ExitCode, Refused
from phaseline.cli.session import Session

if TYPE_CHECKING:
    from phaseline.bench.plan import Plan
    from phaseline.bench.results import Result

Scenarios = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SCENARIO]...", help="What to measure; all by default."),
]


@dataclass(frozen=True)
class Measuring:
    """How long to measure, where and on what."""

    rounds: Annotated[int, typer.Option(min=1, help="Times that each is measured.")] = 3
    seconds: Annotated[
        float, typer.Option(min=0.05, help="How long each rate is measured in a round.")
    ] = 3.0
    address: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="A running server; one is started for each scenario by default.",
            show_default=False,
        ),
    ] = ""
    db: Annotated[
        str,
        typer.Option(
            metavar="DIRECTORY|URL",
            help="Where SQLite files are made, or an empty PostgreSQL database.",
            show_default=False,
        ),
    ] = ""
    processes: Annotated[
        int, typer.Option(min=1, help="Server processes on one port, over PostgreSQL.")
    ] = 1
    connections: Annotated[
        int,
        typer.Option(min=1, help="Connections that callers share; of one, one process gets all."),
    ] = 1
    phases: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Phases, end to end; repeatable; 1, 3, 10 by default.", show_default=False
        ),
    ] = None
    worker: Annotated[
        list[str] | None,
        typer.Option(
            help="external or embedded, end to end; repeatable; both by default.",
            show_default=False,
        ),
    ] = None
    executions: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Size of a history; repeatable; 10000, 100000, 1000000 by default.",
            show_default=False,
        ),
    ] = None

    def plan(self) -> Plan:
        """Return the plan that the options say, for all scenarios."""
        from phaseline.bench.plan import Plan

        default = Plan()
        return Plan(
            rounds=self.rounds,
            seconds=self.seconds,
            address=self.address,
            db=self.db,
            processes=self.processes,
            connections=self.connections,
            phases=tuple(self.phases or default.phases),
            workers=tuple(self.worker or default.workers),
            executions=tuple(sorted(self.executions or default.executions)),
        )


async def bench(
    session: Session,
    measuring: Measuring,
    scenario: Scenarios = None,
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the figures there as JSON.", show_default=False),
    ] = None,
) -> None:
    """
    Measure a server: rates, times, memory, and how they grow.

    Rates of calls are shown as a share of what a bare gRPC server reaches that always sends the
    same answer. Client, server, worker and watchers are processes of their own. Scenarios: execute,
    status, get, list, active, end-to-end, agents, watch (watch-fan-out, watch-lag, watch-full,
    watch-catch-up, watch-idle), memory, faults, history, restart.
    """
    from phaseline import heap
    from phaseline.bench.plan import PlanError, plan_of
    from phaseline.bench.run import run

    try:
        plan = plan_of(scenario or (), measuring.plan())
    except PlanError as error:
        raise Refused(str(error)) from None

    heap.settle()
    report = await run(plan, lambda result: session.output.note(_told(result)))
    session.output.text(report.text())
    if json is not None:
        json.write_text(report.json() + "\n", encoding="utf-8")
    if report.failed:
        raise typer.Exit(ExitCode.OTHER)


async def fill(
    session: Session,
    executions: Annotated[int, typer.Option(min=1, help="How many.")],
    db: Annotated[str, typer.Option(metavar="PATH|URL", help="The database.")],
) -> None:
    """Add executions that have ended to a database, for `bench`."""
    from phaseline import serve

    await serve.fill_database(session.settings_with(db=db), executions)


def _told(result: Result) -> str:
    from phaseline.bench.report import number

    return f"{result.name}: {number(result.value)} {result.unit}"
