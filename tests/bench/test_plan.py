"""A plan names what is measured, and refuses what cannot be."""

from __future__ import annotations

import pytest

from phaseline.bench.plan import OWN_SERVER, SCENARIOS, Plan, PlanError, plan_of
from phaseline.bench.run import SCENARIOS as MEASURED
from phaseline.bench.run import turns


def test_without_names_everything_is_measured() -> None:
    assert plan_of((), Plan()).scenarios == SCENARIOS


def test_every_scenario_can_be_measured() -> None:
    assert set(MEASURED) == set(SCENARIOS)


def test_scenarios_come_in_their_own_order_and_once() -> None:
    plan = plan_of(("memory", "execute", "memory"), Plan())
    assert plan.scenarios == ("execute", "memory")


def test_one_word_stands_for_all_scenarios_of_watching() -> None:
    assert plan_of(("watch",), Plan()).scenarios == (
        "watch-fan-out",
        "watch-lag",
        "watch-full",
        "watch-catch-up",
        "watch-idle",
    )


def test_an_unknown_scenario_is_refused_with_those_there_are() -> None:
    with pytest.raises(PlanError, match=r"no scenario 'speed'; there are execute, .*, watch$"):
        plan_of(("speed",), Plan())


def test_an_unknown_worker_is_refused() -> None:
    with pytest.raises(PlanError, match="no worker 'remote'; there are external, embedded"):
        plan_of((), Plan(workers=("remote",)))


def test_a_running_server_is_not_ended_nor_filled() -> None:
    plan = plan_of((), Plan(address="127.0.0.1:7171"))
    assert set(plan.scenarios) == set(SCENARIOS) - OWN_SERVER
    assert plan.workers == ("external",)
    with pytest.raises(PlanError, match="restart needs a server of its own"):
        plan_of(("restart",), plan)


def test_several_processes_share_a_postgresql_database() -> None:
    plan = plan_of((), Plan(db="postgresql://here/bench", processes=2))
    assert set(plan.scenarios) == set(SCENARIOS) - OWN_SERVER
    assert plan.workers == ("external",)
    with pytest.raises(PlanError, match="several processes need a PostgreSQL database"):
        plan_of((), Plan(processes=2))
    with pytest.raises(PlanError, match="memory looks into one process, and 2 are asked for"):
        plan_of(("memory",), plan)


def test_scenarios_take_turns_and_those_that_fill_a_database_come_last() -> None:
    plan = plan_of(("restart", "history", "execute", "memory"), Plan(rounds=2))
    assert list(turns(plan)) == [
        *("execute", "memory", "execute", "memory"),
        *("history", "restart", "restart"),
    ]
