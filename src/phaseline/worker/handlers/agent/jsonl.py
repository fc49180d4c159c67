"""The adapter for everything else: programs that print the neutral format."""

from __future__ import annotations

from phaseline.worker.handlers.agent.adapter import Adapter, Order
from phaseline.worker.handlers.agent.jsonl_stream import JsonlReader, is_jsonl


def _arguments(order: Order) -> list[str]:
    return list(order.args)


JSONL = Adapter(
    name="jsonl",
    program=(),
    arguments=_arguments,
    reader=lambda journal, _: JsonlReader(journal),
    recognises=is_jsonl,
)
