"""What is kept for others who want the same."""

from phaseline.watch.recent import Recent


def test_it_returns_what_was_put_last() -> None:
    recent: Recent[str] = Recent()
    recent.put("name", "old", 10)
    recent.put("name", "new", 10)
    assert recent.get("name") == "new"
    assert recent.get("other") is None


def test_what_was_put_first_makes_room() -> None:
    recent: Recent[int] = Recent(room=10_000)
    for number in range(100):
        recent.put(number, number, 1_000)
    kept = [number for number in range(100) if recent.get(number) is not None]
    assert kept == list(range(100 - len(kept), 100))
    assert 5 < len(kept) < 10


def test_what_is_larger_than_the_room_is_kept_until_the_next_is_put() -> None:
    recent: Recent[str] = Recent(room=10_000)
    recent.put("small", "small", 10)
    recent.put("large", "large", 20_000)
    assert (recent.get("small"), recent.get("large")) == (None, "large")
    recent.put("small", "small", 10)
    assert (recent.get("small"), recent.get("large")) == ("small", None)


def test_replacing_takes_no_more_room() -> None:
    recent: Recent[str] = Recent(room=10_000)
    recent.put("other", "other", 1_000)
    for _ in range(50):
        recent.put("name", "value", 1_000)
    assert recent.get("other") == "other"
