"""How a process that runs for long has its garbage collected."""

from __future__ import annotations

import gc

# Of what a server makes, nearly all is freed by its reference count, and what stays is active
# executions, which are no garbage. Looking through them at the default of every 700 objects took a
# third of the time of a busy server.
_THRESHOLDS = (50_000, 50, 100)


def settle() -> None:
    """Take all that exists for what stays until the end, and look for garbage less often."""
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
