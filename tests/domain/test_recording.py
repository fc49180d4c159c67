"""Operations of an attempt: stored once each, counted once each, in the order of first record."""

from collections.abc import Sequence

from msgspec.structs import replace

from phaseline.domain.execution import Execution, Operation
from phaseline.domain.recording import Recorded, says_something
from phaseline.domain.report import OperationReport, Report
from phaseline.domain.work import Reported
from tests.support import make
from tests.support.clock import START as NOW
from tests.support.make import SECOND

RUNNING = make.leased(make.execution(2))
READ = OperationReport("1", "tool", tool_name="Read", timestamp=NOW)
CALL = OperationReport("2", "model", timestamp=NOW)


def test_operations_are_stored_with_where_they_belong() -> None:
    (stored,) = _told(RUNNING, READ).operations
    assert stored == Operation(
        key=RUNNING.key,
        phase_id="p0",
        position=0,
        epoch=1,
        attempt=1,
        ordinal=0,
        reported=READ,
        is_new=True,
    )


def test_an_operation_without_a_time_began_when_it_was_received() -> None:
    (stored,) = _told(RUNNING, OperationReport("1", "tool"), now_seconds=3).operations
    assert stored.reported.timestamp == NOW + 3 * SECOND


def test_operations_count_by_kind() -> None:
    one = _left(_told(RUNNING, READ, CALL, OperationReport("3", "custom")))
    phase = make.phase(one)
    assert (phase.operation_count, phase.model_call_count) == (3, 1)
    assert (one.usage.tool_call_count, one.tool_names) == (1, ("Read",))


def test_a_repeated_operation_replaces_the_first_and_counts_once() -> None:
    one = _left(_told(RUNNING, READ, CALL))
    told = _told(one, replace(READ, success=True), recorded={"1": Recorded.of(0, READ)})
    (stored,) = told.operations
    assert (stored.ordinal, stored.is_new, stored.reported.success) == (0, False, True)
    assert make.phase(_left(told)).operation_count == 2
    assert _left(told).usage.tool_call_count == 1


def test_a_repeat_that_becomes_a_tool_call_or_ceases_to_be_one_is_counted_as_it_is() -> None:
    plain = OperationReport("1", "custom")
    one = _left(_told(RUNNING, plain))
    one = _left(_told(one, READ, recorded={"1": Recorded.of(0, plain)}))
    assert one.usage.tool_call_count == 1
    one = _left(_told(one, replace(CALL, operation_id="1"), recorded={"1": Recorded.of(0, READ)}))
    assert (one.usage.tool_call_count, one.model_call_count) == (0, 1)
    one = _left(_told(one, plain, recorded={"1": Recorded.of(0, CALL)}))
    assert one.model_call_count == 0


def test_the_last_of_an_operation_in_one_report_counts() -> None:
    told = _told(RUNNING, READ, replace(READ, tool_name="", success=False))
    (stored,) = told.operations
    assert (stored.reported.success, stored.is_new, stored.ordinal) == (False, True, 0)
    assert make.phase(_left(told)).operation_count == 1
    assert _left(told).usage.tool_call_count == 0


def test_the_order_of_first_record_goes_through_all_phases() -> None:
    one = _left(_told(RUNNING, READ, CALL))
    one = make.leased(make.after(one, make.DONE), 1)
    told = make.reported(one, position=1, operations=(READ, CALL))
    assert [stored.ordinal for stored in told.operations] == [2, 3]


def test_another_attempt_records_its_own() -> None:
    one = make.leased(make.after(_left(_told(RUNNING, READ)), make.released()))
    (stored,) = _told(one, READ).operations
    assert (stored.epoch, stored.attempt, stored.ordinal, stored.is_new) == (2, 1, 1, True)


def test_operations_come_with_the_outcome() -> None:
    told = make.reported(RUNNING, make.DONE, operations=(READ,))
    assert len(told.operations) == 1
    phase = make.phase(_left(told))
    assert (phase.operation_count, phase.past_usage.tool_call_count) == (1, 1)


def test_operations_of_a_late_report_are_dropped() -> None:
    assert make.reported(RUNNING, epoch=7, operations=(READ,)).operations == ()


def test_an_operation_alone_is_more_than_a_heartbeat() -> None:
    assert says_something(Report("token", operations=(READ,)))
    assert not says_something(Report("token", sequence=4))


def _told(
    execution: Execution,
    *operations: OperationReport,
    recorded: dict[str, Recorded] | None = None,
    now_seconds: int = 0,
) -> Reported:
    return make.reported(
        execution,
        now=NOW + now_seconds * SECOND,
        recorded=recorded,
        operations=_tuple(operations),
    )


def _tuple(operations: Sequence[OperationReport]) -> tuple[OperationReport, ...]:
    return tuple(operations)


def _left(told: Reported) -> Execution:
    assert told.execution is not None
    return told.execution
