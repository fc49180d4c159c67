"""How much of an execution is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from phaseline.v1 import execution_pb2
from phaseline.wire.reading import Checks

_IS_FULL: Mapping[int, bool] = {
    execution_pb2.EXECUTION_VIEW_BASIC: False,
    execution_pb2.EXECUTION_VIEW_FULL: True,
}


def read_view(value: int, checks: Checks, *, full: bool) -> bool:
    """Return whether the FULL view is asked for; *full* is for a request that does not say."""
    return checks.choice("view", value, _IS_FULL, full)
