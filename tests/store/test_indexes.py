"""What finds active executions keeps nothing of those that have ended, or that were undone."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from msgspec.structs import replace

from phaseline.app.ports import Child
from phaseline.domain.advance import settle
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.store.indexes import Indexes
from phaseline.store.ordered import Ordered
from tests.support import make
from tests.support.clock import START

PARENT = Key("default", "parent")


def child(execution_id: str = "e1") -> Execution:
    """Return a new execution that every index is told of."""
    made = make.execution(admitted=False, concurrency=make.limit(1))
    spec = replace(
        made.spec,
        execution_id=execution_id,
        parent_execution_id=PARENT.execution_id,
        root_execution_id=PARENT.execution_id,
        ancestor_execution_ids=(PARENT.execution_id,),
        step_key="step",
    )
    return replace(made, key=Key(spec.workspace_id, execution_id), spec=spec)


def admit(execution: Execution) -> Execution:
    """Return *execution* with a slot of its concurrency limit."""
    return settle(replace(execution, admitted=True), START)


def kept(indexes: Indexes) -> dict[str, object]:
    """Return the indexes that hold something."""
    found: dict[str, object] = {}
    for name, index in vars(indexes).items():
        if isinstance(index, Counter):
            index = {key: count for key, count in index.items() if count}
        elif isinstance(index, Ordered):
            index = list(index)
        if name == "ready" and not len(indexes.ready):
            continue
        if index:
            found[name] = index
    return found


def test_every_index_is_told_and_forgets_what_has_ended() -> None:
    indexes = Indexes()
    new = child()
    indexes.replace(None, new)
    assert indexes.steps == {Child(PARENT, "step"): new.key}
    assert set(kept(indexes)) == {"trees", "steps", "active", "waiting"}
    ready = admit(new)
    indexes.replace(new, ready)
    assert set(kept(indexes)) == {"ready", "trees", "steps", "active", "admitted"}
    running = make.leased(ready)
    indexes.replace(ready, running)
    assert {"leased", "leases", "_due"} <= set(kept(indexes))
    ended = make.after(running, make.DONE)
    assert ended.done
    indexes.replace(running, ended)
    assert kept(indexes) == {}


def test_what_is_removed_was_never_there() -> None:
    indexes = Indexes()
    running = make.leased(admit(child()))
    indexes.replace(None, running)
    indexes.remove(running)
    assert kept(indexes) == {}


def test_one_that_is_replaced_back_is_as_before() -> None:
    indexes = Indexes()
    new = admit(child())
    indexes.replace(None, new)
    before = kept(indexes)
    running = make.leased(new)
    indexes.replace(new, running)
    indexes.replace(running, new)
    assert kept(indexes) == before


def test_who_waits_for_a_slot_stands_by_priority_and_then_by_age() -> None:
    indexes = Indexes()
    ages = {"low": (0, 3), "young": (5, 0), "old": (5, 1)}
    for name, (priority, seconds) in ages.items():
        made = child(name)
        created_at = START - timedelta(seconds=seconds)
        spec = replace(made.spec, priority=priority, created_at=created_at, step_key="")
        indexes.replace(None, replace(made, spec=spec))
    (waiting,) = indexes.waiting.values()
    assert [key.execution_id for key in waiting] == ["old", "young", "low"]


def test_names_of_queues_and_workflows_are_kept_as_long_as_they_are_in_use() -> None:
    indexes = Indexes()
    for at in range(3):
        waiting = make.execution(queue_name=f"queue{at}")
        leased = make.leased(waiting)
        indexes.replace(None, waiting)
        indexes.replace(waiting, leased)
        assert len(indexes.leases) == 1
        ended = make.reported(leased, make.DONE).execution
        assert ended is not None
        indexes.replace(leased, ended)
    assert (indexes.leases, indexes.ready._queues) == ({}, {})
