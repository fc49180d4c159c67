"""Every status × trigger: in the table, or refused; and what is said of the tables elsewhere."""

import itertools
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from phaseline.domain import lifecycle
from phaseline.domain.diagram import execution_diagram, phase_diagram
from phaseline.domain.errors import IllegalTransition
from phaseline.domain.lifecycle import (
    ACTIVE,
    EXECUTION_TRANSITIONS,
    PHASE_TERMINAL,
    PHASE_TRANSITIONS,
    TERMINAL,
    ExecutionTrigger,
    PhaseTrigger,
    phase_step,
    step,
)
from phaseline.domain.lifecycle import ExecutionStatus as E
from phaseline.domain.lifecycle import PhaseStatus as P

PROTO = Path(__file__).parents[2] / "protos" / "phaseline" / "v1" / "execution.proto"
Table = Mapping[tuple[E, ExecutionTrigger], E] | Mapping[tuple[P, PhaseTrigger], P]


@pytest.mark.parametrize(("status", "trigger"), list(itertools.product(E, ExecutionTrigger)))
def test_an_execution_moves_as_the_table_says_or_not_at_all(
    status: E, trigger: ExecutionTrigger
) -> None:
    target = EXECUTION_TRANSITIONS.get((status, trigger))
    if target is not None:
        assert step(status, trigger) is target
        return
    with pytest.raises(IllegalTransition, match=f"'e1' is {status} and cannot {trigger}"):
        step(status, trigger, "e1")


@pytest.mark.parametrize(("status", "trigger"), list(itertools.product(P, PhaseTrigger)))
def test_a_phase_moves_as_the_table_says_or_not_at_all(status: P, trigger: PhaseTrigger) -> None:
    target = PHASE_TRANSITIONS.get((status, trigger))
    if target is not None:
        assert phase_step(status, trigger) is target
        return
    with pytest.raises(IllegalTransition, match=f"'p1' is {status} and cannot {trigger}"):
        phase_step(status, trigger, "p1")


def test_terminal_is_what_only_a_retry_leaves() -> None:
    assert {E.COMPLETED, E.FAILED, E.CANCELLED} == TERMINAL
    assert {E.PENDING, E.RUNNING, E.PAUSED, E.CANCELLING} == ACTIVE
    assert {P.COMPLETED, P.FAILED, P.CANCELLED, P.SKIPPED} == PHASE_TERMINAL


def test_every_status_is_reached_from_the_first() -> None:
    assert _reached(EXECUTION_TRANSITIONS, E.PENDING) == set(E)
    assert _reached(PHASE_TRANSITIONS, P.PENDING) == set(P)


def test_every_active_status_leads_to_an_end() -> None:
    assert all(_reached(EXECUTION_TRANSITIONS, status) & TERMINAL for status in ACTIVE)


def test_every_trigger_moves_something() -> None:
    assert {trigger for _, trigger in EXECUTION_TRANSITIONS} == set(ExecutionTrigger)
    assert {trigger for _, trigger in PHASE_TRANSITIONS} == set(PhaseTrigger)


@pytest.mark.parametrize(
    ("predicate", "statuses"),
    [
        (lifecycle.has_not_begun, {E.PENDING}),
        (lifecycle.is_paused, {E.PAUSED}),
        (lifecycle.is_cancelling, {E.CANCELLING}),
        (lifecycle.is_going, {E.PENDING, E.RUNNING}),
        (lifecycle.is_held, {P.PENDING}),
        (lifecycle.is_waiting, {P.PENDING, P.READY}),
        (lifecycle.is_completed, {P.COMPLETED}),
        (lifecycle.has_failed, {P.FAILED}),
    ],
)
def test_a_predicate_holds_for_its_statuses_alone(predicate: object, statuses: set[E | P]) -> None:
    kind = type(next(iter(statuses)))
    assert callable(predicate)
    assert {status for status in kind if predicate(status)} == statuses


def test_only_a_ready_phase_of_an_execution_that_is_not_paused_can_be_leased() -> None:
    leasable = {(a, b) for a, b in itertools.product(E, P) if lifecycle.may_lease(a, b)}
    assert leasable == {(status, P.READY) for status in E if status is not E.PAUSED}


def test_the_contract_lists_the_moves_of_an_execution() -> None:
    assert _listed("ExecutionStatus", E) == _moves(EXECUTION_TRANSITIONS)


def test_the_contract_lists_the_moves_of_a_phase() -> None:
    assert _listed("PhaseStatus", P) == _moves(PHASE_TRANSITIONS)


def test_the_diagrams_have_every_move() -> None:
    assert _drawn(execution_diagram()) == _moves(EXECUTION_TRANSITIONS)
    assert _drawn(phase_diagram()) == _moves(PHASE_TRANSITIONS)


def test_a_diagram_begins_and_ends_where_the_lifecycle_does() -> None:
    lines = execution_diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> PENDING"]
    assert lines[-3:] == [
        f"    {status} --> [*]" for status in ("COMPLETED", "FAILED", "CANCELLED")
    ]


def test_triggers_that_lead_the_same_way_share_an_arrow() -> None:
    assert "    RUNNING --> PENDING: release, repeat\n" in phase_diagram()


def _reached(table: Table, first: E | P) -> set[E | P]:
    found: set[E | P] = set()
    coming = {first}
    while coming:
        found |= coming
        coming = {target for (source, _), target in table.items() if source in coming} - found
    return found


def _moves(table: Table) -> dict[str, set[str]]:
    moves: defaultdict[str, set[str]] = defaultdict(set)
    for (source, _), target in table.items():
        moves[source.name].add(target.name)
    return dict(moves)


def _listed(enum: str, kind: type[E] | type[P]) -> dict[str, set[str]]:
    """Return the moves that the comment of an enum lists: "A, B -> C (why), D, by Retry only"."""
    comment = re.search(rf"((?:^//.*\n)+)enum {enum} ", PROTO.read_text(), re.MULTILINE)
    assert comment, f"{enum} has a comment"
    moves: defaultdict[str, set[str]] = defaultdict(set)
    for sources, targets in re.findall(r"^//   (.+?) +-> (.+)$", comment[1], re.MULTILINE):
        names = set(re.findall(r"[A-Z]{2,}", re.sub(r"\(.*?\)", "", targets)))
        assert names <= {status.name for status in kind}
        for source in sources.split(", "):
            moves[source.strip()] |= names
    return dict(moves)


def _drawn(diagram: str) -> dict[str, set[str]]:
    moves: defaultdict[str, set[str]] = defaultdict(set)
    for source, target in re.findall(r"^    (\w+) --> (\w+): ", diagram, re.MULTILINE):
        moves[source].add(target)
    return dict(moves)
