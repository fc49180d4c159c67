"""What one process keeps in memory: found as long as it counts, and let go of in time."""

from msgspec.structs import replace

from phaseline.app.ports import Slot, WorkflowRef
from phaseline.domain.control import cancel
from phaseline.domain.execution import Content, Execution
from phaseline.domain.ids import Key
from phaseline.domain.payload import text_payload
from phaseline.domain.recording import Recorded
from phaseline.store import working as module
from phaseline.store.place import Place
from phaseline.store.working import Working
from tests.support import make

READ = Recorded(0, has_tool=True, is_model_call=False, goes_on=False)


def test_an_active_execution_is_in_memory_for_sure() -> None:
    working = Working()
    for number in range(3_000):
        working.put(_named(f"e{number}"))
    assert all(working.get(Key("default", f"e{number}")) for number in range(3_000))


def test_those_that_ended_last_are_kept_and_others_forgotten() -> None:
    working = Working()
    for number in range(module._KEPT_ENDED + 2):
        working.put(_ended(_named(f"e{number}")))
    assert working.get(Key("default", "e0")) is None
    assert working.get(Key("default", "e1")) is None
    assert working.get(Key("default", "e2")) is not None


def test_who_is_above_an_active_one_is_kept() -> None:
    """Else the budget of an ended parent does not count for what it started."""
    working, parent, child = Working(), _named("parent"), _named("child")
    spec = replace(
        child.spec,
        parent_execution_id="parent",
        root_execution_id="parent",
        ancestor_execution_ids=("parent",),
    )
    child = replace(child, spec=spec)
    parent = replace(parent, spec=replace(parent.spec, root_execution_id="parent"))
    working.adopt(child)
    working.adopt(_ended(parent))
    for number in range(2 * module._KEPT_ENDED):
        working.put(_ended(_named(f"e{number}")))
    assert working.get(parent.key) is not None
    working.adopt(_ended(child), child)
    for number in range(2 * module._KEPT_ENDED):
        working.put(_ended(_named(f"f{number}")))
    assert working.get(parent.key) is None
    assert len(working._ended) == module._KEPT_ENDED


def test_one_that_ends_is_active_no_more() -> None:
    working, one = Working(), _named("e1")
    working.put(one)
    working.put(_ended(one))
    assert not working.executions
    assert list(working.active_past("default", "")) == []
    assert working.get(one.key) == _ended(one)


def test_one_that_is_retried_is_active_again() -> None:
    working, one = Working(), _named("e1")
    working.put(_ended(one))
    working.put(one)
    assert [each.key for each in working.active_past("default", "")] == [one.key]


def test_one_that_is_retried_takes_no_room_among_those_that_ended() -> None:
    working, oldest, retried = Working(), _named("oldest"), _named("e1")
    for one in (_ended(oldest), _ended(retried), retried):
        working.put(one)
    for number in range(module._KEPT_ENDED - 1):
        working.put(_ended(_named(f"other{number}")))
    assert working.get(oldest.key) is not None


def test_a_place_of_another_database_is_never_reached() -> None:
    working = Working()
    working.place = Place("ours", head=5, commits=5)
    assert working.has_reached(Place("ours", head=4, commits=4))
    assert not working.has_reached(Place("ours", head=6, commits=6))
    assert not working.has_reached(Place("theirs", head=4, commits=4))


def test_the_active_ones_of_a_workspace_come_by_id() -> None:
    working = Working()
    for name in ("c", "a", "b"):
        working.put(_named(name))
    working.put(_in("other", _named("x")))
    found = [one.spec.execution_id for one in working.active_past("default", "a")]
    assert found == ["b", "c"]


def test_operations_are_known_of_attempts_that_began_here() -> None:
    working, one = Working(), _named("e1")
    slot = Slot(one.key, 0)
    leased = make.leased(one)
    working.replace(one, leased)
    assert working.attempts.get((slot, 1)) == {}
    working.record(slot, 1, {"o1": READ})
    assert working.attempts.get((slot, 1)) == {"o1": READ}


def test_operations_are_not_known_of_attempts_that_began_elsewhere() -> None:
    working, leased = Working(), make.leased(_named("e1"))
    working.adopt(leased)
    slot = Slot(leased.key, 0)
    working.record(slot, 1, {"o1": READ})
    assert working.attempts.get((slot, 1)) is None


def test_operations_are_forgotten_with_the_lease() -> None:
    working, one = Working(), _named("e1")
    leased = make.leased(one)
    working.replace(one, leased)
    working.replace(leased, make.after(leased, make.DONE))
    assert working.attempts.get((Slot(one.key, 0), 1)) is None


def test_operations_are_forgotten_when_somebody_else_ends_the_lease() -> None:
    working, one = Working(), _named("e1")
    leased = make.leased(one)
    working.replace(one, leased)
    working.indexes.replace(one, leased)
    working.adopt(make.after(leased, make.DONE), leased)
    assert working.attempts.get((Slot(one.key, 0), 1)) is None


def test_content_and_outputs_are_forgotten_once_purged() -> None:
    working, one = Working(), _named("e1")
    slot = Slot(one.key, 0)
    working.contents.put(one.key, Content(task="look"), 4)
    working.outputs.put(slot, text_payload("done"), 4)
    working.forget_content(one)
    assert working.contents.get(one.key) is None
    assert working.outputs.get(slot) is None


def test_a_deleted_execution_is_forgotten() -> None:
    working, one = Working(), _ended(_named("e1"))
    working.put(one)
    working.forget(one)
    assert working.get(one.key) is None


def test_only_who_knows_for_sure_says_which_version_is_the_latest() -> None:
    working = Working()
    latest = WorkflowRef("default", "flow")
    working.put_workflow(make.workflow())
    assert working.workflow(latest) is None
    assert working.workflow(replace(latest, version=1)) == make.workflow()
    working.put_workflow(make.workflow(), is_latest=True)
    assert working.workflow(latest) == make.workflow()
    working.forget_latest("default", "flow")
    assert working.workflow(latest) is None


def test_listeners_hear_of_every_commit() -> None:
    working, heard = Working(), list[str]()
    working.listeners += [lambda: heard.append("one"), lambda: heard.append("two")]
    working.changed()
    assert heard == ["one", "two"]


def _named(execution_id: str) -> Execution:
    one = make.execution()
    spec = replace(one.spec, execution_id=execution_id)
    return replace(one, key=Key(spec.workspace_id, execution_id), spec=spec)


def _in(workspace_id: str, one: Execution) -> Execution:
    spec = replace(one.spec, workspace_id=workspace_id)
    return replace(one, key=Key(workspace_id, spec.execution_id), spec=spec)


def _ended(one: Execution) -> Execution:
    return cancel(one, make.cancellation())
