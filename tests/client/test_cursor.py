"""What frames mean to a follower."""

from phaseline.client.cursor import REMEMBERED, Cursor, EventKind, WatchEvent
from tests.client.frames import bookmark, changes, execution, opened, operation, phase


def told(events: list[WatchEvent]) -> list[tuple[str, str]]:
    """Return kinds and tokens."""
    return [(event.kind.value, event.resume_token) for event in events]


def test_only_the_last_change_of_a_frame_has_its_token() -> None:
    cursor = Cursor()
    cursor.take(opened("t0"))
    frame = changes("t1", execution("a", 1), execution("b", 1), execution("c", 1))
    assert [event.resume_token for event in cursor.take(frame)] == ["t0", "t0", "t1"]
    assert cursor.token == "t1"


def test_a_repeated_change_is_dropped() -> None:
    cursor = Cursor()
    cursor.take(changes("t1", execution("a", 5)))
    frame = changes("t2", execution("a", 5), execution("a", 4), execution("a", 6))
    assert [event.change for event in cursor.take(frame)] == [execution("a", 6)]


def test_the_last_change_that_is_new_has_the_token() -> None:
    cursor = Cursor()
    cursor.take(changes("t1", execution("a", 5)))
    events = cursor.take(changes("t2", execution("b", 1), execution("a", 5)))
    assert told(events) == [("changed", "t2")]


def test_a_frame_of_repeats_moves_the_place_on() -> None:
    cursor = Cursor()
    cursor.take(changes("t1", execution("a", 5)))
    assert cursor.take(changes("t2", execution("a", 5))) == []
    assert cursor.token == "t2"


def test_resources_of_different_ids_are_different() -> None:
    frame = changes(
        "t1",
        execution("x-1", 1),
        phase("plan", 1),
        phase("build", 1),
        operation("o", 1),
        operation("o", 1, attempt=2),
    )
    assert len(Cursor().take(frame)) == 5


def test_an_end_of_the_snapshot_is_told_once() -> None:
    """Every stream has one, and there may be many streams."""
    cursor = Cursor()
    assert told(cursor.take(bookmark("t1", synced=True))) == [("synced", "t1")]
    assert cursor.take(bookmark("t2", synced=True)) == []


def test_a_plain_bookmark_tells_nothing_and_moves_the_place_on() -> None:
    cursor = Cursor("t0")
    assert cursor.take(bookmark("t1")) == []
    assert cursor.token == "t1"


def test_after_a_restart_everything_is_told_again() -> None:
    cursor = Cursor("t0")
    cursor.take(changes("t1", execution("a", 5)))
    cursor.take(bookmark("t2", synced=True))
    cursor.restart()
    assert cursor.token == ""
    assert told(cursor.take(opened("s0"))) == [("restarted", "s0")]
    assert told(cursor.take(changes("s1", execution("a", 5)))) == [("changed", "s1")]
    assert told(cursor.take(bookmark("s2", synced=True))) == [("synced", "s2")]


def test_a_restart_is_told_once() -> None:
    cursor = Cursor("t0")
    cursor.restart()
    cursor.take(opened("s0"))
    assert cursor.take(opened("s0")) == []


def test_a_restart_is_told_before_anything_else() -> None:
    cursor = Cursor("t0")
    cursor.restart()
    events = cursor.take(changes("s1", execution("a", 1)))
    assert told(events) == [("restarted", ""), ("changed", "s1")]


def test_a_frame_without_a_token_leaves_the_place() -> None:
    cursor = Cursor("t0")
    assert told(cursor.take(changes("", execution("a", 1)))) == [("changed", "t0")]


def test_what_was_left_out_is_counted_once() -> None:
    frame = changes("t1", execution("a", 9), execution("b", 3), folded_count=7)
    assert [event.folded_count for event in Cursor().take(frame)] == [0, 7]


def test_memory_has_an_end() -> None:
    cursor = Cursor()
    cursor.take(changes("t", execution("first", 1)))
    for number in range(REMEMBERED):
        cursor.take(changes("t", execution(f"x-{number}", 1)))
    assert len(cursor.take(changes("t", execution("first", 1)))) == 1
    assert cursor.take(changes("t", execution(f"x-{REMEMBERED - 1}", 1))) == []


def test_what_changed_lately_is_remembered_longest() -> None:
    cursor = Cursor()
    cursor.take(changes("t", execution("busy", 1)))
    cursor.take(changes("t", *(execution(f"x-{number}", 1) for number in range(REMEMBERED - 1))))
    cursor.take(changes("t", execution("busy", 2), execution("one too many", 1)))
    assert cursor.take(changes("t", execution("busy", 2))) == []
    assert len(cursor.take(changes("t", execution("x-0", 1)))) == 1


def test_an_event_says_what_it_is() -> None:
    (event,) = Cursor().take(changes("t1", execution("a", 1)))
    assert event == WatchEvent(EventKind.CHANGED, execution("a", 1), "t1")
