"""Reads the settings of a phase, and says by its name what is wrong in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from phaseline.worker.failures import HandlerError

Arguments = Annotated[tuple[str, ...], Meta(min_length=1)]

_T = TypeVar("_T", bound=msgspec.Struct)

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OURS = "PHASELINE_"


def parse(config: Mapping[str, object], settings: type[_T]) -> _T:
    """Return the settings. Raises `HandlerError` that names the field that is wrong."""
    try:
        return msgspec.convert(config, settings)
    except msgspec.ValidationError as error:
        field, message = _told(str(error))
    raise HandlerError(message, code="INVALID_CONFIG", retryable=False, details={"field": field})


def check_program(argv: Arguments | None, field: str) -> None:
    """Raise `ValueError` unless the arguments, if there are any, begin with a program."""
    if argv is not None and not argv[0]:
        raise ValueError(f"{field}[0] must be the name or the path of a program")


def check_directory(cwd: str | None) -> None:
    """Raise `ValueError` unless the directory, if there is one, is absolute."""
    if cwd is not None and not cwd.startswith("/"):
        raise ValueError("cwd must be an absolute path")


def check_variables(env: Mapping[str, object]) -> None:
    """Raise `ValueError` unless all can be variables of a program."""
    for name, value in env.items():
        check_variable_name(name, f"env.{name}")
        if not isinstance(value, str) or "\0" in value:
            raise ValueError(f"env.{name} must be a text without the character U+0000")


def check_variable_name(name: str, field: str) -> None:
    """Raise `ValueError` unless it can be the name of a variable, and is none of ours."""
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f"{field} must be letters, digits and _, not a digit first")
    if name.startswith(_OURS):
        raise ValueError(f"{field} must not begin with {_OURS}")


def check_texts(**texts: Iterable[str] | None) -> None:
    """Raise `ValueError` for a text that no program can be given."""
    for name, values in texts.items():
        if "\0" in "".join(values or ()):
            raise ValueError(f"{name} must not contain the character U+0000")


def _told(error: str) -> tuple[str, str]:
    """Return the path of the field that *error* is about, and what to say of it."""
    if unknown := re.search(r"unknown field `(.*)`", error):
        field = f"config.{unknown[1]}"
        return field, f"{field} is not known"
    if found := re.fullmatch(r"(.*) - at `\$\.?(.*)`", error):
        field = f"config.{found[2]}"
        return field, f"{field}: {found[1][0].lower()}{found[1][1:]}"
    field = "config." + error.partition(" ")[0]
    return field, f"config.{error}"
