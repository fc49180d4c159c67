"""How large and how many things may be; a server's settings fill it in."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from phaseline.domain.start import StartLimits


class Limits(msgspec.Struct, frozen=True):
    """Limits of one server. Sizes are bytes."""

    start: StartLimits = StartLimits()
    payload: int = 1024 * 1024
    operation_payload: int = 64 * 1024
    phases_per_workflow: int = 100
    tree_depth: int = 32
    tree_size: int = 10_000
    active_executions: int = 100_000
    batch: int = 1000
    #: Most phases leased at the same time, by queue_name; each workspace has its own queues.
    queue_concurrency: Mapping[str, int] = {}
    workflow: int = 3 * 1024 * 1024
    prompt: int = 1024 * 1024
    #: What an answer may take before payloads are left out of it, or left for the next page.
    answer: int = 3 * 1024 * 1024
