"""Changes fold into the newest state, and what runs goes on counting."""

from datetime import timedelta

from phaseline.cli.follow import Board, Durations, Followed
from tests.support import messages
from tests.support.messages import EXECUTION_ID, change, execution, operation, phase


def test_the_newest_version_is_what_is_known() -> None:
    followed = Followed(EXECUTION_ID)
    assert not followed.is_known
    followed.apply(change(execution("PENDING")), 0)
    followed.apply(change(phase("survey", "READY")), 0)
    followed.apply(change(phase("report", "PENDING")), 0)
    followed.apply(change(execution("RUNNING")), 1)
    followed.apply(change(phase("survey", "RUNNING")), 1)
    assert followed.execution == execution("RUNNING")
    assert followed.phases["survey"] == phase("survey", "RUNNING")
    assert list(followed.phases) == ["survey", "report"]
    assert followed.is_known


def test_an_operation_is_replaced_where_it_stands() -> None:
    followed = Followed(EXECUTION_ID)
    running = operation("o-1")
    running.ClearField("success")
    for member in (running, operation("o-2"), operation("o-1"), operation("o-1", attempt=2)):
        followed.apply(change(member), 0)
    assert list(followed.operations) == [
        ("report", 1, "o-1"),
        ("report", 1, "o-2"),
        ("report", 2, "o-1"),
    ]
    assert followed.operations["report", 1, "o-1"].success


def test_a_long_run_keeps_only_its_last_operations() -> None:
    followed = Followed(EXECUTION_ID)
    for number in range(1000):
        followed.apply(change(operation(f"o-{number}")), 0)
    assert len(followed.operations) == 200
    assert ("report", 1, "o-999") in followed.operations


def test_of_a_descendant_only_the_execution_is_kept() -> None:
    followed = Followed(EXECUTION_ID)
    followed.apply(change(execution(execution_id="child")), 0)
    followed.apply(change(phase("x", execution_id="child")), 0)
    followed.apply(change(operation("x", execution_id="child")), 0)
    assert list(followed.descendants) == ["child"]
    assert (followed.phases, followed.operations) == ({}, {})


def test_after_a_gap_only_the_new_snapshot_counts() -> None:
    followed = Followed(EXECUTION_ID)
    followed.apply(change(phase()), 0)
    followed.apply(change(operation()), 0)
    followed.forget()
    assert (followed.phases, followed.operations) == ({}, {})


def test_an_answer_of_get_is_followed_alike() -> None:
    answer = execution(phases=[phase("survey", operations=[operation(phase_id="survey")]), phase()])
    followed = Followed.of(answer, 7)
    assert list(followed.phases) == ["survey", "report"]
    assert len(followed.operations) == 1


def test_the_duration_of_what_runs_goes_on_from_what_was_told() -> None:
    followed = Followed(EXECUTION_ID)
    followed.apply(change(execution(duration=messages.duration(62))), 100)
    followed.apply(change(phase(duration=messages.duration(5))), 100)
    durations = followed.durations
    assert durations.of_execution(followed.execution, 103) == timedelta(seconds=65)
    assert durations.of_phase(followed.phases["report"], 104) == timedelta(seconds=9)


def test_the_duration_of_what_ended_stands_still() -> None:
    durations = Durations()
    durations.told(EXECUTION_ID, 100)
    assert durations.of_execution(execution("FAILED"), 200) == timedelta(seconds=62)
    assert durations.of_phase(phase(status="COMPLETED"), 200) == timedelta(seconds=5)


def test_what_has_not_begun_has_no_duration() -> None:
    waiting = execution("PENDING")
    waiting.ClearField("started_at")
    assert Durations().of_execution(waiting, 5) is None


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    durations = Durations()
    durations.told(EXECUTION_ID, 100)
    assert durations.of_execution(execution(), 50) == timedelta(seconds=62)


def test_the_board_shows_active_ones_newest_first() -> None:
    board = Board()
    for number in (1, 3, 2):
        created = messages.timestamp(seconds=number)
        board.apply(change(execution(execution_id=f"e-{number}", created_at=created), "ADDED"), 0)
    assert [one.execution_id for one in board.newest_first()] == ["e-3", "e-2", "e-1"]


def test_what_ends_moves_to_those_that_ended_last() -> None:
    board = Board()
    for number in range(7):
        ended = execution("COMPLETED", execution_id=f"e-{number}")
        board.apply(change(execution(execution_id=f"e-{number}"), "ADDED"), 0)
        board.apply(change(ended, "REMOVED"), 0)
    assert board.active == {}
    assert [one.execution_id for one in board.ended] == ["e-6", "e-5", "e-4", "e-3", "e-2"]


def test_what_no_longer_matches_the_filter_has_not_ended() -> None:
    board = Board()
    board.apply(change(execution(), "ADDED"), 0)
    board.apply(change(execution("PAUSED"), "REMOVED"), 0)
    assert (board.active, len(board.ended)) == ({}, 0)
