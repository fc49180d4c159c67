"""How many bells there are."""

from __future__ import annotations

from contextlib import ExitStack

from phaseline.watch.belfry import Belfry
from phaseline.watch.bell import Bell, Waker
from phaseline.watch.waking import Waking
from tests.support.clock import ManualClock


def belfry_of(room: int) -> Belfry[str]:
    waking = Waking(ManualClock())
    return Belfry(lambda: Bell(waking, since=0), room)


def waker() -> Waker:
    return Waker(ManualClock())


def test_so_many_share_a_bell_as_it_has_room_for() -> None:
    belfry = belfry_of(room=2)
    with ExitStack() as stack:
        bells = [stack.enter_context(belfry.listening("a", waker())) for _ in range(5)]
        assert [bell.listeners for bell in belfry.of("a")] == [2, 2, 1]
        assert list(dict.fromkeys(bells)) == list(belfry)


def test_who_comes_takes_the_room_of_those_who_went() -> None:
    belfry = belfry_of(room=2)
    with ExitStack() as stack:
        with belfry.listening("a", waker()) as first:
            stack.enter_context(belfry.listening("a", waker()))
            stack.enter_context(belfry.listening("a", waker()))
        assert stack.enter_context(belfry.listening("a", waker())) is first


def test_a_bell_is_gone_with_the_last_who_listens() -> None:
    belfry = belfry_of(room=1)
    with belfry.listening("a", waker()), belfry.listening("a", waker()) as second:
        assert list(belfry.of("a")) == list(belfry)
        assert belfry.of("b") == ()
        assert second in belfry.of("a")
    assert not belfry
    assert belfry.of("a") == ()
