"""A worker whose phases do nothing, as a process of its own; and the same for `phaseline dev`."""

from __future__ import annotations

import sys

from phaseline.bench.target import HANDLER
from phaseline.worker import Context, RunnerOptions, handler, run


@handler(HANDLER)
async def nothing(context: Context) -> str:
    """Complete the phase at once."""
    return "done"


if __name__ == "__main__":
    address, queue, slots = sys.argv[1:]
    run(address, options=RunnerOptions(slots=int(slots), queue_names=(queue,)))
