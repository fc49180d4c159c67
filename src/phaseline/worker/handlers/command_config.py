"""The settings of a phase that the `command` handler runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from phaseline.worker.handlers.config import (
    Arguments,
    check_directory,
    check_program,
    check_texts,
    check_variables,
    parse,
)
from phaseline.worker.limits import PAYLOAD_BYTES


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
        check_program(self.argv, "argv")
        check_directory(self.cwd)
        check_variables(self.env)
        check_texts(argv=self.argv, shell=self.shell, cwd=self.cwd)

    @property
    def variables(self) -> dict[str, str]:
        """`env`, all of whose values are text."""
        return {name: str(value) for name, value in self.env.items()}


def parse_config(config: Mapping[str, object]) -> CommandConfig:
    """Return the settings. Raises `HandlerError` that names the field that is wrong."""
    return parse(config, CommandConfig)
