"""What to measure, and for how long."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

#: In the order in which they are measured.
SCENARIOS = (
    *("execute", "status", "get", "list", "active", "end-to-end", "agents"),
    *("watch-fan-out", "watch-lag", "watch-full", "watch-catch-up", "watch-idle"),
    *("memory", "faults", "history", "restart"),
)
#: One word for several.
GROUPS = {"watch": tuple(name for name in SCENARIOS if name.startswith("watch-"))}
WORKERS = ("external", "embedded")
#: They end servers, look into their processes or fill their databases.
OWN_SERVER = frozenset({"watch-idle", "memory", "faults", "restart", "history"})


class PlanError(Exception):
    """The plan asks for something that cannot be measured; the text says why."""


class Plan(msgspec.Struct, frozen=True):
    """What to measure; made by `plan_of`."""

    scenarios: tuple[str, ...] = SCENARIOS
    rounds: int = 3
    #: For each figure of a rate.
    seconds: float = 3.0
    #: Of a running server; empty starts one for each scenario.
    address: str = ""
    #: Directory for SQLite files, or URL of an empty PostgreSQL database; empty is a directory
    #: that is removed.
    db: str = ""
    #: Server processes on one port, which only PostgreSQL lets share a database.
    processes: int = 1
    #: That the callers of a scenario share; of one, a single process gets all calls.
    connections: int = 1
    #: Of the executions that go from end to end.
    phases: tuple[int, ...] = (1, 3, 10)
    #: Who runs them: an "external" worker process, the "embedded" one of the server.
    workers: tuple[str, ...] = WORKERS
    #: Executions that are there already in `history`; `restart` takes the largest.
    executions: tuple[int, ...] = (10_000, 100_000, 1_000_000)

    @property
    def is_on_postgresql(self) -> bool:
        return "://" in self.db


def plan_of(words: Sequence[str], plan: Plan) -> Plan:
    """
    Return *plan* with the scenarios that *words* name, or with all that can be measured.

    Raises `PlanError`.
    """
    chosen = {name for word in words for name in GROUPS.get(word, (word,))}
    if unknown := sorted(chosen - set(SCENARIOS)):
        known = ", ".join((*SCENARIOS, *GROUPS))
        raise PlanError(f"there is no scenario {unknown[0]!r}; there are {known}")
    if plan.address and (own := sorted(chosen & OWN_SERVER)):
        raise PlanError(f"{own[0]} needs a server of its own, and an address is given")
    if plan.processes > 1:
        if not plan.is_on_postgresql:
            raise PlanError("several processes need a PostgreSQL database, and none is given")
        if own := sorted(chosen & OWN_SERVER):
            raise PlanError(f"{own[0]} looks into one process, and {plan.processes} are asked for")
    if unknown := sorted(set(plan.workers) - set(WORKERS)):
        raise PlanError(f"there is no worker {unknown[0]!r}; there are {', '.join(WORKERS)}")
    if (plan.address or plan.processes > 1) and "embedded" in plan.workers:
        plan = msgspec.structs.replace(plan, workers=("external",))
    if not chosen:
        is_looked_into = not plan.address and plan.processes == 1
        chosen = set(SCENARIOS) - (frozenset() if is_looked_into else OWN_SERVER)
    scenarios = tuple(name for name in SCENARIOS if name in chosen)
    return msgspec.structs.replace(plan, scenarios=scenarios)
