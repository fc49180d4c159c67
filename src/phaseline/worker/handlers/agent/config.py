"""The settings of a phase that the `agent` handler runs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from phaseline.worker.failures import HandlerError
from phaseline.worker.handlers.agent.adapter import Access, Adapter, Order
from phaseline.worker.handlers.agent.adapters import ADAPTERS
from phaseline.worker.handlers.config import (
    Arguments,
    check_directory,
    check_program,
    check_texts,
    check_variable_name,
    check_variables,
    parse,
)

#: Variables of the worker: the adapter and the program where neither a phase nor its execution
#: says which.
ADAPTER_VARIABLE = "PHASELINE_AGENT"
PROGRAM_VARIABLE = "PHASELINE_AGENT_PROGRAM"

#: The input of an execution that chooses the adapter.
ADAPTER_INPUT = "agent"

_DEFAULT = "claude"


class Resume(StrEnum):
    """When a run takes up an earlier session of the agent."""

    NEVER = "never"
    RETRY = "retry"  #: the session of the attempt before
    ALWAYS = "always"  #: and in the first attempt the session_id of the execution


class AgentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which agent to run, and how."""

    #: One of the adapters; else the input `agent` or the worker decides.
    adapter: str = ""
    #: Run in place of the agent's own program, with the same arguments.
    program: Arguments | None = None
    #: Run in place of the program and all arguments of the adapter.
    argv: Arguments | None = None
    #: Added to the arguments of the adapter.
    args: tuple[str, ...] = ()
    #: Asked for if the phase itself names no model.
    model: str = ""
    access: Access = Access.EDIT
    max_turns: Annotated[float, Meta(ge=1, le=1_000_000)] | None = None
    resume: Resume = Resume.NEVER
    #: Absolute; a directory that the phases of the execution share if none is given.
    cwd: str | None = None
    #: Added to the environment.
    env: Mapping[str, object] = {}
    #: Variables of the worker that the agent may see, besides those that its adapter names.
    pass_env: tuple[str, ...] = ()
    #: Between SIGTERM and SIGKILL.
    grace_seconds: Annotated[float, Meta(ge=0, le=300)] = 10

    def __post_init__(self) -> None:
        check_program(self.program, "program")
        check_program(self.argv, "argv")
        if self.argv is not None and (self.program is not None or self.args):
            raise ValueError("argv must not be given together with program or args")
        if self.max_turns is not None and self.max_turns % 1:
            raise ValueError("max_turns must be a whole number")
        check_directory(self.cwd)
        check_variables(self.env)
        for number, name in enumerate(self.pass_env):
            check_variable_name(name, f"pass_env[{number}]")
        check_texts(
            argv=self.argv, program=self.program, args=self.args, cwd=self.cwd, model=self.model
        )

    @property
    def variables(self) -> dict[str, str]:
        """`env`, all of whose values are text."""
        return {name: str(value) for name, value in self.env.items()}


def parse_config(config: Mapping[str, object]) -> AgentConfig:
    """Return the settings. Raises `HandlerError` that names the field that is wrong."""
    return parse(config, AgentConfig)


def chosen_adapter(config: AgentConfig, inputs: Mapping[str, str]) -> Adapter:
    """Return the adapter for the agent that is to run, as the first says who can."""
    said_by = (
        ("config.adapter", config.adapter),
        (f"inputs[{ADAPTER_INPUT}]", inputs.get(ADAPTER_INPUT)),
        (ADAPTER_VARIABLE, os.environ.get(ADAPTER_VARIABLE)),
    )
    field, name = next(((who, name) for who, name in said_by if name), ("", _DEFAULT))
    adapter = ADAPTERS.get(name)
    if adapter is None:
        raise _wrong(field, f"there is no adapter {name!r}, only {', '.join(ADAPTERS)}")
    if config.max_turns is not None and not adapter.takes_max_turns:
        raise _wrong("config.max_turns", f"{name} cannot be told how many turns it may take")
    return adapter


def command_line(config: AgentConfig, adapter: Adapter, order: Order) -> tuple[str, ...]:
    """Return the program to run with its arguments."""
    if config.argv is not None:
        return config.argv
    program = config.program or _program_of_worker() or adapter.program
    if not program:
        raise _wrong(
            "config.argv",
            f"{adapter.name} has no program of its own: argv, program or the worker's variable "
            f"{PROGRAM_VARIABLE} must be given",
        )
    return (*program, *adapter.arguments(order))


def _program_of_worker() -> tuple[str, ...]:
    try:
        return tuple(shlex.split(os.environ.get(PROGRAM_VARIABLE, "")))
    except ValueError as error:
        problem = str(error)
    raise _wrong(PROGRAM_VARIABLE, f"it is no command line: {problem[0].lower()}{problem[1:]}")


def model_in(argv: tuple[str, ...]) -> str:
    """Return the model that a command line asks for."""
    for argument, following in zip(argv, (*argv[1:], ""), strict=True):
        if argument in ("--model", "-m"):
            return following
        if argument.startswith("--model="):
            return argument.removeprefix("--model=")
    return ""


def _wrong(field: str, problem: str) -> HandlerError:
    return HandlerError(
        f"{field}: {problem}", code="INVALID_CONFIG", retryable=False, details={"field": field}
    )
