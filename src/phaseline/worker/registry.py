"""The handlers that a worker has, by name."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import msgspec

from phaseline.worker.context import Context
from phaseline.worker.limits import HANDLERS, ID_LENGTH

#: Runs a phase. Returns nothing, text, bytes, a Payload, or what JSON can say. An async one runs
#: on the event loop and must not block it; any other runs in a thread of its own.
HandlerFunction = Callable[[Context], object] | Callable[[Context], Awaitable[object]]

_F = TypeVar("_F", bound=HandlerFunction)


class Handler(msgspec.Struct, frozen=True):
    """A handler as it was registered."""

    name: str
    function: HandlerFunction
    is_async: bool


class Registry:
    """A set of handlers with different names."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def handler(self, name: str) -> Callable[[_F], _F]:
        """Return a decorator that adds a function under *name*, the handler of a phase."""

        def register(function: _F) -> _F:
            self.add(name, function)
            return function

        return register

    def add(self, name: str, function: HandlerFunction) -> None:
        """Add *function* under *name*. Raises `ValueError` for a bad name, or one that is taken."""
        if not 1 <= len(name) <= ID_LENGTH:
            raise ValueError(f"the name of a handler must have 1 to {ID_LENGTH} characters")
        if name in self._handlers:
            raise ValueError(f"there is a handler {name!r} already")
        if len(self._handlers) == HANDLERS:
            raise ValueError(f"a worker can have {HANDLERS} handlers at most")
        self._handlers[name] = Handler(name, function, _is_async(function))

    def include(self, other: Registry) -> None:
        """Add all handlers of *other*."""
        for each in other:
            self.add(each.name, each.function)

    def get(self, name: str) -> Handler | None:
        """Return the handler *name*."""
        return self._handlers.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order of registration."""
        return tuple(self._handlers)

    def __len__(self) -> int:
        return len(self._handlers)

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._handlers.values())


#: Where the module-level `handler` decorator registers.
default_registry = Registry()

#: Registers a function in the default registry: `@handler("name")`.
handler = default_registry.handler


def _is_async(function: HandlerFunction) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 - of an object it may be async
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
