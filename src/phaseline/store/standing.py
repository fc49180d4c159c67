"""Commands that wait until there is something to do, and those that wait for their answers."""

from __future__ import annotations

import asyncio
from typing import Any, Generic, Protocol, TypeVar

from phaseline.app.ports import Command, Committed, Decision, StandingCommand, Withdrawn
from phaseline.domain.errors import Unavailable

T = TypeVar("T")


class Item(Generic[T]):
    """A command, and the future that its answer goes to."""

    __slots__ = ("answer", "command", "decision", "error", "weight")

    def __init__(
        self, command: Command[T], loop: asyncio.AbstractEventLoop, weight: int = 1
    ) -> None:
        self.command = command
        #: How much there is to do for it, next to an ordinary one.
        self.weight = weight
        self.answer: asyncio.Future[Committed[T]] = loop.create_future()
        self.decision: Decision[T] | None = None
        self.error: Exception | None = None

    def settle(self, revision: int) -> None:
        """Give the caller what was decided; one that has gone is not waited for."""
        if self.error is not None:
            self.fail(self.error)
        elif self.decision is not None and not self.answer.done():
            self.answer.set_result(Committed(self.decision.answer, revision))

    def fail(self, error: Exception) -> None:
        """Give the caller *error* instead of an answer."""
        set_exception(self.answer, error)


class Keeper(Protocol):
    """Asks standing commands, as long as they stand."""

    def dismiss(self, waiting: Waiting[Any]) -> None:
        """Ask *waiting* no more."""


class Waiting(Generic[T]):
    """A standing command: `Standing` of app/ports.py."""

    def __init__(self, command: StandingCommand[T], keeper: Keeper) -> None:
        self.command = command
        #: What a batch decided that is not committed yet.
        self.decision: Decision[T] | None = None
        #: It has been asked; from then on it is asked only if there may be something for it.
        self.was_asked = False
        self._outcome: asyncio.Future[Committed[T]] = asyncio.get_running_loop().create_future()
        self._keeper = keeper
        self._is_unwanted = False

    async def answer(self) -> Committed[T]:
        return await asyncio.shield(self._outcome)

    def withdraw(self) -> bool:
        if self.decision is not None:
            self._is_unwanted = True
            return False
        if not self._outcome.done():
            self.fail(Withdrawn())
            return True
        # Refused or withdrawn before, it has left nothing behind; answered, it has.
        return self._outcome.exception() is not None

    def settle(self, revision: int) -> None:
        """Give the caller what was decided, and is committed."""
        assert self.decision is not None
        self._keeper.dismiss(self)
        self._outcome.set_result(Committed(self.decision.answer, revision))

    def undecide(self, error: Unavailable) -> None:
        """Stand again: what was decided was not committed. One that wanted to go gets *error*."""
        self.decision = None
        self.was_asked = False
        if self._is_unwanted:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Give the caller *error* instead of an answer, and ask no more."""
        self.decision = None
        self._keeper.dismiss(self)
        set_exception(self._outcome, error)


def set_exception(future: asyncio.Future[Any], error: Exception) -> None:
    """Fail *future* unless it is done. Nobody has to look at it."""
    if not future.done():
        future.set_exception(error)
        # Read once, or asyncio would complain about those whose caller has gone.
        future.exception()
