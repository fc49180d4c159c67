"""The settings of a phase that the `command` handler runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from phaseline.worker.failures import HandlerError
from phaseline.worker.limits import PAYLOAD_BYTES

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OURS = "PHASELINE_"

Arguments = Annotated[tuple[str, ...], Meta(min_length=1)]


class CommandConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to run, and how: either a program with its arguments or the text of a script."""

    argv: Arguments | None = None
    script: str | None = None
    #: What runs a script; the path of its file is added.
    shell: Arguments = ("sh", "-eu")
    #: Absolute; a fresh directory if none is given.
    cwd: str | None = None
    #: Added to the environment.
    env: Mapping[str, object] = {}
    output_limit_bytes: Annotated[float, Meta(ge=1, le=PAYLOAD_BYTES)] = PAYLOAD_BYTES
    #: Between SIGTERM and SIGKILL.
    grace_seconds: Annotated[float, Meta(ge=0, le=300)] = 5

    def __post_init__(self) -> None:
        if (self.argv is None) == (self.script is None):
            raise ValueError("argv or script must be given, and not both")
        if self.argv is not None and not self.argv[0]:
            raise ValueError("argv[0] must be the name or the path of a program")
        if self.cwd is not None and not self.cwd.startswith("/"):
            raise ValueError("cwd must be an absolute path")
        for name, value in self.env.items():
            _check_variable(name, value)
        for name, texts in (("argv", self.argv), ("shell", self.shell), ("cwd", self.cwd)):
            if "\0" in "".join(texts or ()):
                raise ValueError(f"{name} must not contain the character U+0000")

    @property
    def variables(self) -> dict[str, str]:
        """`env`, all of whose values are text."""
        return {name: str(value) for name, value in self.env.items()}


def parse_config(config: Mapping[str, object]) -> CommandConfig:
    """Return the settings. Raises `HandlerError` that names the field that is wrong."""
    try:
        return msgspec.convert(config, CommandConfig)
    except msgspec.ValidationError as error:
        field, message = _told(str(error))
    raise HandlerError(message, code="INVALID_CONFIG", retryable=False, details={"field": field})


def _check_variable(name: str, value: object) -> None:
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f"env.{name} must be letters, digits and _, not a digit first")
    if name.startswith(_OURS):
        raise ValueError(f"env.{name} must not begin with {_OURS}")
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"env.{name} must be a text without the character U+0000")


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
