"""One leased phase: all that is needed to run it, and the proof of the lease."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from phaseline.domain.payload import Payload


class Assignment(msgspec.Struct, frozen=True):
    """A phase to run, as the server leased it."""

    lease_token: str
    execution_id: str
    phase_id: str
    handler: str
    attempt: int = 1
    #: Rises with every lease of the phase.
    fencing_token: int = 0
    #: Left of the lease when it was given.
    time_to_live: timedelta = timedelta(seconds=30)
    #: The longest silence that the server wants.
    heartbeat_interval: timedelta = timedelta(seconds=10)
    workflow_id: str = ""
    #: Filled.
    prompt: str = ""
    #: Empty leaves the choice to the handler.
    model: str = ""
    #: Numbers are floats.
    config: Mapping[str, object] = {}
    task: str = ""
    inputs: Mapping[str, str] = {}
    payload: Payload | None = None
    #: Of the phases it depends on, by phase_id.
    outputs: Mapping[str, Payload] = {}
    #: The last of earlier attempts.
    checkpoint: Payload | None = None
    session_id: str = ""
    #: Left of the attempt's time; None means no limit.
    timeout: timedelta | None = None
    #: Left of the budget; None means no limit.
    remaining_budget_nanos: int | None = None
    labels: Mapping[str, str] = {}
    repos: tuple[str, ...] = ()
    queue_name: str = "default"
    workspace_id: str = "default"
    #: W3C trace context of the call that started the execution.
    traceparent: str = ""
