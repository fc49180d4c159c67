"""What the commands of one batch come to together."""

from __future__ import annotations

from msgspec.structs import replace

from phaseline.app.ports import Decision, Slot
from phaseline.domain.execution import Operation
from phaseline.domain.ids import Key
from phaseline.domain.report import OperationReport
from phaseline.store.batch import Batch, Loaded
from phaseline.store.working import Working
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
