"""Turns a function into a command: shared options, one event loop, errors as exit codes."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, get_type_hints

import typer

from phaseline.cli.failures import EXIT_CODES, Refused
from phaseline.cli.options import Printing, Shared
from phaseline.cli.session import Session
from phaseline.domain.errors import PhaselineError

Function = Callable[..., Coroutine[Any, Any, None] | None]


def add(
    group: typer.Typer,
    name: str,
    function: Function,
    *,
    panel: str | None = None,
    options: type[Shared] = Printing,
) -> None:
    """
    Make *function* the command *name* of *group*, with its docstring as the help.

    Its first parameter is the `Session`, made of *options*. A parameter that is a dataclass becomes
    one option for each of its fields.
    """
    register = group.command(
        name, help=inspect.getdoc(function), epilog=EXIT_CODES, rich_help_panel=panel
    )
    register(entry(function, options))


def add_listing(
    group: typer.Typer, function: Function, *, options: type[Shared] = Printing
) -> None:
    """Make *function* the command `list` of *group*, and what *group* does alone."""
    add(group, "list", function, options=options)
    run = entry(function, options)

    def alone(context: typer.Context, **given: Any) -> None:
        if context.invoked_subcommand is None:
            run(**given)

    first, *_ = inspect.signature(alone).parameters.values()
    parameters = inspect.signature(run).parameters.values()
    _declare(alone, [first.replace(annotation=typer.Context), *parameters])
    group.callback(invoke_without_command=True)(alone)


def entry(function: Function, options: type[Shared]) -> Callable[..., None]:
    """Return *function* as typer wants it: with plain parameters, and not a coroutine."""
    hints = get_type_hints(function, include_extras=True)
    _, *others = inspect.signature(function).parameters.values()
    groups = {one.name: hints[one.name] for one in others if _is_group(hints[one.name])}
    parameters: list[inspect.Parameter] = []
    for one in others:
        if one.name in groups:
            parameters += _expanded(groups[one.name])
        else:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(one.replace(annotation=hints[one.name], kind=kind))
    parameters += _expanded(options)

    def run(**given: Any) -> None:
        session = Session(_taken(options, given))
        arguments = {name: _taken(group, given) for name, group in groups.items()}
        with _told_to(session):
            result = function(session, **arguments, **given)
            if result is not None:
                _finish(result)

    _declare(run, parameters)
    return run


def _declare(function: Callable[..., None], parameters: list[inspect.Parameter]) -> None:
    """Let *function* be seen as one of *parameters*, by name and by type."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {one.name: one.annotation for one in parameters}


@contextmanager
def _told_to(session: Session) -> Iterator[None]:
    """Turn what goes wrong inside into a line for the user and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        session.interrupted()
    except BrokenPipeError:
        raise  # as from a help, which is printed before there is a session
    except (PhaselineError, Refused, OSError) as error:
        session.fail(error)


def _finish(coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        import asyncio  # here, for the sake of a quick --help

        asyncio.run(coroutine)
    finally:
        # An interrupt before the loop has begun would leave it never awaited.
        coroutine.close()


def _is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def _expanded(group: type[Any]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )


def _taken(group: type[Any], given: dict[str, Any]) -> Any:
    """Return an instance of *group* made of its fields, which are taken out of *given*."""
    return group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
