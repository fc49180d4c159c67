"""Who gets which phase: by priority, in turns, the oldest first."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import islice

import pytest
from msgspec.structs import replace

from phaseline.domain.execution import Execution
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.domain.report import LeaseRequest
from phaseline.domain.start import Place, StartRequest, start
from phaseline.store.ordered import Ordered
from phaseline.store.ready import ReadyPhases
from tests.support import make
from tests.support.clock import START

ANY = make.lease_request()
COUNTS = Ordered._counts


def execution(
    name: str, *, age: int = 0, flow: str = "flow", handler: str = "work", **said: object
) -> Execution:
    """Return an execution of which the first phase is ready, so many seconds old."""
    spec = make.workflow(
        [make.phase_spec(handler=handler), make.phase_spec("p1")], workflow_id=flow
    )
    request = StartRequest(flow, **said)  # type: ignore[arg-type]
    return start(request, spec, Place("default", name), START - timedelta(seconds=age))[0]


def line(*executions: Execution) -> ReadyPhases:
    ready = ReadyPhases()
    for each in executions:
        ready.replace(None, each)
    return ready


def names(ready: ReadyPhases, request: LeaseRequest = ANY, workspace_id: str = "default") -> str:
    """Return who is served, in order."""
    return " ".join(slot.key.execution_id for slot in ready.take(workspace_id, request))


@pytest.mark.parametrize(
    ("waiting", "served"),
    [
        ([execution("young", age=1), execution("old", age=9)], "old young"),
        ([execution("b"), execution("a")], "b a"),
        ([execution("low", age=9), execution("high", priority=1)], "high low"),
        ([execution("zero"), execution("below", age=9, priority=-1)], "zero below"),
    ],
)
def test_priority_goes_before_age(waiting: Sequence[Execution], served: str) -> None:
    assert names(line(*waiting)) == served


def test_workflows_take_turns() -> None:
    many = [execution(f"many{at}", age=9 - at, flow="many") for at in range(4)]
    ready = line(*many, execution("few0", flow="few"), execution("few1", flow="few"))
    assert names(ready) == "many0 few0 many1 few1 many2 many3"


def test_turns_go_on_from_one_poll_to_the_next() -> None:
    ready = line(
        execution("a0", age=9, flow="a"),
        execution("a1", age=8, flow="a"),
        execution("b0", age=1, flow="b"),
    )
    first = next(ready.take("default", ANY))
    assert first.key.execution_id == "a0"
    assert names(ready).startswith("b0")


def test_a_workflow_of_its_own_gets_nobody_ahead() -> None:
    """Else whoever names a workflow for every execution is always served first."""
    ready = line(*(execution(f"b{at}", age=9, flow="b") for at in range(2)))
    ready.replace(None, execution("a", age=9, flow="a"))
    served = []
    for at in range(8):
        mine = execution(f"x{at}", flow=f"x{at}")
        ready.replace(None, mine)
        [name] = (slot.key.execution_id for slot in islice(ready.take("default", ANY), 1))
        served.append(name)
        if name.startswith("x"):
            ready.remove(execution(name, flow=name))
    assert " ".join(served) == "b0 a x0 x1 b0 x2 a x3"


def test_a_new_workflow_goes_ahead_of_the_one_that_was_just_served() -> None:
    many = [execution(f"many{at}", age=9 - at, flow="many") for at in range(3)]
    ready = line(*many)
    for _ in range(2):
        next(ready.take("default", ANY))
    ready.replace(None, execution("few", flow="few"))
    assert names(ready) == "few many0 many1 many2"


def test_a_better_one_moves_its_workflow_ahead() -> None:
    better = execution("b1", priority=1, flow="b")
    ready = line(execution("a0", age=9, flow="a"), execution("b0", flow="b"), better)
    assert names(ready).startswith("b1")
    ready.remove(better)
    assert names(ready) == "a0 b0"


def test_what_is_taken_does_not_depend_on_how_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = line(*(execution(f"e{at}", age=at, flow=f"flow{at}") for at in range(1_000)))
    looked_at = []

    def counts(line: Ordered[object], entry: tuple[object, int, object]) -> bool:
        looked_at.append(entry)
        return COUNTS(line, entry)

    monkeypatch.setattr(Ordered, "_counts", counts)
    for at in range(100):
        slot = next(ready.take("default", ANY))
        assert slot.key.execution_id == f"e{999 - at}"
    assert len(looked_at) < 100 * 20


def test_a_workflow_has_one_turn_whatever_its_handlers() -> None:
    ready = line(
        execution("a0", age=9, flow="a", handler="x"),
        execution("a1", age=8, flow="a", handler="y"),
        execution("b0", age=1, flow="b"),
    )
    assert names(ready) == "a0 b0 a1"


def test_priority_goes_before_turns() -> None:
    ready = line(
        execution("a0", priority=5, flow="a"),
        execution("a1", age=9, priority=5, flow="a"),
        execution("b0", age=99, flow="b"),
    )
    assert names(ready) == "a1 a0 b0"


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ({}, "plain"),
        ({"handlers": ("work",)}, "plain"),
        ({"handlers": ("other",)}, "other"),
        ({"handlers": ("none",)}, ""),
        ({"queue_names": ("bulk",)}, "bulk"),
        ({"queue_names": ("bulk", "bulk")}, "bulk"),
        ({"queue_names": ("none",)}, ""),
        ({"deployment_id": "blue"}, "blue plain"),
    ],
)
def test_a_worker_gets_what_it_asks_for(asked: dict[str, object], served: str) -> None:
    ready = line(
        execution("plain"),
        execution("bulk", queue_name="bulk"),
        execution("blue", age=9, deployment_id="blue", flow="blue"),
    )
    if "handlers" in asked:
        ready.replace(None, execution("other", handler="other"))
    request = make.lease_request(**asked)  # type: ignore[arg-type]
    assert names(ready, request) == served
    assert ready.offers("default", request) is bool(served)


def test_a_workspace_sees_its_own() -> None:
    ready = line(execution("mine"))
    assert names(ready, workspace_id="theirs") == ""
    assert not ready.offers("theirs", ANY)


def test_what_was_yielded_stays_in_line_until_it_is_leased() -> None:
    """It used to be lost when the line was emptied, and then nobody got it any more."""
    waiting = execution("e")
    ready = line(waiting)
    assert [names(ready), names(ready)] == ["e", "e"]
    ready.replace(waiting, make.leased(waiting))
    assert names(ready) == ""
    assert not ready.offers("default", ANY)


def test_a_paused_execution_waits_for_its_end() -> None:
    waiting = execution("e")
    ready = line(waiting)
    paused = replace(waiting, status=ExecutionStatus.PAUSED)
    ready.replace(waiting, paused)
    assert names(ready) == ""
    ready.replace(paused, waiting)
    assert names(ready) == "e"


def test_a_removed_execution_is_not_in_line() -> None:
    waiting = execution("e")
    ready = line(waiting, execution("f"))
    assert len(ready) == 2
    ready.remove(waiting)
    assert (names(ready), len(ready)) == ("f", 1)


def test_empty_lines_take_no_room() -> None:
    ready = ReadyPhases()
    for at in range(100):
        waiting = execution(f"e{at}", flow=f"flow{at}", queue_name=f"queue{at}")
        ready.replace(None, waiting)
        ready.remove(waiting)
    assert ready._queues == {}
