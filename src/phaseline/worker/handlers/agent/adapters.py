"""All kinds of agents that are known."""

from __future__ import annotations

from collections.abc import Mapping

from phaseline.worker.handlers.agent.adapter import Adapter
from phaseline.worker.handlers.agent.claude import CLAUDE
from phaseline.worker.handlers.agent.codex import CODEX
from phaseline.worker.handlers.agent.events import Event
from phaseline.worker.handlers.agent.gemini import GEMINI
from phaseline.worker.handlers.agent.jsonl import JSONL

ADAPTERS: Mapping[str, Adapter] = {each.name: each for each in (CLAUDE, CODEX, GEMINI, JSONL)}


def recognised(event: Event) -> Adapter | None:
    """Return the adapter for the agent that printed *event*, None if it could be any."""
    return next((each for each in ADAPTERS.values() if each.recognises(event)), None)
