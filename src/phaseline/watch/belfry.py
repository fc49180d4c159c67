"""Bells, by what they ring for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from phaseline.watch.bell import Bell, Waker

#: Listeners of one bell. All of them read up to where the log was when it rang, and so share what
#: is made of it; were they a thousand, the last would be told of the past.
ROOM = 100

Name = TypeVar("Name")


class Belfry(Generic[Name]):
    """Has as many bells for each name as those who listen need."""

    def __init__(self, new_bell: Callable[[], Bell], room: int = ROOM) -> None:
        self._new_bell, self._room = new_bell, room
        self._bells: dict[Name, list[Bell]] = {}

    def __bool__(self) -> bool:
        return bool(self._bells)

    def __iter__(self) -> Iterator[Bell]:
        for bells in self._bells.values():
            yield from bells

    def of(self, name: Name) -> Sequence[Bell]:
        """Return the bells of all who listen for *name*."""
        return self._bells.get(name, ())

    @contextmanager
    def listening(self, name: Name, waker: Waker) -> Iterator[Bell]:
        """Let a bell wake *waker* within the block."""
        bells = self._bells.setdefault(name, [])
        bell = next((bell for bell in bells if bell.listeners < self._room), None)
        if bell is None:
            bell = self._new_bell()
            bells.append(bell)
        bell.add(waker)
        try:
            yield bell
        finally:
            bell.remove(waker)
            if not bell.listeners:
                bells.remove(bell)
                if not bells:
                    del self._bells[name]
