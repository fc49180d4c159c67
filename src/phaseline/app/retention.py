"""Letting go of what is old: content, executions, changes and remembered requests, by policy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from phaseline.domain.ids import Key


class Stale(Protocol):
    """Finds what is old enough to go, the oldest first, and at most *limit* of it at once."""

    async def purgeable(self, *, ended_before: datetime, limit: int) -> Sequence[Key]:
        """Return executions that ended so long ago and are not purged."""

    async def deletable(self, *, ended_before: datetime, limit: int) -> Sequence[Key]:
        """
        Return executions of trees that ended so long ago as a whole, those below first.

        A tree larger than *limit* comes in parts, its root with the last.
        """

    async def trimmable(
        self, *, changed_before: datetime | None, keep: int | None, limit: int
    ) -> int:
        """
        Return up to which revision the change log can be forgotten; 0 for nothing.

        Changes before *changed_before*, and all but the newest *keep*. Fewer than *limit* rows, or
        the one commit that has more.
        """

    async def forgettable(
        self, *, answered_before: datetime, limit: int
    ) -> Sequence[tuple[str, str]]:
        """Return writes that were remembered so long ago, by workspace_id and request_id."""
