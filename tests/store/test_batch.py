"""What the commands of one batch come to together."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from phaseline.app.ports import Decision, Slot, WorkflowRef
from phaseline.domain.closing import Closing
from phaseline.domain.execution import Operation
from phaseline.domain.ids import Key
from phaseline.domain.report import OperationReport
from phaseline.store.batch import Batch, Loaded
from phaseline.store.working import Working
from tests.support import make
from tests.support.clock import START

KEY = Key("default", "e1")
NEW = Operation(
    key=KEY,
    phase_id="p0",
    position=0,
    epoch=1,
    attempt=1,
    ordinal=0,
    reported=OperationReport("o1", "tool", timestamp=START),
    is_new=True,
)


def test_an_operation_that_is_told_twice_in_a_batch_is_new_to_those_who_watch() -> None:
    batch = Batch(START, Working(), Loaded())
    batch.accept(Decision(None, operations=(NEW,)))
    batch.accept(Decision(None, operations=(replace(NEW, is_new=False),)))
    assert batch.operations[Slot(KEY, 0), 1]["o1"].is_new


def test_an_operation_of_an_earlier_batch_is_not() -> None:
    batch = Batch(START, Working(), Loaded())
    batch.accept(Decision(None, operations=(replace(NEW, is_new=False),)))
    batch.accept(Decision(None, operations=(replace(NEW, is_new=False),)))
    assert not batch.operations[Slot(KEY, 0), 1]["o1"].is_new


def test_what_is_trimmed_furthest_counts() -> None:
    batch = Batch(START, Working(), Loaded())
    batch.accept(Decision(None, trimmed_to=5))
    batch.accept(Decision(None, trimmed_to=3))
    assert batch.trimmed_to == 5


def test_what_is_renewed_behind_a_change_goes_with_it() -> None:
    batch = Batch(START, Working(), Loaded())
    changed = make.leased(make.execution())
    later = START + timedelta(seconds=1)
    renewed = make.reported(changed, now=later).execution
    assert renewed is not None
    batch.accept(Decision(None, executions=(changed,)))
    batch.accept(Decision(None, renewals=(renewed,)))
    assert batch.execution(changed.key) is renewed
    assert (list(batch.visible.values()), batch.renewed) == ([renewed], {})


def test_a_workflow_that_is_applied_hides_no_older_version() -> None:
    old = make.workflow()
    new = replace(old, version=2)
    working = Working()
    working.put_workflow(old, is_latest=True)
    batch = Batch(START, working, Loaded())
    batch.accept(Decision(None, workflows=(new,)))
    found = [batch.workflow(WorkflowRef("default", "flow", version)) for version in (0, 1, 2)]
    assert found == [new, old, new]


def test_what_was_deleted_is_found_no_more() -> None:
    working = Working()
    ended = make.completed(make.execution())
    working.put(ended)
    batch = Batch(START, working, Loaded())
    assert batch.execution(ended.key) is ended
    batch.accept(Decision(None, deleted=(ended.key,)))
    assert batch.execution(ended.key) is None


def test_an_attempt_that_ends_closes_once_what_it_leaves_open() -> None:
    """What the batch was told of itself is closed there, and not a second time from the tables."""
    other = replace(NEW, ordinal=1, reported=replace(NEW.reported, operation_id="o2"))
    loaded = Loaded()
    loaded.open[Slot(KEY, 0), 1] = [NEW, other]
    batch = Batch(START, Working(), loaded)
    closing = Closing(epoch=1, count=2, completed_at=START, success=False, error_message="lost")
    batch.accept(Decision(None, operations=(NEW,), closings=((Slot(KEY, 0), closing),)))
    (from_tables,) = batch.closed()
    told = batch.operations[Slot(KEY, 0), 1]["o1"]
    assert from_tables.reported.operation_id == "o2"
    assert [one.reported.error_message for one in (told, from_tables)] == ["lost", "lost"]
