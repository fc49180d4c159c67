"""Who calls, and where it may look."""

from __future__ import annotations

import msgspec

DEFAULT_WORKSPACE = "default"
ANONYMOUS = "anonymous"


class Caller(msgspec.Struct, frozen=True):
    """The credentials of a call, checked."""

    workspace_id: str = DEFAULT_WORKSPACE
    subject: str = ANONYMOUS
