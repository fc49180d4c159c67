"""Workflows: the phases to run, with the limits and defaults of the executions that run them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property

import msgspec

DEFAULT_QUEUE = "default"


class InputSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A declared input."""

    name: str
    description: str = ""
    required: bool = False
    default_value: str = ""


class RetryPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the attempts of a phase are repeated."""

    max_attempts: int = 3
    initial_delay: timedelta = timedelta(seconds=1)
    max_delay: timedelta = timedelta(seconds=60)
    multiplier: float = 2.0
    non_retryable_codes: tuple[str, ...] = ()


DEFAULT_RETRY_POLICY = RetryPolicy()


class PhaseSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step of a workflow, as it was applied."""

    phase_id: str
    handler: str
    name: str = ""
    prompt: str = ""
    #: JSON object, for the handler.
    config: str = ""
    model: str = ""
    timeout: timedelta | None = None
    retry_policy: RetryPolicy | None = None
    depends_on: tuple[str, ...] = ()
    parallel: bool = False

    @property
    def policy(self) -> RetryPolicy:
        return self.retry_policy or DEFAULT_RETRY_POLICY


class ConcurrencyLimit(msgspec.Struct, frozen=True):
    """How many executions with the same key run at the same time."""

    max_running: int
    #: Template of the key; empty means one key for the whole workflow.
    key: str = ""


class WorkflowSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that a caller says of a workflow; two that are equal are one version."""

    workflow_id: str
    phases: tuple[PhaseSpec, ...]
    name: str = ""
    description: str = ""
    inputs: tuple[InputSpec, ...] = ()
    queue_name: str = ""
    concurrency: ConcurrencyLimit | None = None
    run_timeout: timedelta | None = None
    max_budget_nanos: int | None = None
    is_agentic: bool = False
    #: JSON Schema; empty means not checked.
    output_schema: str = ""
    output_schema_name: str = ""
    labels: Mapping[str, str] = {}


class Workflow(msgspec.Struct, frozen=True, dict=True):
    """One version of a workflow, as stored; shared by all executions that run it."""

    workspace_id: str
    version: int
    spec: WorkflowSpec
    created_at: datetime
    updated_at: datetime

    @property
    def workflow_id(self) -> str:
        return self.spec.workflow_id

    @property
    def name(self) -> str:
        return self.spec.name or self.spec.workflow_id

    @property
    def queue_name(self) -> str:
        return self.spec.queue_name or DEFAULT_QUEUE

    @cached_property
    def dependencies(self) -> tuple[tuple[int, ...], ...]:
        """For each phase the positions of the phases that must be completed first."""
        return dependencies(self.spec.phases)

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Position of each phase_id."""
        return {phase.phase_id: at for at, phase in enumerate(self.spec.phases)}


def dependencies(phases: tuple[PhaseSpec, ...]) -> tuple[tuple[int, ...], ...]:
    """
    Return for each phase the positions of those that must be completed before it begins.

    A phase waits for the group before it; `parallel` joins it to that group, and `depends_on`
    replaces the rule by names. A name that is no earlier phase raises `KeyError`.
    """
    at = {phase.phase_id: index for index, phase in enumerate(phases)}
    waits: list[tuple[int, ...]] = []
    group: tuple[int, ...] = ()
    for index, phase in enumerate(phases):
        if phase.parallel and index:
            waits.append(waits[-1])
            group = (*group, index)
        else:
            waits.append(tuple(at[name] for name in phase.depends_on) or group)
            group = (index,)
    return tuple(waits)
