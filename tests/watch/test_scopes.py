"""Whose filter an execution matches."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from phaseline.app.queries import ExecutionFilter
from phaseline.watch.bell import Bell, Waker
from phaseline.watch.scope import Scope
from phaseline.watch.scopes import Scopes
from phaseline.watch.waking import Waking
from tests.support.clock import START, ManualClock
from tests.watch.world import WORKSPACE, Database, change

values = st.sampled_from(("x", "y"))
lists = st.lists(values, min_size=1, max_size=2).map(tuple)
labels = st.dictionaries(st.sampled_from("kl"), values, min_size=1)
moments = st.sampled_from((START, START + timedelta(seconds=1)))

#: Every field of a filter but those of the status.
FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    "workflow_ids": lists,
    "responder_ids": lists,
    "session_ids": lists,
    "user_ids": lists,
    "chat_message_id": values,
    "batch_id": values,
    "parent_execution_id": values,
    "root_execution_id": values,
    "queue_names": lists,
    "repos": lists,
    "labels": labels,
    "created_after": moments,
    "created_before": moments,
    "id_prefix": values,
}
# Few at a time: what has many matches nothing.
filters = (
    st.sets(st.sampled_from(sorted(FIELDS)), max_size=2)
    .flatmap(lambda chosen: st.fixed_dictionaries({name: FIELDS[name] for name in chosen}))
    .map(lambda fields: ExecutionFilter(**fields))
)
specs = st.fixed_dictionaries(
    {
        "workflow_id": values,
        "responder_id": values,
        "session_id": values,
        "user_id": values,
        "chat_message_id": values,
        "batch_id": values,
        "parent_execution_id": values,
        "root_execution_id": values,
        "queue_name": values,
        "repos": lists,
        "labels": labels,
    },
)


def scopes_of() -> Scopes:
    waking = Waking(ManualClock())
    return Scopes(lambda: Bell(waking, since=0))


def test_every_field_that_never_changes_is_tried() -> None:
    assert set(FIELDS) == {*ExecutionFilter.__struct_fields__} - {"statuses", "active_only"}


@given(st.lists(filters, max_size=8), specs, st.booleans())
@settings(max_examples=300)
def test_all_are_found_whom_a_change_concerns(
    filters: list[ExecutionFilter], spec: Mapping[str, Any], is_deleted: bool
) -> None:
    entry = Database().commit(change("x", spec=spec)).entries[0]
    if is_deleted:
        entry = replace(entry, execution=None)
    scopes = scopes_of()
    with ExitStack() as stack:
        bells = {
            scope: stack.enter_context(scopes.listening(scope, Waker(ManualClock())))
            for scope in (Scope(WORKSPACE, matching) for matching in filters)
        }
        found = list(scopes.concerned(entry))
        assert len(found) == len(set(found))
        assert set(found) == {bell for scope, bell in bells.items() if scope.concerns(entry)}
    assert not scopes


def test_a_filter_is_found_until_the_last_who_has_it_is_gone() -> None:
    entry = Database().commit(change("a", spec={"user_id": "x"})).entries[0]
    scopes = scopes_of()
    scope = Scope(WORKSPACE, ExecutionFilter(user_ids=("x", "y")))
    with scopes.listening(scope, Waker(ManualClock())) as bell:
        with scopes.listening(scope, Waker(ManualClock())):
            pass
        assert list(scopes.concerned(entry)) == [bell]
    assert list(scopes.concerned(entry)) == []


def test_of_filters_that_differ_in_order_only_nothing_stays() -> None:
    scopes = scopes_of()
    labels = {"a": "1", "b": "2"}
    one, other = (
        Scope(WORKSPACE, ExecutionFilter(labels=given))
        for given in (labels, dict(reversed(labels.items())))
    )
    assert one == other
    with (
        scopes.listening(one, Waker(ManualClock())),
        scopes.listening(other, Waker(ManualClock())),
    ):
        assert scopes._marked
    assert not scopes._marked
