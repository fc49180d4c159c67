"""What a change is, seen from a watch of active executions."""

import pytest
from msgspec.structs import replace

from phaseline.app.changes import Entry, Folded
from phaseline.app.queries import ExecutionFilter
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.watch.ports import Kind
from phaseline.watch.scope import Scope
from tests.watch.world import (
    COMPLETED,
    FAILED,
    PAUSED,
    PENDING,
    RUNNING,
    WORKSPACE,
    Database,
    change,
)

ALL = Scope(WORKSPACE, ExecutionFilter())
ONLY_RUNNING = Scope(WORKSPACE, ExecutionFilter(statuses=(RUNNING,)))
OF_A_BATCH = Scope(WORKSPACE, ExecutionFilter(batch_id="b-1"))


def entry_of(status: ExecutionStatus, batch_id: str = "") -> Entry:
    return Database().commit(change("a", status, spec={"batch_id": batch_id})).entries[0]


def folded(before: ExecutionStatus | None, *passed: ExecutionStatus, to: ExecutionStatus) -> Folded:
    return Folded(entry_of(to), before, frozenset(passed), len(passed))


@pytest.mark.parametrize(
    ("fold", "kind"),
    [
        (folded(None, to=PENDING), Kind.ADDED),
        (folded(COMPLETED, to=PENDING), Kind.ADDED),
        (folded(PENDING, to=RUNNING), Kind.MODIFIED),
        (folded(RUNNING, COMPLETED, to=PENDING), Kind.MODIFIED),
        (folded(RUNNING, to=FAILED), Kind.REMOVED),
        (folded(None, PENDING, RUNNING, to=COMPLETED), Kind.REMOVED),
        (folded(FAILED, PENDING, to=FAILED), Kind.REMOVED),
        (folded(COMPLETED, to=COMPLETED), None),
        (folded(COMPLETED, COMPLETED, to=COMPLETED), None),
    ],
)
def test_a_change_is_what_became_of_the_execution_meanwhile(
    fold: Folded, kind: Kind | None
) -> None:
    assert ALL.kind_of(fold) is kind


@pytest.mark.parametrize(
    ("fold", "kind"),
    [
        (folded(None, to=PENDING), None),
        (folded(PENDING, to=RUNNING), Kind.ADDED),
        (folded(RUNNING, to=RUNNING), Kind.MODIFIED),
        (folded(RUNNING, to=PAUSED), Kind.REMOVED),
        (folded(PENDING, RUNNING, to=PAUSED), Kind.REMOVED),
        (folded(PENDING, to=PAUSED), None),
        (folded(PAUSED, to=COMPLETED), None),
    ],
)
def test_a_filter_by_status_is_left_and_entered(fold: Folded, kind: Kind | None) -> None:
    assert ONLY_RUNNING.kind_of(fold) is kind


def test_a_status_that_is_not_active_is_never_in() -> None:
    ended = Scope(WORKSPACE, ExecutionFilter(statuses=(COMPLETED,)))
    assert ended.kind_of(folded(RUNNING, to=COMPLETED)) is None
    assert not ended.concerns(entry_of(COMPLETED))


def test_what_never_changes_must_match() -> None:
    other, same = entry_of(PENDING, "b-2"), entry_of(PENDING, "b-1")
    assert OF_A_BATCH.kind_of(Folded(other, None)) is None
    assert OF_A_BATCH.kind_of(Folded(same, None)) is Kind.ADDED
    assert not OF_A_BATCH.concerns(other)
    assert OF_A_BATCH.concerns(same)


def test_a_deleted_execution_is_removed_from_every_list() -> None:
    """Whether it was in this one nobody knows, and one that stays would stay for ever."""
    gone = replace(entry_of(COMPLETED, "b-2"), status_before=RUNNING, execution=None)
    assert OF_A_BATCH.kind_of(Folded(gone, RUNNING)) is Kind.REMOVED


def test_a_scope_is_its_workspace_and_filter() -> None:
    assert Scope(WORKSPACE, ExecutionFilter()) == ALL
    assert Scope(WORKSPACE, ExecutionFilter(active_only=True)) == ALL
    assert Scope("other", ExecutionFilter()) != ALL
    assert OF_A_BATCH != ALL
    assert len({ALL, OF_A_BATCH, Scope(WORKSPACE, ExecutionFilter())}) == 2
