"""A registry has each handler once, and knows how to call it."""

import functools

import pytest

from phaseline.worker.context import Context
from phaseline.worker.registry import Registry, default_registry, handler


async def coroutine(context: Context) -> None: ...


def function(context: Context) -> None: ...


class Callable:
    async def __call__(self, context: Context) -> None: ...


def test_a_decorated_function_is_registered_and_stays_what_it_is() -> None:
    registry = Registry()

    assert registry.handler("build")(function) is function
    assert registry.names == ("build",)


@pytest.mark.parametrize(
    ("each", "is_async"),
    [
        (coroutine, True),
        (function, False),
        (Callable(), True),
        (functools.partial(coroutine), True),
        (lambda context: None, False),
    ],
)
def test_it_is_known_whether_a_handler_is_a_coroutine(each: object, is_async: bool) -> None:
    registry = Registry()
    registry.add("build", each)  # type: ignore[arg-type]

    found = registry.get("build")
    assert found is not None
    assert found.is_async is is_async


def test_a_name_can_be_taken_once() -> None:
    registry = Registry()
    registry.add("build", function)

    with pytest.raises(ValueError, match="'build' already"):
        registry.add("build", coroutine)


@pytest.mark.parametrize("name", ["", "x" * 129])
def test_a_name_must_be_one_that_a_server_takes(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 128 characters"):
        Registry().add(name, function)


def test_a_worker_can_have_so_many_handlers_and_no_more() -> None:
    registry = Registry()
    for number in range(256):
        registry.add(f"handler-{number}", function)

    with pytest.raises(ValueError, match="256"):
        registry.add("one more", function)


def test_registries_can_be_joined() -> None:
    ours, theirs = Registry(), Registry()
    ours.add("ours", function)
    theirs.add("theirs", function)

    ours.include(theirs)

    assert ours.names == ("ours", "theirs")


def test_the_plain_decorator_registers_by_default() -> None:
    name = "test-only"
    handler(name)(function)

    assert default_registry.get(name) is not None
