"""A filter is read as it was sent, or refused: it never silently matches nothing."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from phaseline.app.queries import ExecutionFilter
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1.execution_pb2 import EXECUTION_STATUS_PENDING, EXECUTION_STATUS_RUNNING
from phaseline.wire.filters import read_filter, read_optional_filter
from phaseline.wire.reading import Checks
from phaseline.wire.scalars import timestamp
from tests.wire.samples import T0

LISTS = ("workflow_ids", "responder_ids", "session_ids", "user_ids", "queue_names", "repos")
TEXTS = (
    "chat_message_id",
    "batch_id",
    "parent_execution_id",
    "root_execution_id",
    "id_prefix",
)


def violations(**fields: Any) -> list[str]:
    checks = Checks()
    read_filter(pb.ExecutionFilter(**fields), checks)
    return [each.field for each in checks.found]


def test_every_field_is_read() -> None:
    sent: dict[str, Any] = {name: [name] for name in LISTS} | {name: name for name in TEXTS}
    checks = Checks()
    read = read_filter(
        pb.ExecutionFilter(
            statuses=[EXECUTION_STATUS_RUNNING, EXECUTION_STATUS_PENDING],
            active_only=True,
            labels={"env": "prod"},
            created_after=timestamp(T0),
            created_before=timestamp(T0),
            **sent,
        ),
        checks,
    )
    expected: dict[str, Any] = {name: (name,) for name in LISTS} | {name: name for name in TEXTS}
    assert read == ExecutionFilter(
        statuses=(ExecutionStatus.PENDING, ExecutionStatus.RUNNING),
        active_only=True,
        labels={"env": "prod"},
        created_after=T0,
        created_before=T0,
        **expected,
    )
    assert checks.found == []


def test_no_field_is_forgotten() -> None:
    known = {field.name for field in pb.ExecutionFilter.DESCRIPTOR.fields}
    assert known == set(ExecutionFilter.__struct_fields__)


@pytest.mark.parametrize("value", [0, 8, 99, -1])
def test_an_unknown_status_is_refused(value: int) -> None:
    assert violations(statuses=[1, value]) == ["statuses[1]"]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_has_at_most_100_values(name: str) -> None:
    assert violations(**{name: [str(n) for n in range(100)]}) == []
    assert violations(**{name: [str(n) for n in range(101)]}) == [name]


@pytest.mark.parametrize("name", LISTS)
def test_a_value_of_a_list_is_not_empty(name: str) -> None:
    assert violations(**{name: ["a", ""]}) == [f"{name}[1]"]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", ["x" * 129, "\0"])
def test_a_text_has_its_limits(name: str, value: str) -> None:
    assert violations(**{name: value}) == [name]


def test_more_statuses_than_there_can_be_are_refused() -> None:
    assert violations(statuses=[1] * 101) == ["statuses"]


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({str(n): "" for n in range(100)}, []),
        ({str(n): "" for n in range(101)}, ["labels"]),
        ({"": "v"}, ["labels[]"]),
        ({"k": "v" * 257}, ["labels[k]"]),
    ],
)
def test_labels_have_their_limits(labels: dict[str, str], found: list[str]) -> None:
    assert violations(labels=labels) == found


@pytest.mark.parametrize("name", ["created_after", "created_before"])
def test_a_moment_is_in_the_calendar(name: str) -> None:
    assert violations(**{name: Timestamp(nanos=-1)}) == [name]


def test_what_means_the_same_reads_the_same() -> None:
    pending, running = EXECUTION_STATUS_PENDING, EXECUTION_STATUS_RUNNING
    one = pb.ExecutionFilter(statuses=[pending, running], workflow_ids=["b", "a", "b"])
    other = pb.ExecutionFilter(statuses=[running, pending, pending], workflow_ids=["a", "b"])
    assert read_filter(one, Checks()) == read_filter(other, Checks())


def test_without_a_filter_everything_is_asked_for() -> None:
    assert read_optional_filter(pb.ListRequest(), Checks()) == ExecutionFilter()


def test_a_violation_is_inside_the_filter() -> None:
    checks = Checks()
    read_optional_filter(pb.ListRequest(filter=pb.ExecutionFilter(repos=[""])), checks)
    assert [each.field for each in checks.found] == ["filter.repos[0]"]
